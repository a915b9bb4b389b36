package containerd

import (
	"errors"
	"fmt"
	"strings"

	"tidewaiter/source/jsonrecord"
)

// jsonFields are an event printed as JSON.
type jsonFields struct {
	v jsonrecord.Value
	p *jsonrecord.Parser
}

func (f jsonFields) fault() error { return f.p.Fault() }

func (f jsonFields) text(name string) string { return f.v.String(name) }

// number gives the text of the field even if it is no number, so that it is
// refused and not taken for missing.
func (f jsonFields) number(name string) string {
	v := f.v.Get(name)
	if s := v.Number(); s != "" || v.IsNull() {
		return s
	}
	return "not a number"
}

func (f jsonFields) labels() (map[string]string, error) {
	var labels map[string]string
	var err error
	f.v.Each(func(key string, val jsonrecord.Value) {
		if !val.IsString() {
			return
		}
		if labels == nil {
			labels = map[string]string{}
		}
		if _, twice := labels[key]; twice {
			err = fmt.Errorf("label: %w: %q", jsonrecord.ErrDuplicateKey, clip(key))
		}
		labels[key] = val.String()
	}, "labels")
	return labels, err
}

// pairs are an event printed as key=value.
type pairs map[string]string

var errTwice = errors.New("field stands twice")

func (f pairs) text(name string) string            { return f[name] }
func (f pairs) fault() error                       { return nil }
func (f pairs) labels() (map[string]string, error) { return nil, nil }

// number also knows the name that the exit status had.
func (f pairs) number(name string) string {
	if val, ok := f[name]; ok || name != "exit_status" {
		return val
	}
	return f["status"]
}

// parsePairs splits "key=value key=value". Values are not quoted and may hold
// blanks: what follows one belongs to the value unless it begins like a
// further field.
func parsePairs(s string) (pairs, error) {
	f := pairs{}
	key, begin := "", 0 // the field whose value is being read
	for at := 0; at < len(s); {
		end := len(s)
		if i := strings.IndexByte(s[at:], ' '); i >= 0 {
			end = at + i
		}
		name, _, found := strings.Cut(s[at:end], "=")
		switch {
		case found && isFieldName(name):
			if _, twice := f[name]; twice {
				return nil, fmt.Errorf("%w: %q", errTwice, clip(name))
			}
			key, begin = name, at+len(name)+1
		case key == "":
			return nil, errNotEvent
		}
		f[key] = s[begin:end]
		at = end + 1
	}
	return f, nil
}

func isFieldName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == ""
}
