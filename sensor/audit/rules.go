package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/elastic/go-libaudit/v2/rule"
	"github.com/elastic/go-libaudit/v2/rule/flags"
)

// ownRule is one rule that is the sensor's to add and to remove.
type ownRule struct {
	text   string // for auditctl
	wire   []byte
	socket string // that it is for, "" for none
}

// errRule is why one of Options.Rules is refused.
var errRule = errors.New("not a rule of the form -a LIST,ACTION … or -w PATH … without -k")

// rulesOf makes the rules that options ask for.
func rulesOf(o Options) ([]ownRule, error) {
	var all []ownRule
	var not []rule.FilterSpec
	if o.ExcludePID != 0 {
		not = []rule.FilterSpec{equal("pid", strconv.Itoa(o.ExcludePID))}
		not[0].Comparator = "!="
	}
	if o.Exec {
		made, err := calls(o.Key, not, "execve", "execveat")
		if err != nil {
			return nil, err
		}
		all = append(all, made...)
	}
	for _, path := range o.Sockets {
		if !filepath.IsAbs(path) || strings.HasSuffix(path, "/") {
			return nil, fmt.Errorf("%q is no absolute path of a socket", path)
		}
		made, err := calls(socketKey(o.Key), append([]rule.FilterSpec{equal("path", path)}, not...), "connect")
		if err != nil {
			return nil, err
		}
		for i := range made {
			made[i].socket = path
		}
		all = append(all, made...)
	}
	if o.Connect { // after those for sockets: the first that fits gives the key
		made, err := calls(o.Key, not, "connect")
		if err != nil {
			return nil, err
		}
		all = append(all, made...)
	}
	for _, text := range o.Rules {
		r, err := parseRule(text, o.Key)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func socketKey(key string) string { return key + "-socket" }

func equal(field, value string) rule.FilterSpec {
	return rule.FilterSpec{Type: rule.ValueFilterType, LHS: field, Comparator: "=", RHS: value}
}

// calls makes rules for system calls: one for this machine's own programs, and
// one for those of 32 bits where it may run them. Without that, a program would
// only need to be of 32 bits to be told of no more.
func calls(key string, filters []rule.FilterSpec, names ...string) (all []ownRule, err error) {
	for _, arch := range []string{"b64", "b32"} {
		made, failed := built(&rule.SyscallRule{
			Type: rule.AppendSyscallRuleType, List: "exit", Action: "always", Keys: []string{key},
			Filters:  append([]rule.FilterSpec{equal("arch", arch)}, filters...),
			Syscalls: names,
		})
		if failed != nil { // this machine has no such programs, or no such call
			err = failed
			continue
		}
		all = append(all, made)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("audit rule for %s: %w", names[0], err)
	}
	return all, nil
}

// parseRule reads a rule in the language of auditctl, and gives it a key.
func parseRule(text, key string) (ownRule, error) {
	parsed, err := flags.Parse(text)
	if err != nil {
		return ownRule{}, fmt.Errorf("audit rule %q: %w", text, err)
	}
	var keys *[]string
	switch r := parsed.(type) {
	case *rule.SyscallRule:
		keys = &r.Keys
		for _, f := range r.Filters {
			if f.LHS == "key" {
				keys = nil
				break
			}
		}
	case *rule.FileWatchRule:
		keys = &r.Keys
	}
	if keys == nil || len(*keys) > 0 {
		return ownRule{}, fmt.Errorf("audit rule %q: %w", text, errRule)
	}
	*keys = []string{key}
	made, err := built(parsed)
	if err != nil {
		return ownRule{}, fmt.Errorf("audit rule %q: %w", text, err)
	}
	return made, nil
}

func built(r rule.Rule) (ownRule, error) {
	wire, err := rule.Build(r)
	if err != nil {
		return ownRule{}, err
	}
	text, err := rule.ToCommandLine(wire, false)
	if err != nil {
		return ownRule{}, err
	}
	return ownRule{text: text, wire: wire}, nil
}

// Where the parts of a rule are (struct audit_rule_data in linux/audit.h): three
// numbers, a bit for each system call, and of each field its kind, its value
// and how they are compared. Texts stand at the end; their values are lengths.
const (
	ruleFields = 3*4 + 64*4
	ruleValues = ruleFields + 64*4
	ruleTexts  = ruleValues + 2*64*4 + 4
)

// The numbers of linux/audit.h that are looked at.
const (
	listTask, listExit        = 1, 4
	actionNever, actionAlways = 0, 2
	fieldKey                  = 210
)

// loadedRule is what matters of a rule that the kernel has, whoever added it.
type loadedRule struct {
	wire         []byte
	list, action uint32
	fields       int
	key          string
}

// readRule reads what the kernel tells of a rule.
func readRule(wire []byte) (loadedRule, bool) {
	if len(wire) < ruleTexts {
		return loadedRule{}, false
	}
	number := func(at int) uint32 { return binary.NativeEndian.Uint32(wire[at:]) }
	r := loadedRule{wire: wire, list: number(0), action: number(4), fields: int(number(8))}
	if r.fields > 64 {
		return loadedRule{}, false
	}
	texts := wire[ruleTexts:]
	for i := range r.fields {
		kind, value := number(ruleFields+4*i), number(ruleValues+4*i)
		if !isText(kind) {
			continue
		}
		if uint64(value) > uint64(len(texts)) {
			return loadedRule{}, false
		}
		if kind == fieldKey {
			r.key = string(texts[:value])
		}
		texts = texts[value:]
	}
	return r, true
}

// isText reports whether a field's value is a text: those of a security label,
// paths, and the key.
func isText(kind uint32) bool {
	switch {
	case kind >= 13 && kind <= 17, kind >= 19 && kind <= 23, kind == 105, kind == 107, kind == 112, kind == fieldKey:
		return true
	}
	return false
}

// asks reports whether the rule has the kernel tell of some system calls.
func (r loadedRule) asks() bool { return r.list == listExit && r.action == actionAlways }

// silences reports whether the rule has the kernel watch no process at all, as
// some distributions have it.
func (r loadedRule) silences() bool {
	return r.list == listTask && r.action == actionNever && (r.fields == 0 || r.fields == 1 && r.key != "")
}
