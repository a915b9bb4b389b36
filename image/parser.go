package image

import "strings"

// Parser parses references and remembers them: the grammar is a large regular
// expression, and a log names the same few images throughout. The zero value
// parses as Parse does. Not safe for concurrent use.
type Parser struct {
	// Docker has texts parsed as ParseDocker does.
	Docker bool
	seen   map[string]Reference
}

// Bounds of the memory: beyond them a text is parsed again.
const (
	maxRemembered = 4096
	maxTextLength = 256
)

// Parse parses an image reference.
func (p *Parser) Parse(raw string) Reference {
	if ref, ok := p.seen[raw]; ok {
		return ref
	}
	raw = strings.Clone(raw) // what is remembered must not hold on to a whole record
	ref := parse(raw, p.Docker)
	switch {
	case len(raw) > maxTextLength:
		return ref
	case p.seen == nil || len(p.seen) >= maxRemembered:
		p.seen = map[string]Reference{}
	}
	p.seen[raw] = ref
	return ref
}
