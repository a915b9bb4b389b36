package guest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"

	"tidewaiter/event"
	"tidewaiter/source"
)

// UserData is user data as it lies on a machine, or as DescribeInstanceAttribute
// gives it: a script, cloud-config, a list of includes, or a MIME archive of
// such parts, each of them plain, compressed or in base64 (docs.cloud-init.io,
// "User-Data Formats"), and the elements that EC2 on Windows runs. Each part
// is an event. It has no time: it says what shall run, not that it did.
func UserData() *source.Format {
	return &source.Format{
		Name:    "user-data",
		Title:   "user data (script, cloud-config, MIME)",
		Source:  event.UserDump,
		Framing: source.Whole,
		Sniff:   sniffUserData,
		New:     func(out *source.Output) source.Decoder { return &userDataDecoder{out: out} },
	}
}

var (
	errNotUserData = errors.New("no user data: neither a script, cloud-config, includes, nor a MIME archive")
	errNested      = errors.New("too many archives in each other")
	errUnpacked    = errors.New("unpacks to more than is read")
)

// Bounds of unpacking.
const (
	maxNested   = 6
	maxParts    = 256
	maxUnpacked = 8 << 20
)

type userDataDecoder struct{ out *source.Output }

// Flush implements source.Decoder; nothing is held back.
func (d *userDataDecoder) Flush() {}

// Decode implements source.Decoder.
func (d *userDataDecoder) Decode(rec source.Record) {
	u := unpacker{room: maxUnpacked}
	err := u.part(rec.Data, &event.GuestScript{Stage: event.GuestStored, Agent: "cloud-init"}, 0)
	switch {
	case err != nil:
		d.out.Unreadable(rec, err)
	case len(u.parts) == 0:
		d.out.Skip()
	}
	if err != nil {
		return
	}
	for i, b := range u.parts {
		key := strconv.Itoa(i) + b.SHA256
		if i == 0 {
			d.out.Event(event.Event{Body: b}, []byte(key), rec.Span)
		} else {
			d.out.Beside(event.Event{Body: b}, []byte(key), rec.Span)
		}
	}
}

// unpacker collects the parts of user data.
type unpacker struct {
	parts []*event.GuestScript
	room  int // bytes that may still be unpacked
}

// part reads one part: what it is packed in, or itself. about says what is
// known of it from around.
func (u *unpacker) part(data []byte, about *event.GuestScript, depth int) error {
	switch {
	case depth > maxNested:
		return errNested
	case bytes.HasPrefix(data, []byte{0x1f, 0x8b}):
		return u.gzip(data, about, depth)
	}
	text := bytes.TrimLeft(data, " \t\r\n")
	if len(text) == 0 {
		return nil
	}
	if plain := unBase64(text); plain != nil {
		return u.part(plain, about, depth+1)
	}
	switch kind := kindOf(text); {
	case kind == "mime":
		return u.mime(text, about, depth)
	case kind != "":
		return u.add(text, kind, about, depth)
	case about.Type != "": // a part of an archive says what it is
		return u.add(text, about.Type, about, depth)
	}
	return errNotUserData
}

func (u *unpacker) gzip(data []byte, about *event.GuestScript, depth int) error {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("read gzip: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, int64(u.room)+1))
	if err != nil {
		return fmt.Errorf("read gzip: %w", err)
	}
	if u.room -= len(plain); u.room < 0 {
		return errUnpacked
	}
	return u.part(plain, about, depth+1)
}

// kindOf tells a part by how it begins, "" if it begins like none.
func kindOf(text []byte) string {
	if bytes.HasPrefix(text, []byte("## template:")) {
		_, text, _ = bytes.Cut(text, []byte{'\n'})
		text = bytes.TrimLeft(text, " \t\r\n")
	}
	line, _, _ := bytes.Cut(text[:min(len(text), 256)], []byte{'\n'})
	first := strings.TrimSpace(string(line))
	lower := strings.ToLower(first)
	for _, k := range []struct{ prefix, kind string }{
		{"#!", "text/x-shellscript"}, {"#cloud-config-archive", "text/cloud-config-archive"}, {"#cloud-config", "text/cloud-config"}, {"#include-once", "text/x-include-once-url"}, {"#include", "text/x-include-url"},
		{"#cloud-boothook", "text/cloud-boothook"}, {"#part-handler", "text/part-handler"}, {"#upstart-job", "text/upstart-job"},
		{"<powershell>", "text/x-powershell"}, {"<script>", "text/x-batch"}, {"<persist>", "text/x-powershell"},
		{"content-type:", "mime"}, {"mime-version:", "mime"}, {"from nobody ", "mime"},
	} {
		if strings.HasPrefix(lower, k.prefix) {
			return k.kind
		}
	}
	return ""
}

// unBase64 is what a text in base64 holds, if that begins like user data, or is
// that in base64 once more: some tools encode what is encoded.
func unBase64(text []byte) []byte {
	plain := decode64(text)
	if plain == nil || begins(plain) || begins(decode64(plain)) {
		return plain
	}
	return nil
}

// begins reports whether data begin like user data.
func begins(data []byte) bool {
	return bytes.HasPrefix(data, []byte{0x1f, 0x8b}) || kindOf(bytes.TrimLeft(data, " \t\r\n")) != ""
}

func decode64(text []byte) []byte {
	if len(text) < 8 || bytes.IndexByte(text, '#') >= 0 || bytes.IndexByte(text, ':') >= 0 || bytes.IndexByte(text, '<') >= 0 {
		return nil
	}
	joined := bytes.Join(bytes.Fields(text), nil)
	enc := base64.StdEncoding
	if len(joined)%4 != 0 {
		enc = base64.RawStdEncoding
	}
	plain := make([]byte, enc.DecodedLen(len(joined)))
	n, err := enc.Decode(plain, joined)
	if err != nil || n == 0 {
		return nil
	}
	return plain[:n]
}

// mime reads a MIME archive, or a single part with its head.
func (u *unpacker) mime(text []byte, about *event.GuestScript, depth int) error {
	if bytes.HasPrefix(text, []byte("From ")) {
		_, text, _ = bytes.Cut(text, []byte{'\n'})
	}
	m, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("MIME: %w", err)
	}
	typ, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("MIME: Content-Type: %w", err)
	}
	if !strings.HasPrefix(typ, "multipart/") {
		return u.content(m.Body, m.Header.Get("Content-Transfer-Encoding"), partOf(about, typ, m.Header.Get("Content-Disposition"), len(u.parts)), depth)
	}
	if params["boundary"] == "" {
		return errors.New("MIME: no boundary")
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("MIME: %w", err)
		}
		inner, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil {
			inner = "text/plain"
		}
		b := partOf(about, inner, p.Header.Get("Content-Disposition"), len(u.parts))
		if strings.HasPrefix(inner, "multipart/") {
			body, err := io.ReadAll(p)
			if err != nil {
				return fmt.Errorf("MIME: %w", err)
			}
			if err := u.mime(append([]byte("Content-Type: "+p.Header.Get("Content-Type")+"\n\n"), body...), about, depth+1); err != nil {
				return err
			}
			continue
		}
		if err := u.content(p, p.Header.Get("Content-Transfer-Encoding"), b, depth); err != nil {
			return fmt.Errorf("%s: %w", clip(b.Name), err)
		}
	}
}

// partOf begins the body of a part of an archive. cloud-init numbers parts that
// have no name.
func partOf(about *event.GuestScript, typ, disposition string, n int) *event.GuestScript {
	b := &event.GuestScript{Stage: about.Stage, Agent: about.Agent, Type: typ, Name: fmt.Sprintf("part-%03d", n+1)}
	if _, params, err := mime.ParseMediaType(disposition); err == nil && params["filename"] != "" {
		b.Name = params["filename"]
	}
	return b
}

// content reads a part's own bytes.
func (u *unpacker) content(r io.Reader, encoding string, b *event.GuestScript, depth int) error {
	if depth > maxNested {
		return errNested
	}
	if strings.EqualFold(encoding, "base64") {
		r = base64.NewDecoder(base64.StdEncoding, r)
	}
	data, err := io.ReadAll(io.LimitReader(r, int64(u.room)+1))
	if err != nil {
		return err
	}
	if u.room -= len(data); u.room < 0 {
		return errUnpacked
	}
	return u.part(data, b, depth+1)
}

// add reads a part that is packed in nothing.
func (u *unpacker) add(text []byte, kind string, about *event.GuestScript, depth int) error {
	if len(u.parts) >= maxParts {
		return errors.New("too many parts")
	}
	b := *about
	if b.Type == "" || b.Type == "text/plain" || b.Type == "text/x-not-multipart" || b.Type == "application/octet-stream" {
		b.Type = kind
	}
	describe(&b, text)
	var err error
	switch kind {
	case "text/cloud-config", "text/cloud-config-jsonp":
		err = cloudConfig(&b, text)
	case "text/cloud-config-archive":
		return u.archive(text, about, depth)
	case "text/x-include-url", "text/x-include-once-url":
		for line := range strings.Lines(string(text)) {
			if s := strings.TrimSpace(line); s != "" && !strings.HasPrefix(s, "#") && len(b.Downloads) < maxCommands {
				b.Downloads = append(b.Downloads, redact(s))
			}
		}
	case "text/x-powershell", "text/x-batch":
		b.Agent = "ec2launch"
		b.Commands = scriptCommands(stripElements(string(text)))
	case "text/x-shellscript", "text/cloud-boothook", "text/x-shellscript-per-boot", "text/x-shellscript-per-instance", "text/x-shellscript-per-once", "text/upstart-job":
		b.Commands = scriptCommands(string(text))
	}
	if err != nil {
		return err
	}
	u.parts = append(u.parts, &b)
	return nil
}

// stripElements cuts the elements around what EC2 runs on Windows.
func stripElements(s string) string {
	for _, e := range []string{"powershell", "script", "persist", "powershellArguments"} {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "<"+e+">", "\n"), "</"+e+">", "\n")
	}
	return s
}

func sniffUserData(head source.Sample) int {
	text := bytes.TrimLeft(head.Data, " \t\r\n")
	if plain := unBase64(text); plain != nil && len(head.Data) < 60<<10 {
		return 85
	}
	switch kindOf(text) {
	case "":
		return 0
	case "text/x-shellscript":
		return 20 // any script begins so
	case "mime":
		if bytes.Contains(bytes.ToLower(head.Data), []byte("multipart/")) || bytes.Contains(head.Data, []byte("#!")) || bytes.Contains(head.Data, []byte("#cloud-config")) {
			return 80
		}
		return 0
	case "text/x-include-url":
		if first, _, _ := bytes.Cut(text, []byte{'\n'}); len(bytes.TrimSpace(first)) > len("#include") && !addresses.Match(first) {
			return 0 // the C language
		}
	}
	return 90
}
