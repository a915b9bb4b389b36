package layers

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"tidewaiter/posture"
)

// Known is what bad content is known by. The zero Known knows none.
type Known struct {
	Lists *Lists
	Rules *Rules
}

// names are those of the files that it was read from.
func (k Known) names() []string {
	var out []string
	if k.Lists != nil {
		out = append(out, k.Lists.Names...)
	}
	if k.Rules != nil {
		out = append(out, k.Rules.Names...)
	}
	return out
}

// Rules are YARA rules. The program of the YARA project reads them, and looks at
// files by them (yara(1)).
type Rules struct {
	// Names are the files that were read.
	Names   []string
	program string
	files   []string // as the program is given them: a name space, and the file
}

// ReadRules checks YARA rules. It gives nil for no files. It fails if there is no
// program yara, and with what that says of rules that it cannot read, which names
// file and line.
func ReadRules(ctx context.Context, files []string) (*Rules, error) {
	if len(files) == 0 {
		return nil, nil
	}
	program, err := exec.LookPath("yara")
	if err != nil {
		return nil, fmt.Errorf("YARA rules are read by the program yara: %w; distributions have it in a package of that name", err)
	}
	r := &Rules{program: program}
	for i, f := range files {
		whole, err := filepath.Abs(f)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(whole); err != nil {
			return nil, err
		}
		r.Names = append(r.Names, filepath.Base(f))
		// Without a name space, a colon in the path would be taken for one's end.
		r.files = append(r.files, strconv.Itoa(i)+":"+whole)
	}
	none, err := r.batch(ctx)
	if err != nil {
		return nil, err
	}
	defer none.close()
	_, err = none.run()
	return r, err
}

// Bounds of what waits on disk to be looked at, in bytes and files, and of the
// rules that are told of one file.
const (
	maxWaiting = 256 << 20
	maxFiles   = 10_000
	maxRules   = 10
)

// batch is the files of a layer that wait to be looked at. They lie in a folder
// that only we can read, under numbers, until the batch is judged. A nil batch
// takes nothing.
type batch struct {
	rules *Rules
	ctx   context.Context
	dir   string
	names []string
	bytes int64
	found []posture.File
}

// batch makes an empty batch, nil without rules.
func (r *Rules) batch(ctx context.Context) (*batch, error) {
	if r == nil {
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "tidewaiter-yara-")
	return &batch{rules: r, ctx: ctx, dir: dir}, err
}

func (b *batch) close() {
	if b != nil {
		os.RemoveAll(b.dir) // whatever is left is in the system's folder for what is passing
	}
}

// add puts a file's content aside, of a huge file its first 256 MiB, and judges
// those that wait if they are many.
func (b *batch) add(name string, size int64, r io.Reader) error {
	if b == nil {
		return nil
	}
	size = min(size, maxWaiting)
	if b.bytes+size > maxWaiting || len(b.names) == maxFiles {
		if err := b.flush(); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(filepath.Join(b.dir, strconv.Itoa(len(b.names))), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("put a file aside for yara: %w", err)
	}
	_, err = io.Copy(f, io.LimitReader(r, size))
	if err := errors.Join(err, f.Close()); errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read the layer: %w", err)
	} else if err != nil {
		return fmt.Errorf("put a file aside for yara: %w", err)
	}
	b.names = append(b.names, name)
	b.bytes += size
	return nil
}

// judge gives the files that a rule matches.
func (b *batch) judge() ([]posture.File, error) {
	if b == nil {
		return nil, nil
	}
	err := b.flush()
	return b.found, err
}

// flush looks at what waits, and lets go of it.
func (b *batch) flush() error {
	if len(b.names) == 0 {
		return nil
	}
	found, err := b.run()
	for _, f := range found {
		if len(b.found) < maxListed {
			b.found = append(b.found, f)
		}
	}
	for i := range b.names {
		err = errors.Join(err, os.Remove(filepath.Join(b.dir, strconv.Itoa(i))))
	}
	b.names, b.bytes = nil, 0
	return err
}

// externals are the variables that scanners of hosts give to rules, and without
// which public rules cannot be read. Here they are empty.
var externals = []string{"filename", "filepath", "extension", "filetype", "owner"}

// run starts yara, which prints a name space, a rule and a file for each match,
// and on its other output what is wrong with the rules or with a file.
func (b *batch) run() ([]posture.File, error) {
	args := []string{"--print-namespace", "--no-warnings", "--recursive", "--no-follow-symlinks"}
	for _, name := range externals {
		args = append(args, "--define="+name+"=")
	}
	args = append(append(args, b.rules.files...), b.dir)
	c := exec.CommandContext(b.ctx, b.rules.program, args...)
	var says said
	c.Stderr = &says
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start yara: %w", err)
	}
	matched := map[int][]string{} // by file
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if at, note, ok := b.match(lines.Text()); ok && len(matched[at]) < maxRules {
			matched[at] = append(matched[at], note)
		}
	}
	failed := errors.Join(lines.Err(), c.Wait())
	if b.ctx.Err() != nil {
		return nil, fmt.Errorf("%w: it was ended while yara looked", ErrBound)
	}
	var found []posture.File
	for _, at := range slices.Sorted(maps.Keys(matched)) { // it looks at several at once
		slices.Sort(matched[at])
		found = append(found, posture.File{Path: b.names[at], Note: strings.Join(matched[at], ", ")})
	}
	if failed != nil || says.text != nil {
		return found, fmt.Errorf("yara: %s", cmp.Or(strings.TrimSpace(string(says.text)), fmt.Sprint(failed)))
	}
	return found, nil
}

// match reads a line such as "0:miner /tmp/tidewaiter-yara-1/17": file 17 matches
// the rule miner of the first file of rules.
func (b *batch) match(line string) (at int, note string, ok bool) {
	rule, file, _ := strings.Cut(line, " ")
	space, rule, ok := strings.Cut(rule, ":")
	from, err := strconv.Atoi(space)
	at, err2 := strconv.Atoi(filepath.Base(file))
	if !ok || errors.Join(err, err2) != nil || from < 0 || from >= len(b.rules.Names) || at < 0 || at >= len(b.names) {
		return 0, "", false
	}
	return at, fmt.Sprintf("matches the YARA rule %s of %s", rule, b.rules.Names[from]), true
}

// said keeps the first of what a program says.
type said struct{ text []byte }

// maxSaid bounds what is kept of it.
const maxSaid = 4 << 10

// Write implements io.Writer.
func (s *said) Write(p []byte) (int, error) {
	s.text = append(s.text, p[:min(len(p), maxSaid-len(s.text))]...)
	return len(p), nil
}
