package receive

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"tidewaiter/sensor"
)

// Faults of options.
var (
	errNoAddress = errors.New("want an address and a port such as 0.0.0.0:8443")
	errHalfTLS   = errors.New("a certificate needs its key, and a key its certificate")
	errNoTLS     = errors.New("clients' certificates need TLS: name certificate and key")
	errNoCA      = errors.New("names of clients need client_ca, which proves them")
	errOpen      = errors.New("other hosts could read and send: name certificate and key, and token_file or client_ca, or say insecure: true")
	errToken     = errors.New("a token is at least 16 and at most 4096 visible characters")
)

// Check tells what is wrong with the options, each with where it stands in a
// configuration. Files are not read yet.
func (o Options) Check(fault func(err error, path ...string)) {
	if _, port, err := net.SplitHostPort(o.Listen); err != nil || port == "" {
		fault(fmt.Errorf("%q: %w", o.Listen, errNoAddress), "listen")
		return
	}
	encrypted := o.Certificate != "" && o.Key != ""
	switch {
	case (o.Certificate == "") != (o.Key == ""):
		fault(errHalfTLS, "tls")
	case o.ClientCA != "" && !encrypted:
		fault(errNoTLS, "tls", "client_ca")
	case len(o.Names) > 0 && o.ClientCA == "":
		fault(errNoCA, "tls", "client_names")
	case !local(o.Listen) && !o.Insecure && (!encrypted || o.TokenFile == "" && o.ClientCA == ""):
		fault(errOpen, "listen")
	}
	names := map[string]bool{}
	for _, f := range o.Formats {
		names[f.Name] = true
	}
	for file, format := range o.Files {
		if !names[format] {
			fault(fmt.Errorf("no format that is taken is called %q", format), "files", file)
		}
	}
	for _, c := range append([]string{o.Cluster}, o.Clusters...) {
		if !isName(c) {
			fault(fmt.Errorf("%q is no name of a cluster", c), "clusters")
		}
	}
}

// renewal is how often a file is read again.
const renewal = 10 * time.Second

// renewed is what a file holds, read again now and then: certificates and
// tokens are replaced while the daemon runs. While it cannot be read, what it
// held before holds on. Safe for concurrent use.
type renewed[T any] struct {
	read func() (T, error)
	mu   sync.Mutex
	at   time.Time
	last T
}

func newRenewed[T any](read func() (T, error)) (*renewed[T], error) {
	r := &renewed[T]{read: read, at: time.Now()}
	var err error
	r.last, err = read()
	return r, err
}

func (r *renewed[T]) get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.at) > renewal {
		r.at = now
		if next, err := r.read(); err == nil {
			r.last = next
		}
	}
	return r.last
}

// gate decides who may send.
type gate struct {
	certificate *renewed[*tls.Certificate] // nil without TLS
	clients     *renewed[*x509.CertPool]   // nil if no certificates are asked for
	token       *renewed[[32]byte]         // its hash; nil if none is asked for
	names       []string
}

func newGate(o Options) (*gate, error) {
	g := &gate{names: o.Names}
	var err error
	lack := func(what string, err error) error {
		return &sensor.Lack{What: what, Mend: "mend the file, or name another", Err: err}
	}
	if o.Certificate != "" {
		g.certificate, err = newRenewed(func() (*tls.Certificate, error) {
			c, err := tls.LoadX509KeyPair(o.Certificate, o.Key)
			return &c, err
		})
		if err != nil {
			return nil, lack("no certificate to answer with", err)
		}
	}
	if o.ClientCA != "" {
		if g.clients, err = newRenewed(func() (*x509.CertPool, error) { return readPool(o.ClientCA) }); err != nil {
			return nil, lack("no certificates to know clients by", err)
		}
	}
	if o.TokenFile != "" {
		if g.token, err = newRenewed(func() ([32]byte, error) { return readToken(o.TokenFile) }); err != nil {
			return nil, lack("no token to know senders by", err)
		}
	}
	return g, nil
}

func readPool(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: no certificates in it", file)
	}
	return pool, nil
}

// readToken gives a token's hash: so the lengths tell nothing when tokens are
// compared, and a core dump holds none.
func readToken(file string) ([32]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return [32]byte{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4096+2))
	if err != nil {
		return [32]byte{}, err
	}
	token := strings.TrimSpace(string(text))
	if len(token) < 16 || len(token) > 4096 || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return [32]byte{}, fmt.Errorf("%s: %w", file, errToken)
	}
	return sha256.Sum256([]byte(token)), nil
}

// tls is how the server proves itself and has clients prove themselves; nil
// without TLS.
func (g *gate) tls() *tls.Config {
	if g.certificate == nil {
		return nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return g.certificate.get(), nil }
	if g.clients == nil {
		return c
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	c.ClientCAs = g.clients.get()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		mine := c.Clone()
		mine.GetConfigForClient = nil
		mine.ClientCAs = g.clients.get()
		mine.SessionTicketsDisabled = true // so that one who is no longer trusted can't resume
		return mine, nil
	}
	return c
}

// guard lets only those through who may send.
func (g *gate) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		switch {
		case r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "":
			// A page could have its reader's browser send here.
			http.Error(w, "not for browsers", http.StatusForbidden)
		case g.token != nil && !g.shows(r.Header.Get("Authorization")):
			h.Set("WWW-Authenticate", `Bearer realm="tidewaiter"`)
			http.Error(w, "the token is missing or wrong", http.StatusUnauthorized)
		case !g.isNamed(r.TLS):
			http.Error(w, "the certificate's name is not on the list", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// shows reports whether a header has the token.
func (g *gate) shows(header string) bool {
	scheme, token, _ := strings.Cut(header, " ")
	sum, want := sha256.Sum256([]byte(strings.TrimSpace(token))), g.token.get()
	same := subtle.ConstantTimeCompare(sum[:], want[:]) == 1
	return same && strings.EqualFold(scheme, "Bearer")
}

// isNamed reports whether a client's certificate, which was verified, is one of
// those that may send.
func (g *gate) isNamed(state *tls.ConnectionState) bool {
	if g.clients == nil {
		return true
	}
	if state == nil || len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return false
	}
	if len(g.names) == 0 {
		return true
	}
	leaf := state.PeerCertificates[0]
	has := append([]string{leaf.Subject.CommonName}, leaf.DNSNames...)
	for _, u := range leaf.URIs {
		has = append(has, u.String())
	}
	return slices.ContainsFunc(has, func(n string) bool { return n != "" && slices.Contains(g.names, n) })
}
