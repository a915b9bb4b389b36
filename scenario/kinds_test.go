package scenario_test

import (
	"encoding"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/scenario"
)

// start is when virtual time begins by default.
var start = event.Time{At: time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC).UnixNano(), Res: 1}

// Whatever an event can say can be written: each kind comes back from a line
// with every field set, hostile text included.
func TestEveryKindCanBeWritten(t *testing.T) {
	lib := library(t)
	for _, body := range event.Bodies() {
		fill(t, reflect.ValueOf(body).Elem(), 0)
		line := "+1s web docker " + string(body.Kind())
		v := reflect.ValueOf(body).Elem()
		for i := range v.NumField() {
			line += "\n    " + snake(v.Type().Field(i).Name) + "=" + print(t, v.Field(i))
		}
		s, err := scenario.Read("x.scenario", []byte("title: t\nplaces:\n  web: host=h\nevents:\n  "+line+"\n"), lib)
		if err != nil {
			t.Errorf("%v\n%s", err, line)
			continue
		}
		if got := s.Events[0].Body; !reflect.DeepEqual(got, body) {
			t.Errorf("%s\n got %+v\nwant %+v", line, got, body)
		}
	}
}

// snake is how fields of the event package are written, told once more and
// more simply: the initials in it are listed.
func snake(name string) string {
	for _, initials := range []string{"PID", "UID", "ID", "TTY", "IPC", "URI", "OS", "CRI", "VM", "MAC", "SKU", "MFA", "SHA"} {
		if name == "P"+initials || name == "A"+initials {
			return strings.ToLower(name)
		}
		name = strings.ReplaceAll(name, initials, initials[:1]+strings.ToLower(initials[1:]))
	}
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// fill sets every field to something else than what a line means that leaves
// it out.
func fill(t *testing.T, v reflect.Value, depth int) {
	t.Helper()
	switch p := v.Addr().Interface().(type) {
	case *event.Time:
		*p = event.Time{At: start.At + 90*event.Second, Res: event.Second}
		return
	case *image.Reference:
		*p = image.ParseDocker("0123456789ab")
		return
	case *image.Digest:
		d, err := image.ParseDigest("sha256:" + strings.Repeat("7f", 32))
		if err != nil {
			t.Fatal(err)
		}
		*p = d
		return
	case *netip.Addr:
		*p = netip.MustParseAddr("2001:db8::1")
		return
	case *netip.AddrPort:
		*p = netip.MustParseAddrPort("[2001:db8::1%eth0]:443")
		return
	case *map[string]any:
		*p = map[string]any{"word": "a", "text": "3", "n": int64(3), "x": 1.5, "yes": true, "list": []any{"a", int64(1), []any{}}, "o": map[string]any{"k:k": "\x00"}}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		e := reflect.New(v.Type().Elem()).Elem()
		fill(t, e, depth+1)
		v.SetMapIndex(reflect.ValueOf("io.x/y: \"z\" $"), e)
	case reflect.String:
		v.SetString("a \"b\", {c}]\n\x1b\xfe # $(d) $1 $HOME $$e")
		if list := constants(t)[v.Type().Name()]; v.Type().Name() != "Protocol" && len(list) > 0 {
			v.SetString(list[len(list)-1])
		}
	case reflect.Bool:
		v.SetBool(v.Type().Name() == "bool" && !v.Bool())
	default:
		v.SetInt(int64(100 + depth))
	}
}

// print writes a value for a line.
func print(t *testing.T, v reflect.Value) string {
	t.Helper()
	if at, ok := v.Interface().(event.Time); ok {
		from := time.Duration(at.At - start.At)
		return fmt.Sprintf("+%s..+%s", from, from+time.Duration(at.Res))
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		return strconv.Quote(string(text))
	}
	var parts []string
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return print(t, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			parts = append(parts, snake(v.Type().Field(i).Name)+": "+print(t, v.Field(i)))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case reflect.Slice:
		for i := range v.Len() {
			parts = append(parts, print(t, v.Index(i)))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Map:
		for _, k := range v.MapKeys() {
			parts = append(parts, dollars(k.String())+": "+print(t, v.MapIndex(k)))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case reflect.String:
		return dollars(v.String())
	}
	return fmt.Sprint(v.Interface())
}

// dollars quotes text in which no $ is to name anything.
func dollars(s string) string { return strings.ReplaceAll(strconv.Quote(s), "$", "$$") }

// constants are the texts that package event declares, by their type.
func constants(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("../event/*.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			typ, named := spec.Type.(*ast.Ident)
			lit, literal := spec.Values[0].(*ast.BasicLit)
			if named && literal && lit.Kind == token.STRING {
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				out[typ.Name] = append(out[typ.Name], text)
			}
			return true
		})
	}
	return out
}

// Every declared action, verb, kind and source can be written; nothing else.
func TestEveryWordCanBeWritten(t *testing.T) {
	lib := library(t)
	for name, line := range map[string]string{
		"ImageAction": "docker image action=%s", "ContainerAction": "docker container action=%s", "TaskAction": "docker task action=%s", "APIVerb": "docker pod verb=%s",
		"ContainerKind": "docker kube-event container_kind=%s", "Source": "%s loss reason=x", "Kind": "json %s",
	} {
		words := constants(t)[name]
		if len(words) < 3 {
			t.Fatalf("%s: %v", name, words)
		}
		for _, w := range append(words, "no-such-word") {
			_, err := scenario.Read("x.scenario", []byte("title: t\nplaces:\n  web: host=h\nevents:\n  +1s web "+fmt.Sprintf(line, w)+"\n"), lib)
			if slices.Contains(words, w) != (err == nil) {
				t.Errorf("%s %s: %v", name, w, err)
			}
		}
	}
}

// Virtual times are read and printed alike.
func TestMoments(t *testing.T) {
	lib := library(t)
	for written, want := range map[string]string{
		"+0s": "+0s", "+1.5s": "+1.5s", "+90s": "+1m30s", "-2h": "-2h", "-8d": "-8d", "-8d2h": "-8d2h", "+15m": "+15m", "+15m0.000000001s": "+15m0.000000001s",
		"+1h10m": "+1h10m", "+36h": "+1d12h", "+3s..+4s": "+3s",
	} {
		text := "title: t\npolicy:\n  settings: {blocked_destinations: [203.0.113.9]}\nplaces:\n  web: host=h\ncontainers: c\nevents:\n  " +
			written + " web docker container action=create id=$c\n  " + written + " web auditd socket container=$c addr=203.0.113.9:80\n"
		s := read(t, lib, text)
		if got := s.Render(scenario.Run(lib, s)); !strings.Contains(got, " egress    "+want+" ") {
			t.Errorf("%s: want %s in\n%s", written, want, got)
		}
	}
}
