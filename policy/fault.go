package policy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Fault is one thing wrong in a policy file.
type Fault struct {
	File         string
	Line, Column int // from 1
	// Key is the path to what is wrong, such as "scopes.prod.registries[1]".
	Key string
	Err error
}

// Error names file, line, key and reason.
func (f Fault) Error() string {
	key := ""
	if f.Key != "" {
		key = f.Key + ": "
	}
	return fmt.Sprintf("%s:%d:%d: %s%v", f.File, f.Line, f.Column, key, f.Err)
}

// Unwrap gives the reason.
func (f Fault) Unwrap() error { return f.Err }

// Faults are all the things wrong in a policy file, in the file's order. It is
// the error that Load returns for a file that can be opened.
type Faults []Fault

// Error lists every fault on its own line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the faults one by one.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}

func (fs Faults) sort() {
	slices.SortStableFunc(fs, func(a, b Fault) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_*+-]{1,64}$`)

// join appends a key to a path. A key that is not a plain word is quoted, so
// that no key can look like a path or break a message into lines.
func join(path, key string) string {
	if !plainKey.MatchString(key) {
		key = quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// maxQuoted is how much of a text from the file a message repeats, in bytes.
const maxQuoted = 100

// quote puts a text from the file into a message.
func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.Quote(strings.ToValidUTF8(s[:maxQuoted], "")) + "…"
	}
	return strconv.Quote(s)
}

// glance is how many keys a message lists.
const glance = 12

// suggestion says what a key that nobody knows may have been meant to be: the
// closest known one, or else all of them if they can be read at a glance.
func suggestion(got string, known []string) string {
	closest, least := "", len(got)/3+2
	sorted := slices.Sorted(slices.Values(known))
	for _, k := range sorted {
		if d := distance(fold(got), fold(k), least); d < least {
			closest, least = k, d
		}
	}
	switch {
	case closest != "":
		return fmt.Sprintf("; did you mean %s?", quote(closest))
	case len(sorted) == 0 || len(sorted) > glance:
		return ""
	}
	return "; want " + anyOf(sorted)
}

// anyOf joins words as "a, b or c".
func anyOf(words []string) string {
	words = slices.Clone(words)
	for i, w := range words {
		words[i] = join("", w)
	}
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// fold takes away what people get wrong in keys most often: letter case and
// how words are joined.
func fold(s string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(s))
}

// distance is how many letters must be added, taken away, changed or swapped
// with their neighbour to turn a into b; limit if it is that many or more.
func distance(a, b string, limit int) int {
	if a == "" || len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}
