package ebpf

import "strings"

// splitArguments undoes what Tetragon does to argv: it joins the arguments
// after the first with blanks and puts those that hold a blank between double
// quotes, without escaping what is inside (ArgsDecoder in its
// pkg/process/args.go). So two blanks in a row mean an empty argument, one at
// the very beginning means nothing, and a quote inside an argument looks like
// one around it.
//
// That cannot be undone in every case. A quoted argument is taken to end at the
// first quote before a blank, or at the end, that leaves an even number of
// quotes inside: scripts quote in pairs. If there is none, it is the rest.
func splitArguments(text string) (args []string, cut bool) {
	text = strings.TrimPrefix(text, " ")
	if text == "" {
		return nil, false
	}
	if len(text) > maxArgBytes {
		text, cut = strings.Clone(text[:maxArgBytes]), true
	}
	for {
		if len(args) == maxArgs {
			return args, true
		}
		arg, n := firstArgument(text)
		args = append(args, arg)
		if n == len(text) {
			return args, cut
		}
		text = text[n+1:] // the blank
	}
}

// firstArgument gives the first argument and how many bytes it takes.
func firstArgument(text string) (arg string, n int) {
	if text != "" && text[0] == '"' {
		if end := closingQuote(text); end > 0 {
			return text[1:end], end + 1
		}
	}
	if n = strings.IndexByte(text, ' '); n < 0 {
		n = len(text)
	}
	return text[:n], n
}

// closingQuote is the index of the quote that ends the argument which the first
// byte opens; 0 if what follows is no quoted argument, because it holds no
// blank.
func closingQuote(text string) int {
	blank, inner := false, 0
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == ' ':
			blank = true
		case text[i] != '"':
		case i+1 < len(text) && text[i+1] != ' ':
			inner++
		case blank && inner%2 == 0:
			return i
		default:
			inner++
		}
	}
	if last := len(text) - 1; blank && last > 0 && text[last] == '"' {
		return last
	}
	return 0
}
