package layers

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// part is one entry of a tar archive.
type part struct {
	tar.Header
	data []byte
}

func file(name, data string, mode int64) part {
	return part{tar.Header{Name: name, Mode: mode, Typeflag: tar.TypeReg}, []byte(data)}
}

func pack(parts ...part) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, p := range parts {
		p.Size = int64(len(p.data))
		if err := w.WriteHeader(&p.Header); err != nil {
			panic(err)
		}
		if _, err := w.Write(p.data); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func zip(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func sum(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

func config(layers ...[]byte) []byte {
	c := map[string]any{"created": "2026-10-01T00:00:00Z", "config": map[string]string{"User": "app"}, "history": []map[string]string{{"created_by": "COPY app /app"}}}
	diffs := []string{}
	for _, l := range layers {
		diffs = append(diffs, sum(l))
	}
	c["rootfs"] = map[string]any{"type": "layers", "diff_ids": diffs}
	b, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return b
}

// saved is an archive in Docker's own form.
func saved(layers ...[]byte) []part {
	var names []string
	var out []part
	for i, l := range layers {
		n := fmt.Sprintf("%d/layer.tar", i)
		names = append(names, n)
		out = append(out, file(n, string(l), 0o644))
	}
	table, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{"registry.example/web:1"}, "Layers": names}})
	if err != nil {
		panic(err)
	}
	return append(out, file("config.json", string(config(layers...)), 0o644), file("manifest.json", string(table), 0o644))
}

func look(t *testing.T, archive []byte, opt Options) Found {
	t.Helper()
	f, err := Archive(context.Background(), bytes.NewReader(archive), opt)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const elf = "\x7fELF and more"

var bad = pack(
	file("usr/bin/.x/miner", elf, 0o755), file("tmp/run", "#!/bin/sh\n", 0o755), file("tmp/notes", "text", 0o755), file("usr/local/bin/root", elf, 0o4755),
	file("../../etc/cron.d/x", "* * * * * root x\n", 0o644), file("usr/share/payload", "evil", 0o644), file("root/.local/bin/uv", elf, 0o755),
	part{tar.Header{Name: "usr/bin/ping", Mode: 0o755, Typeflag: tar.TypeReg, Format: tar.FormatPAX, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "\x01"}}, []byte(elf)},
	part{tar.Header{Name: "etc/x", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"}, nil},
)

func lists(t *testing.T, lines ...string) *Lists {
	t.Helper()
	f := filepath.Join(t.TempDir(), "bad.txt")
	if err := os.WriteFile(f, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := ReadLists([]string{f})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// What lies in layers is found, whatever the archive's form and packing.
func TestContent(t *testing.T) {
	evil := sha256.Sum256([]byte("evil"))
	known := lists(t, "# known", "", "4034a346ccee15292d823416f7510a2f,md5 of evil", hex.EncodeToString(evil[:])+"  payload")
	for name, archive := range map[string][]byte{
		"bare": pack(saved(bad)...), "packed": zip(pack(saved(bad)...)), "packed layer": pack(append(saved(bad)[1:], file("0/layer.tar", string(zip(bad)), 0o644))...),
		"linked layer": pack(append(saved(bad)[1:], file("x/layer.tar", string(bad), 0o644), part{tar.Header{Name: "0/layer.tar", Typeflag: tar.TypeSymlink, Linkname: "../x/layer.tar"}, nil})...),
	} {
		f := look(t, archive, Options{Known: Known{Lists: known}, Where: "a.tar"})
		if len(f.Images) != 1 {
			t.Errorf("%s: %d images", name, len(f.Images))
			continue
		}
		im := f.Images[0]
		c := im.Content
		if c.Stopped != "" || im.Name != "registry.example/web:1" || im.User != "app" || len(im.History) != 1 || c.Layers != 1 || c.Files != 8 {
			t.Errorf("%s: %+v %+v", name, im, c)
		}
		if len(c.SetID) != 2 || len(c.Hidden) != 3 || len(c.Bad) != 1 || c.Bad[0].Path != "usr/share/payload" {
			t.Errorf("%s: set-id %v, hidden %v, bad %v", name, c.SetID, c.Hidden, c.Bad)
		}
	}
}

// An archive that was made to do harm does none: bounds end the look, and what
// was seen until then is told.
func TestHostileArchives(t *testing.T) {
	zeros := pack(file("zeros", strings.Repeat("\x00", 8<<20), 0o644))
	var many []part
	for i := range 5000 {
		many = append(many, file(fmt.Sprint(i), "", 0o644))
	}
	loop := append(saved(bad)[1:], part{tar.Header{Name: "0/layer.tar", Typeflag: tar.TypeSymlink, Linkname: "../0/layer.tar"}, nil})
	for name, c := range map[string]struct {
		archive []byte
		limits  Limits
		want    string
	}{
		"bomb":             {pack(saved(bad, zip(zeros))...), Limits{Unpacked: 1 << 20}, "more than 1048576 bytes"},
		"bomb around":      {zip(pack(saved(zeros)...)), Limits{Unpacked: 1 << 20}, "more than 1048576 bytes"},
		"entries":          {pack(saved(bad, pack(many...))...), Limits{Files: 1000}, "more than 1000 entries"},
		"long document":    {pack(append(saved(bad), file("x.json", "{"+strings.Repeat(" ", 1<<20), 0o644))...), Limits{Document: 1 << 16}, "more than 65536 bytes"},
		"links in circles": {pack(loop...), Limits{}, "not in the archive"},
		"another layer":    {pack(append(saved(bad)[1:], file("0/layer.tar", string(zeros), 0o644))...), Limits{}, "not the one that the configuration names"},
		"cut short":        {pack(saved(bad)...)[:3000], Limits{}, "unexpected EOF"},
		"a cut layer":      {pack(append(saved(bad)[1:], file("0/layer.tar", string(zip(bad)[:60]), 0o644))...), Limits{}, "EOF"},
		"time":             {pack(saved(bad)...), Limits{Time: time.Nanosecond}, "longer than 1ns"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := Archive(context.Background(), bytes.NewReader(c.archive), Options{Limits: c.limits, Where: "a.tar"})
		runtime.ReadMemStats(&after)
		if err != nil || len(f.Images) != 1 || !strings.Contains(f.Images[0].Content.Stopped, c.want) {
			t.Errorf("%s: %+v, %v; want %q", name, f.Images, err, c.want)
			continue
		}
		if name == "bomb" && len(f.Images[0].Content.SetID) == 0 {
			t.Errorf("%s: what was seen before is not told", name)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
			t.Errorf("%s: took %d bytes", name, used)
		}
	}
	for name, archive := range map[string][]byte{"empty": nil, "no archive": []byte(strings.Repeat("x", 2000)), "of nothing": pack(file("a", "b", 0o644)), "no table": pack(file("manifest.json", "{", 0o644))} {
		if f, err := Archive(context.Background(), bytes.NewReader(archive), Options{}); err == nil {
			t.Errorf("%s: no error, %+v", name, f)
		}
	}
}

// "docker load" takes the table or the index, by its version: an archive in
// which they differ is read both ways.
func TestTwoTablesAreBothRead(t *testing.T) {
	clean := pack(file("app", elf, 0o755))
	goodConfig, badConfig := config(clean), config(bad)
	m := []byte(fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":%q},"layers":[{"digest":%q}]}`, sum(goodConfig), sum(clean)))
	index := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"digest":%q}]}`, sum(m))
	table := `[{"Config":"bad.json","RepoTags":["web:1"],"Layers":["bad.tar"]}]`
	f := look(t, pack(file("bad.tar", string(bad), 0o644), file("bad.json", string(badConfig), 0o644), file("manifest.json", table, 0o644), file("index.json", index, 0o644),
		file("blobs/sha256/1", string(goodConfig), 0o644), file("blobs/sha256/2", string(m), 0o644), file("blobs/sha256/3", string(clean), 0o644)), Options{})
	if len(f.Images) != 2 || len(f.Images[0].Content.Hidden) == 0 || len(f.Images[1].Content.Hidden) != 0 {
		t.Errorf("%+v", f.Images)
	}
}

func writeLayout(t *testing.T, blobs ...[]byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "blobs/sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, b := range blobs {
		if err := os.WriteFile(filepath.Join(dir, "blobs/sha256", sum(b)[7:]), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func layoutOf(t *testing.T, layer []byte) (dir string, manifest []byte) {
	t.Helper()
	c := config(bad)
	m := []byte(fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":%q},"layers":[{"digest":%q}]}`, sum(c), sum(layer)))
	bundle := []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`)
	attached := []byte(fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":%q},"subject":{"digest":%q},"layers":[{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","digest":%q}]}`, sum(c), sum(m), sum(bundle)))
	dir = writeLayout(t, c, m, layer, bundle, attached)
	index := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"digest":%q,"annotations":{"org.opencontainers.image.ref.name":"registry.example/web:1"}},{"digest":%q}]}`, sum(m), sum(attached))
	if err := os.WriteFile(filepath.Join(dir, "index.json"), []byte(index), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, m
}

func TestLayout(t *testing.T) {
	layer := zip(bad)
	dir, m := layoutOf(t, layer)
	f, err := Layout(context.Background(), dir, Options{Where: dir})
	if err != nil || len(f.Images) != 1 || len(f.Bundles) != 1 {
		t.Fatalf("%+v %v", f, err)
	}
	im := f.Images[0]
	if im.Name != "registry.example/web:1" || im.Content.Stopped != "" || len(im.Content.Hidden) != 3 || len(im.Digests) != 2 || im.Digests[1].String() != sum(m) {
		t.Errorf("%+v %+v", im, im.Content)
	}
	if f.Bundles[0].Subject.String() != sum(m) {
		t.Errorf("%+v", f.Bundles[0])
	}

	blob := filepath.Join(dir, "blobs/sha256", sum(layer)[7:])
	replaced := func(name string, make func() error, want string) {
		if err := errors.Join(os.Remove(blob), make()); err != nil {
			t.Fatal(err)
		}
		f, err := Layout(context.Background(), dir, Options{})
		if err != nil || len(f.Images) != 1 || !strings.Contains(f.Images[0].Content.Stopped, want) {
			t.Errorf("%s: %+v %v", name, f.Images, err)
		}
	}
	outside := filepath.Join(t.TempDir(), "layer")
	if err := os.WriteFile(outside, layer, 0o644); err != nil {
		t.Fatal(err)
	}
	replaced("a link out of the folder", func() error { return os.Symlink(outside, blob) }, "path escapes")
	replaced("a pipe", func() error { return syscall.Mkfifo(blob, 0o644) }, "not a regular file")
	replaced("something else", func() error { return os.WriteFile(blob, zip(pack(file("a", "b", 0o644))), 0o644) }, "another digest")
	if _, err := Layout(context.Background(), t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "no OCI layout") {
		t.Errorf("%v", err)
	}
}

// An image is read from a registry, with what refers to it; an endless answer
// is cut.
func TestRegistry(t *testing.T) {
	server := httptest.NewServer(ggcr.New(ggcr.WithReferrersSupport(true)))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	ref, err := name.ParseReference(host + "/team/web:1")
	if err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(bad)), nil })
	if err != nil {
		t.Fatal(err)
	}
	im, err := mutate.Append(empty.Image, mutate.Addendum{Layer: l, History: v1.History{CreatedBy: "COPY x y"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, im); err != nil {
		t.Fatal(err)
	}
	digest, err := im.Digest()
	if err != nil {
		t.Fatal(err)
	}
	f, err := Registry(context.Background(), host+"/team/web:1", Options{Where: "r"})
	if err != nil || len(f.Images) != 1 || len(f.Bundles) != 0 {
		t.Fatalf("%+v %v", f, err)
	}
	got := f.Images[0]
	if got.Content.Stopped != "" || len(got.Content.Hidden) != 3 || len(got.Origins) != 1 || got.Origins[0].Digest().String() != digest.String() || len(got.History) != 1 {
		t.Errorf("%+v %+v", got, got.Content)
	}
	f, err = Registry(context.Background(), host+"/team/web:1", Options{Limits: Limits{Unpacked: 2000}})
	if err != nil || !strings.Contains(f.Images[0].Content.Stopped, "bound") {
		t.Errorf("%+v %v", f, err)
	}
	for _, name := range []string{host + "/team/none:1", "NO:", host + "/team/web@sha256:" + strings.Repeat("a", 64)} {
		if _, err := Registry(context.Background(), name, Options{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestLists(t *testing.T) {
	l := lists(t, "\ufeff# head", "sha256:"+strings.Repeat("A", 64)+"  x", strings.Repeat("b", 40)+",name", "\t")
	if _, ok := l.find(strings.Repeat("a", 64)); !ok || len(l.sums) != 2 || len(l.sizes) != 2 {
		t.Errorf("%+v", l)
	}
	f := filepath.Join(t.TempDir(), "bad.txt")
	for text, want := range map[string]string{"zz": "bad.txt:1: want the hex", strings.Repeat("a", 63): ":1: want", "# x\n" + strings.Repeat("a", 66): ":2: want", strings.Repeat("x", 100<<10): "too long"} {
		if err := os.WriteFile(f, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadLists([]string{f}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if _, err := ReadLists([]string{"/nonexistent"}); err == nil {
		t.Error("no error")
	}
}

func TestHidingPlaces(t *testing.T) {
	for name, want := range map[string]bool{
		"tmp/x": true, "var/tmp/a/b": true, "dev/shm/x": true, "usr/bin/.x": true, "usr/lib/.cache2/x": true, "usr/bin/... /x": true, ".../x": true, "usr/bin/a\u200b": true, "usr/bin/ sh": true,
		"usr/bin/sh": false, "root/.cargo/bin/cargo": false, "app/node_modules/.bin/tsc": false, "usr/lib/debug/.build-id/aa/b": false, "./usr/bin/x": false, "tmpfiles/x": false,
	} {
		if got := hiding(name) != ""; got != want {
			t.Errorf("%q: %v (%s)", name, got, hiding(name))
		}
	}
}

func FuzzArchive(f *testing.F) {
	f.Add(pack(saved(bad)...))
	f.Add(zip(pack(saved(bad)...)))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = Archive(context.Background(), bytes.NewReader(data), Options{Limits: Limits{Unpacked: 1 << 22, Files: 1000}}) // must not panic
	})
}

// A sparse file can be as long as it likes in an archive of a few blocks (GNU tar,
// PAX sparse format 0.1): it is not read to its end.
func TestASparseFile(t *testing.T) {
	records := ""
	for _, r := range []string{"GNU.sparse.size=8589934592", "GNU.sparse.numblocks=1", "GNU.sparse.map=8589934592,0"} {
		records += fmt.Sprintf("%d %s\n", len(r)+4, r) // all have two digits
	}
	layer := pack(file("records", records, 0o644), file("hole", "", 0o644))
	sum := 0
	layer[156] = 'x' // not a file, but what is said of the next
	copy(layer[148:156], "        ")
	for _, c := range layer[:512] {
		sum += int(c)
	}
	copy(layer[148:156], fmt.Sprintf("%06o\x00 ", sum))
	f := look(t, pack(saved(layer)...), Options{Known: Known{Lists: lists(t, strings.Repeat("a", 64))}, Limits: Limits{Unpacked: 1 << 30}})
	if got := f.Images[0].Content.Stopped; !strings.Contains(got, "longer than 1073741824 bytes") {
		t.Errorf("stopped by %q", got)
	}
}
