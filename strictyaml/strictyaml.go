// Package strictyaml reads YAML files in which a mistake must not pass: an
// unknown key, a key that stands twice and a second document are faults, each
// told with file and line.
//
// In: the bytes of one file. Out: a filled struct, or every fault in it.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Fault is one thing wrong in a file.
type Fault struct {
	File string
	Line int // from 1; 0 if it concerns the file as a whole
	Err  error
}

// Error names file, line and reason.
func (f *Fault) Error() string {
	if f.Line == 0 {
		return fmt.Sprintf("%s: %v", f.File, f.Err)
	}
	return fmt.Sprintf("%s:%d: %v", f.File, f.Line, f.Err)
}

// Unwrap gives the reason.
func (f *Fault) Unwrap() error { return f.Err }

// Decode reads the one document of a file into v, a pointer to a struct with
// yaml tags. An empty file leaves v as it is. The error joins one Fault for
// each thing wrong.
func Decode(file string, data []byte, v any) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return faults(file, err)
	}
	var more yaml.Node
	switch err := dec.Decode(&more); {
	case err == nil:
		return &Fault{file, more.Line, errors.New("a second document; write one per file")}
	case !errors.Is(err, io.EOF):
		return faults(file, err)
	}
	return nil
}

// The library tells where a fault is in its messages only.
var (
	lineOf  = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)
	unknown = regexp.MustCompile(`^field (.*) not found in type \S+$`)
	twice   = regexp.MustCompile(`^mapping key (".*") already defined at line (\d+)$`)
)

func faults(file string, err error) error {
	var list *yaml.TypeError
	if !errors.As(err, &list) {
		return fault(file, err.Error())
	}
	var all []error
	for _, text := range list.Errors {
		all = append(all, fault(file, text))
	}
	return errors.Join(all...)
}

func fault(file, text string) error {
	line := 0
	if m := lineOf.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	if m := unknown.FindStringSubmatch(text); m != nil {
		text = fmt.Sprintf("unknown key %q", m[1])
	}
	if m := twice.FindStringSubmatch(text); m != nil {
		text = fmt.Sprintf("key %s stands twice, first in line %s", m[1], m[2])
	}
	return &Fault{file, line, errors.New(text)}
}

// Line is where a value stands, found by keys (string) and indexes (int) from
// the top; 0 if it is not there.
func Line(data []byte, path ...any) int {
	var doc yaml.Node
	if yaml.Unmarshal(data, &doc) != nil || len(doc.Content) == 0 {
		return 0
	}
	n := doc.Content[0]
	for _, step := range path {
		if n = child(n, step); n == nil {
			return 0
		}
	}
	return n.Line
}

func child(n *yaml.Node, step any) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch step := step.(type) {
	case int:
		if n.Kind == yaml.SequenceNode && step < len(n.Content) {
			return n.Content[step]
		}
	case string:
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i+1]
			}
		}
	}
	return nil
}
