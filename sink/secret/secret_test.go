package secret_test

import (
	"encoding/base64"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tidewaiter/sink/secret"
)

func TestSecretsAreReadFromWhatNobodyElseWrites(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("TW_SECRET", " s3cret-value\n")
	t.Setenv("TW_EMPTY", "")
	good := write("good", "s3cret-value\n", 0o600)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		ref      secret.Ref
		want     string
		err      error
		fails    bool
		readable bool
	}{
		"none":          {},
		"file":          {ref: secret.Ref{File: good}, want: "s3cret-value"},
		"link":          {ref: secret.Ref{File: link}, want: "s3cret-value"},
		"readable":      {ref: secret.Ref{File: write("readable", "s3cret-value", 0o644)}, want: "s3cret-value", readable: true},
		"group reads":   {ref: secret.Ref{File: write("group", "s3cret-value", 0o640)}, want: "s3cret-value"},
		"writable":      {ref: secret.Ref{File: write("writable", "s3cret-value", 0o602)}, err: secret.ErrWritable},
		"group writes":  {ref: secret.Ref{File: write("gw", "s3cret-value", 0o620)}, err: secret.ErrWritable},
		"empty":         {ref: secret.Ref{File: write("empty", "\n", 0o600)}, err: secret.ErrEmpty},
		"long":          {ref: secret.Ref{File: write("long", strings.Repeat("s3cret-value", 10000), 0o600)}, fails: true},
		"folder":        {ref: secret.Ref{File: dir}, err: secret.ErrNotRegular},
		"missing":       {ref: secret.Ref{File: filepath.Join(dir, "nothing")}, err: os.ErrNotExist},
		"variable":      {ref: secret.Ref{Value: "${TW_SECRET}"}, want: "s3cret-value"},
		"empty one":     {ref: secret.Ref{Value: "${TW_EMPTY}"}, err: secret.ErrEmpty},
		"literal":       {ref: secret.Ref{Value: "s3cret-value"}, err: secret.ErrLiteral},
		"half literal":  {ref: secret.Ref{Value: "s3cret-value${TW_SECRET}"}, err: secret.ErrLiteral},
		"two of a kind": {ref: secret.Ref{Value: "${TW_SECRET}", File: good}, fails: true},
	} {
		got, err := c.ref.Read()
		if got != c.want || c.err != nil && !errors.Is(err, c.err) || (err != nil) != (c.err != nil || c.fails) || c.ref.Readable() != c.readable {
			t.Errorf("%s: %q, %v, readable %v", name, got, err, c.ref.Readable())
		}
		if err != nil && strings.Contains(err.Error(), "s3cret-value") {
			t.Errorf("%s: the secret is shown: %v", name, err)
		}
	}
}

func TestCleanWordsHoldNoSecret(t *testing.T) {
	var h secret.Hidden
	h.Hide("", "p@ss/word", "p@ss/word-long")
	u, err := url.Parse("https://me:hunter22@h.example/services/T0/B0/abcdefghijkl?token=querytoken&x=1#frag")
	if err != nil {
		t.Fatal(err)
	}
	h.HideURL(u)
	for _, in := range []string{
		"bad p@ss/word-long", "bad p%40ss%2Fword", base64.StdEncoding.EncodeToString([]byte("p@ss/word")),
		`Post "https://me:hunter22@h.example/services/T0/B0/abcdefghijkl?token=querytoken": no`, "hunter22", "the token querytoken is bad",
		"/services/T0/B0/abcdefghijkl", "abcdefghijkl", "see smtp://other:secret@x", "\x1b[2Jabcdefghijkl\n", strings.Repeat("hunter22 ", 9000),
	} {
		out := h.Clean(in)
		for _, s := range []string{"p@ss", "p%40ss", "cEBzcy93b3Jk", "hunter22", "abcdefghijkl", "querytoken", "other:secret", "\x1b", "\n", "-long"} {
			if strings.Contains(out, s) {
				t.Errorf("%.60q gives %q", in, out)
			}
		}
		if out == "" || len(out) > 1000 {
			t.Errorf("%.60q: %d bytes", in, len(out))
		}
	}
	if got := h.Clean("index [logs] not found: no such index"); got != "index [logs] not found: no such index" {
		t.Errorf("plain words read %q", got)
	}
	if h.Error(nil) != nil || h.Error(errors.New("hunter22")).Error() != "[secret]" {
		t.Error("errors are not cleaned")
	}
}
