package source

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// slowScan is objectScan byte by byte, as its definition reads.
type slowScan struct {
	depth             int
	inString, escaped bool
}

func (s *slowScan) over(chunk []byte) (n int, ended bool) {
	for i, c := range chunk {
		switch {
		case c == '\n':
			s.escaped = false
			return i + 1, s.inString
		case s.escaped:
			s.escaped = false
		case s.inString:
			s.escaped = c == '\\'
			s.inString = c != '"'
		case c == '"':
			s.inString = true
		case c == '{' || c == '[':
			s.depth++
		case c == '}' || c == ']':
			if s.depth--; s.depth == 0 {
				return i + 1, true
			}
		}
	}
	return len(chunk), false
}

// TestObjectScanIsExact compares the scan with its plain form, over texts of
// chance that are cut into chunks of chance.
func TestObjectScanIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	const signs = `{}[]""""\\\ab,:` + "\n"
	for round := range 20_000 {
		text := []byte{'{'}
		for range r.IntN(120) {
			if r.IntN(4) == 0 {
				text = append(text, signs[r.IntN(len(signs))])
			} else {
				text = append(text, "long plain text"[:r.IntN(15)]...)
			}
		}
		var fast objectScan
		var slow slowScan
		for at := 0; at < len(text); {
			chunk := text[at : at+1+r.IntN(len(text)-at)]
			n, ended := fast.over(chunk)
			wantN, wantEnded := slow.over(chunk)
			if got, want := fmt.Sprint(n, ended, fast), fmt.Sprint(wantN, wantEnded, slow); got != want {
				t.Fatalf("round %d, %q at %q: %s, want %s", round, text, chunk, got, want)
			}
			if at += n; ended {
				break
			}
		}
	}
}
