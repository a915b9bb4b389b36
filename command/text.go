package command

import "strings"

// text is what is known of a text while a command line is read: an argument,
// what a command prints, the value of a variable.
type text struct {
	// s is the text. If it is partial, "$" stands in it for what is not known.
	s       string
	partial bool
	// fetched and decoded say that some of it came from the network, or out of
	// a decoder.
	fetched, decoded bool
}

// unknown is what can't be known of a text from its command line.
var unknown = text{s: "$", partial: true}

// plus joins two texts.
func (t text) plus(o text) text {
	return text{t.s + o.s, t.partial || o.partial, t.fetched || o.fetched, t.decoded || o.decoded}
}

// builder joins many texts.
type builder struct {
	b strings.Builder
	t text
}

func (b *builder) add(t text) {
	b.b.WriteString(t.s)
	b.t = text{"", b.t.partial || t.partial, b.t.fetched || t.fetched, b.t.decoded || t.decoded}
}

func (b *builder) text() text { return text{b.b.String(), b.t.partial, b.t.fetched, b.t.decoded} }

// from is an unknown text that was made of another.
func from(t text) text { return text{"$", true, t.fetched, t.decoded} }

func texts(ss []string) []text {
	out := make([]text, len(ss))
	for i, s := range ss {
		out[i] = text{s: s}
	}
	return out
}

// joined is the texts with blanks between them.
func joined(ts []text) text {
	var b builder
	for i, t := range ts {
		if i > 0 {
			b.add(text{s: " "})
		}
		b.add(t)
	}
	return b.text()
}
