package layers

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Bounds of hash lists.
const (
	maxSums = 20_000_000
	maxLine = 64 << 10
)

// Lists are hash lists of known-bad content: SHA-256, SHA-1 or MD5, told by
// their length. The nil Lists is empty.
type Lists struct {
	// Names are the files that were read.
	Names []string
	sums  map[string]int // the sum's bytes, and the index of its list
	sizes map[int]bool   // digits of the algorithms that stand in them
}

// ReadLists reads hash lists: a hash at the beginning of each line, as sha256sum
// prints it or alone or before a comma; # begins a comment. Each fault names
// file and line.
func ReadLists(files []string) (*Lists, error) {
	l := &Lists{sums: map[string]int{}, sizes: map[int]bool{}}
	var faults []error
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if err := l.read(file, f); err != nil {
			faults = append(faults, err)
		}
		f.Close()
	}
	return l, errors.Join(faults...)
}

func (l *Lists) read(file string, r io.Reader) error {
	at := len(l.Names)
	l.Names = append(l.Names, filepath.Base(file))
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || line[0] == '#' {
			continue
		}
		word := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t,;\"", r) })
		if len(word) == 0 {
			continue
		}
		sum, err := hex.DecodeString(strings.TrimPrefix(word[0], "sha256:"))
		if err != nil || hashFor(2*len(sum)) == nil {
			return fmt.Errorf("%s:%d: want the hex digits of a SHA-256, SHA-1 or MD5 sum", file, n)
		}
		if len(l.sums) >= maxSums {
			return fmt.Errorf("%s:%d: more than %d sums", file, n, maxSums)
		}
		l.sizes[2*len(sum)] = true
		if _, known := l.sums[string(sum)]; !known {
			l.sums[string(sum)] = at
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s:%d: %w", file, n+1, err)
	}
	return nil
}

func (l *Lists) empty() bool { return l == nil || len(l.sums) == 0 }

// find gives the list that a sum, in hex digits, stands on.
func (l *Lists) find(sum string) (list string, ok bool) {
	if l.empty() {
		return "", false
	}
	raw, err := hex.DecodeString(sum)
	if err != nil {
		return "", false
	}
	at, ok := l.sums[string(raw)]
	if !ok {
		return "", false
	}
	return l.Names[at], true
}

// hashes makes one hash for each algorithm that the lists have, and a writer to
// all of them.
func (l *Lists) hashes() ([]hash.Hash, io.Writer) {
	var out []hash.Hash
	var to []io.Writer
	if l.empty() {
		return nil, io.Discard
	}
	for digits := range l.sizes {
		h := hashFor(digits)()
		out = append(out, h)
		to = append(to, h)
	}
	return out, io.MultiWriter(to...)
}
