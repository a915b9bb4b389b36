package layers

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"tidewaiter/image"
	"tidewaiter/posture"
)

// layer is what one layer holds.
type layer struct {
	// blob is the digest of its bytes as stored, diff that of the archive in it.
	blob, diff         image.Digest
	files              int
	bytes              int64
	setID, hidden, bad []posture.File
	fault              error // why the look ended early
}

// scan reads one layer to its end: a tar archive, bare or packed by gzip or
// zstd.
func scan(r io.Reader, known Known, b *budget) layer {
	var l layer
	files, err := known.Rules.batch(b.ctx)
	if err != nil {
		l.fault = err
		return l
	}
	defer files.close()
	blob, diff := sha256.New(), sha256.New()
	raw := io.TeeReader(r, blob)
	unpacked, err := unpack(raw)
	if err != nil {
		l.fault = err
		return l
	}
	defer unpacked.Close()
	whole := &counted{r: io.TeeReader(unpacked, diff), b: b}
	l.fault = l.entries(tar.NewReader(whole), known.Lists, files, b)
	if l.fault == nil {
		// What follows the archive's end belongs to the digests.
		_, l.fault = io.Copy(io.Discard, whole)
	}
	if l.fault == nil {
		_, l.fault = io.Copy(io.Discard, raw)
	}
	l.bytes = whole.n
	matched, err := files.judge()
	if l.fault == nil {
		l.fault = err
	}
	l.bad = append(l.bad, matched...)
	if l.fault == nil {
		l.blob, l.diff = digestOf(blob), digestOf(diff)
		l.hash(l.blob.String()[len("sha256:"):], known.Lists)
	}
	return l
}

// hash looks for a layer's own digest on the lists.
func (l *layer) hash(sum string, lists *Lists) {
	if from, ok := lists.find(sum); ok {
		l.bad = append(l.bad, posture.File{Path: "", Note: "the layer as a whole is on the list " + from})
	}
}

func digestOf(h hash.Hash) image.Digest {
	d, _ := image.ParseDigest("sha256:" + hex.EncodeToString(h.Sum(nil))) // well formed
	return d
}

// counted counts what is read through it.
type counted struct {
	r io.Reader
	b *budget
	n int64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if over := c.b.unpack(n); over != nil {
		return n, over
	}
	return n, err
}

// unpack looks at the magic number: gzip (RFC 1952), Zstandard (RFC 8878), else
// bare.
func unpack(r io.Reader) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	magic, err := br.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(br)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(br), nil
}

func (l *layer) entries(tr *tar.Reader, lists *Lists, files *batch, b *budget) error {
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the layer: %w", err)
		}
		if err := b.entry(); err != nil {
			return err
		}
		if climbs(h.Name) || (h.Typeflag == tar.TypeLink && climbs(h.Linkname)) {
			add(&l.hidden, h.Name, "its name climbs out of the layer, as an attack on whoever unpacks it does")
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		l.files++
		if err := l.file(h, tr, lists, files, b); err != nil {
			return err
		}
	}
}

func climbs(name string) bool { return slices.Contains(strings.Split(name, "/"), "..") }

func add(to *[]posture.File, file, note string) {
	if len(*to) < maxListed {
		*to = append(*to, posture.File{Path: file, Note: note})
	}
}

// file looks at one file.
func (l *layer) file(h *tar.Header, r io.Reader, lists *Lists, files *batch, b *budget) error {
	head := make([]byte, 4)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read the layer: %w", err)
	}
	head = head[:n]
	program := bytes.Equal(head, []byte("\x7fELF")) || bytes.HasPrefix(head, []byte("#!"))
	executable := h.Mode&0o111 != 0
	if executable && h.Mode&0o6000 != 0 {
		add(&l.setID, h.Name, fmt.Sprintf("mode %04o, user %d, group %d", h.Mode&0o7777, h.Uid, h.Gid))
	}
	if executable && h.PAXRecords["SCHILY.xattr.security.capability"] != "" {
		add(&l.setID, h.Name, "has capabilities of its own, whoever runs it")
	}
	if executable && program {
		if why := hiding(h.Name); why != "" {
			add(&l.hidden, h.Name, why)
		}
	}
	if h.Size == 0 || (lists.empty() && files == nil) {
		return nil // what is not read here, the next entry skips
	}
	if err := b.read(h.Size); err != nil {
		return err
	}
	sums, into := lists.hashes()
	whole := io.TeeReader(io.MultiReader(bytes.NewReader(head), r), into) // a hash never fails
	if err := files.add(h.Name, h.Size, whole); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, whole); err != nil {
		return fmt.Errorf("read the layer: %w", err)
	}
	for _, s := range sums {
		if from, ok := lists.find(hex.EncodeToString(s.Sum(nil))); ok {
			add(&l.bad, h.Name, "its content is on the list "+from)
			break
		}
	}
	return nil
}

// dotFolders are folders with a dot before their name in which programs are
// used to keep executables.
var dotFolders = []string{".bin", ".build-id", ".bun", ".bundle", ".cabal", ".cargo", ".conda", ".deno", ".dotnet", ".gem", ".git", ".go", ".gradle",
	".krew", ".local", ".m2", ".npm", ".npm-global", ".nuget", ".nvm", ".opam", ".pixi", ".pnpm", ".pnpm-store", ".pyenv", ".rbenv", ".rustup", ".sdkman",
	".stack", ".venv", ".virtualenv", ".vscode-server", ".yarn", ".asdf", ".cache", ".config", ".github", ".husky", ".oh-my-zsh"}

// places are folders in which nobody looks for programs, or which are covered by
// a mount when a container runs.
var places = []string{"tmp", "var/tmp", "dev", "proc", "sys", "run", "var/run", "lost+found", "var/spool"}

// hiding says why a program's place is one where nobody looks, or "".
func hiding(name string) string {
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	for _, p := range places {
		if strings.HasPrefix(clean, p+"/") {
			return "an executable below /" + p
		}
	}
	for i, part := range strings.Split(clean, "/") {
		last := strings.HasSuffix(clean, "/"+part) || i == strings.Count(clean, "/")
		switch {
		case strings.TrimFunc(part, unicode.IsSpace) != part || strings.Trim(part, ".") == "":
			return "an executable behind a name that shows nothing"
		case strings.ContainsFunc(part, func(r rune) bool { return !unicode.IsPrint(r) }):
			return "an executable behind a name with invisible characters"
		case strings.HasPrefix(part, ".") && !slices.Contains(dotFolders, part):
			if last {
				return "an executable with a dot before its name"
			}
			return "an executable in the hidden folder " + part
		}
	}
	return ""
}

// The algorithms of hash lists, by the length of their sums in hex digits.
func hashFor(digits int) func() hash.Hash {
	return map[int]func() hash.Hash{32: md5.New, 40: sha1.New, 64: sha256.New}[digits]
}
