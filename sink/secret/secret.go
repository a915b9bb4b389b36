// Package secret reads what sinks prove themselves with, and keeps it out of
// texts that people are shown.
//
// In: a file's name or an environment variable's, and error texts. Out: the
// secret; texts without it.
package secret

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"tidewaiter/visible"
)

// Faults of secrets.
var (
	// ErrWritable is what a file fails with that others than its owner may
	// write: whoever writes it chooses where findings go.
	ErrWritable = errors.New("others than its owner may write it")
	// ErrNotRegular is what fails that is no plain file behind its links.
	ErrNotRegular = errors.New("not a plain file")
	// ErrEmpty is what an empty file or variable fails with.
	ErrEmpty = errors.New("empty")
	// ErrLiteral is what a secret fails with that stands in a configuration.
	ErrLiteral = errors.New("a secret does not stand here: name a file that holds it, or write ${NAME} for an environment variable")
)

// maxSize bounds a secret's file.
const maxSize = 64 << 10

// Ref says where a secret is from; at most one of the two is set.
type Ref struct {
	// Value is "${NAME}", an environment variable.
	Value string
	// File is a file that holds it; blanks and line ends around it don't count.
	File string
}

// IsZero reports whether there is none.
func (r Ref) IsZero() bool { return r == Ref{} }

var variable = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)

// Check finds what is wrong with a reference without reading the secret.
func (r Ref) Check() error {
	switch {
	case r.Value != "" && r.File != "":
		return errors.New("both a file and a variable are named")
	case r.Value != "" && !variable.MatchString(r.Value):
		return ErrLiteral // and the text itself is not repeated
	}
	return nil
}

// Read gives the secret, "" if the reference is zero. Errors name the file or
// variable and nothing that is in it.
func (r Ref) Read() (string, error) {
	if err := r.Check(); err != nil {
		return "", err
	}
	if r.Value != "" {
		name := variable.FindStringSubmatch(r.Value)[1]
		if s := strings.TrimSpace(os.Getenv(name)); s != "" {
			return s, nil
		}
		return "", fmt.Errorf("environment variable %s: %w", name, ErrEmpty)
	}
	if r.File == "" {
		return "", nil
	}
	if _, err := stat(r.File); err != nil {
		return "", err
	}
	f, err := os.Open(r.File)
	if err != nil {
		return "", fmt.Errorf("secret: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	switch s := strings.TrimSpace(string(b)); {
	case err != nil:
		return "", fmt.Errorf("secret: %w", err)
	case len(b) > maxSize:
		return "", fmt.Errorf("secret %s: longer than %d bytes", r.File, maxSize)
	case s == "":
		return "", fmt.Errorf("secret %s: %w", r.File, ErrEmpty)
	default:
		return s, nil
	}
}

// stat refuses what is no plain file, before opening it could block, and what
// others may write.
func stat(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("secret: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("secret %s: %w", path, ErrNotRegular)
	case info.Mode().Perm()&0o022 != 0:
		return nil, fmt.Errorf("secret %s: %w", path, ErrWritable)
	}
	return info, nil
}

// Readable reports whether everybody on the host may read the file: worth a
// warning, and no more, as files that orchestrators mount are like that.
func (r Ref) Readable() bool {
	if r.File == "" {
		return false
	}
	info, err := stat(r.File)
	return err == nil && info.Mode().Perm()&0o004 != 0
}

// Hidden are the secrets that a sink knows, in every form in which a receiver
// or a library could repeat them.
type Hidden struct{ texts []string }

// Hide adds secrets; empty ones don't count.
func (h *Hidden) Hide(secrets ...string) {
	for _, s := range secrets {
		if s == "" {
			continue
		}
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s), base64.StdEncoding.EncodeToString([]byte(s))} {
			if !slices.Contains(h.texts, form) {
				h.texts = append(h.texts, form)
			}
		}
	}
	// A secret can be a part of another: the longer goes first.
	slices.SortStableFunc(h.texts, func(a, b string) int { return len(b) - len(a) })
}

// minSegment is the length from which on a part of a URL's path may be a token.
const minSegment = 8

// HideURL adds what can be a secret in a URL: who logs in, the query, the path
// and its longer parts.
func (h *Hidden) HideURL(u *url.URL) {
	if pass, set := u.User.Password(); set {
		h.Hide(pass)
	}
	h.Hide(u.User.Username(), u.RawQuery, u.Fragment)
	for _, values := range u.Query() {
		h.Hide(values...)
	}
	if len(u.Path) >= minSegment {
		h.Hide(u.Path, strings.Trim(u.Path, "/"))
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if len(part) >= minSegment {
			h.Hide(part)
		}
	}
}

// address is any URL: its path, query and user can hold a token.
var address = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s"'<>]+`)

// maxText bounds what is repeated of a receiver's words.
const maxText = 300

// Clean makes a receiver's or a library's words safe to show: without secrets
// and URLs, printable, and short.
func (h *Hidden) Clean(text string) string {
	for _, s := range h.texts {
		text = strings.ReplaceAll(text, s, "[secret]")
	}
	text = visible.Text(address.ReplaceAllString(strings.TrimSpace(text), "${1}[…]"))
	if r := []rune(text); len(r) > maxText {
		text = string(r[:maxText]) + "…"
	}
	return text
}

// Error is an error with clean words. What it stood for is not kept, as
// unwrapping it would show the text again.
func (h *Hidden) Error(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(h.Clean(err.Error()))
}
