package scenario

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// names are the short names of a scenario and the ids that they stand for.
type names map[string]string

var (
	nameForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	nameUse  = regexp.MustCompile(`\$(\$|[a-z][a-z0-9_]*)`)
)

// digestScheme begins a digest; what follows are 64 hex digits.
const digestScheme = "sha256:"

// mint makes an id for each name of a part: 64 hex digits, of a digest with
// its algorithm. The same name means the same id in every file.
func (r *reader) mint(s section, kind string) {
	value, _, _ := strings.Cut(s.value, "#")
	for name := range strings.FieldsSeq(value) {
		switch {
		case !nameForm.MatchString(name):
			r.fault(s.number, "%q cannot be a short name; write lower-case letters, digits and _, and $ only where it is used", name)
		case r.names[name] != "":
			r.fault(s.number, "short name %q stands twice", name)
		default:
			sum := sha256.Sum256([]byte("tidewaiter scenario " + kind + " " + name))
			r.names[name] = hex.EncodeToString(sum[:])
			if kind == "digest" {
				r.names[name] = digestScheme + r.names[name]
			}
		}
	}
}

// expand puts ids in the place of short names. A $ before anything else than a
// lower-case letter is left alone, and $$ is a $.
func (n names) expand(text string) (string, error) {
	var err error
	out := nameUse.ReplaceAllStringFunc(text, func(use string) string {
		if use == "$$" {
			return "$"
		}
		id, known := n[use[1:]]
		if !known && err == nil {
			err = fmt.Errorf("unknown short name %s; name it below \"containers:\" or \"digests:\", or write $%s for the text", use, use)
		}
		return id
	})
	return out, err
}

// shortDigits is how many digits of an id are printed for people.
const shortDigits = 12

// replacer puts short names in the place of ids, whole or shortened.
func (n names) replacer() *strings.Replacer {
	var whole, short []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		digits := strings.TrimPrefix(n[name], digestScheme)
		whole = append(whole, n[name], "$"+name, digits, "$"+name)
		short = append(short, digits[:shortDigits], "$"+name)
	}
	return strings.NewReplacer(slices.Concat(whole, short)...)
}
