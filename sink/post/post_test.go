package post_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"tidewaiter/sink"
	"tidewaiter/sink/post"
	"tidewaiter/sink/sinktest"
)

const token = "tok3n-which-nobody-may-see"

// client sends to a server, with the token wherever one can be.
func client(t *testing.T, opt post.Options) *post.Client {
	t.Helper()
	opt.URL += "/hooks/" + token + "?key=" + token
	opt.Header = http.Header{"Authorization": {"Bearer " + token}}
	c, err := post.Open(opt, token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func hides(t *testing.T, name string, err error) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		if s := fmt.Sprintf("%v %+v", e, e); strings.Contains(s, token) || strings.Contains(s, "\x1b") || len(s) > 3000 {
			t.Errorf("%s: the error shows %q", name, s)
		}
	}
}

func TestAnswersAreSorted(t *testing.T) {
	for _, c := range []struct {
		status    int
		after     string
		fails     bool
		permanent bool
		wait      time.Duration
	}{
		{200, "", false, false, 0}, {202, "", false, false, 0}, {204, "", false, false, 0},
		{304, "", true, false, 0},
		{400, "", true, true, 0}, {401, "", true, false, 0}, {403, "", true, false, 0}, {404, "", true, false, 0}, {407, "", true, false, 0},
		{408, "", true, false, 0}, {410, "", true, true, 0}, {413, "", true, true, 0}, {415, "", true, true, 0}, {422, "", true, true, 0},
		{425, "", true, false, 0}, {429, "7", true, false, 7 * time.Second}, {429, "", true, false, 0},
		{429, "99999", true, false, time.Hour}, {429, "soon", true, false, 0}, {429, "-3", true, false, 0},
		{503, time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), true, false, 0},
		{500, "", true, false, 0}, {502, "", true, false, 0}, {503, "30", true, false, 30 * time.Second}, {599, "", true, false, 0},
	} {
		name := fmt.Sprint(c.status, c.after)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.after != "" {
				w.Header().Set("Retry-After", c.after)
			}
			w.WriteHeader(c.status)
			fmt.Fprintf(w, "\x1b[2J no %s at %s %s %s", r.Header.Get("Authorization"), r.URL, token, strings.Repeat("x", 200_000))
		}))
		a, err := client(t, post.Options{URL: s.URL}).Post(t.Context(), []byte("{}"), nil)
		s.Close()
		wait, _ := sink.After(err)
		if (err != nil) != c.fails || sink.IsPermanent(err) != c.permanent || wait != c.wait || a.Status != c.status {
			t.Errorf("%s: %v, permanent %v, wait %v", name, err, sink.IsPermanent(err), wait)
		}
		if len(a.Body) > 64<<10 {
			t.Errorf("%s: %d bytes of the answer were read", name, len(a.Body))
		}
		hides(t, name, err)
	}
}

func TestWhatDoesNotArriveIsTriedAgain(t *testing.T) {
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is it noticed that the client went away
		<-r.Context().Done()
	}))
	defer slow.Close()
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}))
	defer cut.Close()
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = nil
	defer untrusted.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, url := range map[string]string{"slow": slow.URL, "cut": cut.URL, "untrusted": untrusted.URL, "gone": gone.URL} {
		_, err := client(t, post.Options{URL: url, Timeout: 200 * time.Millisecond}).Post(t.Context(), []byte("{}"), nil)
		if err == nil || sink.IsPermanent(err) {
			t.Errorf("%s: %v", name, err)
		}
		hides(t, name, err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client(t, post.Options{URL: slow.URL}).Post(stopped, nil, nil); err == nil || sink.IsPermanent(err) {
		t.Errorf("stopped: %v", err)
	}
}

// Another host must not be handed the finding and the token; nor is a method
// followed that drops the body.
func TestRedirectionsStayAtTheHost(t *testing.T) {
	called := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer other.Close()
	to := ""
	body := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/there" {
			b, _ := io.ReadAll(r.Body)
			body = r.Method + string(b)
			return
		}
		status := http.StatusTemporaryRedirect
		if to == "/drops" {
			status = http.StatusFound
		}
		http.Redirect(w, r, to, status)
	}))
	defer s.Close()
	c := client(t, post.Options{URL: s.URL})
	if to = "/there"; true {
		if _, err := c.Post(t.Context(), []byte("{}"), nil); err != nil || body != "POST{}" {
			t.Errorf("within the host: %v, got %q", err, body)
		}
	}
	for _, to = range []string{other.URL + "/" + token, "/loop", "/drops", "https://" + strings.TrimPrefix(s.URL, "http://")} {
		_, err := c.Post(t.Context(), []byte("{}"), nil)
		if err == nil || sink.IsPermanent(err) || called {
			t.Errorf("to %s: %v, called %v", to, err, called)
		}
		hides(t, to, err)
	}
}

func TestTLSIsSpokenByCertificates(t *testing.T) {
	files := sinktest.Certificate(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {}))
	s.TLS = files.Server(t)
	s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, files.Pool(t)
	s.StartTLS()
	defer s.Close()
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = files.Server(t)
	old.TLS.MinVersion, old.TLS.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	old.StartTLS()
	defer old.Close()
	own := post.TLS{CA: files.Cert, Cert: files.Cert, Key: files.Key}
	if _, err := client(t, post.Options{URL: s.URL, TLS: own}).Post(t.Context(), nil, nil); err != nil {
		t.Errorf("with the client's certificate: %v", err)
	}
	for name, opt := range map[string]post.Options{
		"without": {URL: s.URL, TLS: post.TLS{CA: files.Cert}}, "untrusted": {URL: s.URL}, "old version": {URL: old.URL, TLS: own},
		"other name": {URL: s.URL, TLS: post.TLS{CA: files.Cert, Cert: files.Cert, Key: files.Key, ServerName: "other.example"}},
	} {
		if _, err := client(t, opt).Post(t.Context(), nil, nil); err == nil || sink.IsPermanent(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Chmod(files.Key, 0o606); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]post.TLS{"writable key": own, "no key": {Cert: files.Cert}, "no CA": {CA: files.Key}, "missing": {CA: "/nothing"}} {
		if _, err := post.Open(post.Options{URL: s.URL, TLS: bad}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBodiesArePacked(t *testing.T) {
	got := ""
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		z, err := gzip.NewReader(r.Body)
		if err == nil {
			b, _ := io.ReadAll(z)
			got = string(b) + r.Header.Get("Content-Encoding") + r.Header.Get("X-More") + r.UserAgent()
		}
	}))
	defer s.Close()
	c := client(t, post.Options{URL: s.URL, Gzip: true, Agent: "tidewaiter/1"})
	if _, err := c.Post(t.Context(), []byte("body "), http.Header{"X-More": {"more"}}); err != nil || got != "body gzipmoretidewaiter/1" {
		t.Errorf("%v, got %q", err, got)
	}
	_, err := c.Post(t.Context(), nil, http.Header{"X-More": {"a\r\nX-Forged: b"}})
	if !sink.IsPermanent(err) {
		t.Errorf("a header that ends a line: %v", err)
	}
}

func TestBadOptionsAreRefusedWithoutShowingThem(t *testing.T) {
	for _, url := range []string{"", token, "ftp://h/" + token, "https://", "http://h:port" + token, "http://%zz" + token} {
		_, err := post.Open(post.Options{URL: url})
		if err == nil {
			t.Errorf("%q: accepted", url)
		}
		hides(t, url, err)
	}
	_, err := post.Open(post.Options{URL: "http://h", Header: http.Header{"A": {token + "\n"}}})
	if err == nil {
		t.Error("a header with a line end is accepted")
	}
	hides(t, "header", err)
}
