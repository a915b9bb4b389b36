package image

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseDigest(t *testing.T) {
	hex512 := hexI + hexM
	for _, good := range []string{dgI, "sha384:" + hex512[:96], "sha512:" + hex512} {
		d, err := ParseDigest(good)
		if err != nil || d.String() != good || d.IsZero() {
			t.Errorf("ParseDigest(%q) = %v, %v", good, d, err)
		}
	}
	for _, bad := range []string{
		"", hexI, "sha256:", "sha256:" + hexI[1:], "sha256:" + hexI + "1", "sha256:" + strings.ToUpper("ab"+hexI[2:]),
		"SHA256:" + hexI, "sha1:" + hexI[:40], "md5:" + hexI[:32], " " + dgI, dgI + "\n", "sha512:" + hexI, "sha256-" + hexI,
	} {
		if d, err := ParseDigest(bad); !errors.Is(err, ErrBadDigest) || !d.IsZero() {
			t.Errorf("ParseDigest(%q) = %v, %v; want ErrBadDigest", bad, d, err)
		}
	}
}

func TestParseID(t *testing.T) {
	for in, want := range map[string]string{dgI: dgI, hexI: dgI} {
		if d, err := ParseID(in); err != nil || d.String() != want {
			t.Errorf("ParseID(%q) = %v, %v", in, d, err)
		}
	}
	for _, bad := range []string{"", hexI[:12], hexI[1:], strings.ToUpper("ab" + hexI[2:]), "nginx"} {
		if d, err := ParseID(bad); !errors.Is(err, ErrBadDigest) {
			t.Errorf("ParseID(%q) = %v, %v; want ErrBadDigest", bad, d, err)
		}
	}
}

func TestDigestText(t *testing.T) {
	d := digestOf(t, dgM)
	if d.Short() != "222222222222" || (Digest{}).Short() != "" {
		t.Errorf("Short() = %q and %q", d.Short(), (Digest{}).Short())
	}
	for _, in := range []Digest{{}, d} {
		text, err := in.MarshalText()
		out := digestOf(t, dgC) // to be overwritten, also by nothing
		if err == nil {
			err = out.UnmarshalText(text)
		}
		if err != nil || out != in {
			t.Errorf("%v comes back as %v, %v", in, out, err)
		}
	}
	out := d
	if err := out.UnmarshalText([]byte("sha256:zz")); !errors.Is(err, ErrBadDigest) || out != d {
		t.Errorf("a bad text gives %v and leaves %v", err, out)
	}
}

func TestDigestCompare(t *testing.T) {
	a, b := digestOf(t, dgI), digestOf(t, dgM)
	list := []Digest{b, {}, a}
	slices.SortFunc(list, Digest.Compare)
	if !slices.Equal(list, []Digest{{}, a, b}) || a.Compare(a) != 0 {
		t.Errorf("sorted to %v", list)
	}
}
