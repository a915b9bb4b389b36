package sinktest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tidewaiter/sink"
)

// Receiver is an HTTP server that keeps the last request and answers as told.
type Receiver struct {
	URL string
	// Header, Path and Body are the last request's.
	Header http.Header
	Path   string
	Body   []byte
	// Status, Type and Answer are what it says; 200 if 0.
	Status       int
	Type, Answer string
}

// NewReceiver starts a receiver that ends with the test.
func NewReceiver(t testing.TB) *Receiver {
	r := &Receiver{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.Header, r.Path = req.Header, req.URL.Path
		r.Body, _ = io.ReadAll(req.Body)
		if r.Type != "" {
			w.Header().Set("Content-Type", r.Type)
		}
		if r.Status != 0 {
			w.WriteHeader(r.Status)
		}
		_, _ = io.WriteString(w, r.Answer)
	}))
	t.Cleanup(s.Close)
	r.URL = s.URL
	return r
}

// Hides fails the test if an error, or one that it wraps, shows a text or
// controls a terminal.
func Hides(t testing.TB, err error, secrets ...string) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		s := fmt.Sprintf("%v %+v", e, e)
		for _, secret := range append(secrets, "\x1b", "\n") {
			if strings.Contains(s, secret) {
				t.Errorf("the error shows %q: %q", secret, s)
			}
		}
	}
}

// Sorted fails the test if an error is not of the kind wanted: "" for none,
// "retry" or "permanent".
func Sorted(t testing.TB, name string, err error, want string) {
	t.Helper()
	got := ""
	switch {
	case sink.IsPermanent(err):
		got = "permanent"
	case err != nil:
		got = "retry"
	}
	if got != want {
		t.Errorf("%s: %q, want %q: %v", name, got, want, err)
	}
}
