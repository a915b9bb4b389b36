// Package post sends bodies to a receiver by HTTP, for every sink that does:
// with bounded time and answers, sorted errors, and no secret in any of them.
//
// In: bodies. Out: POST requests; answers, or errors that say whether trying
// again is of use.
package post

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/net/http/httpguts"

	"tidewaiter/sink"
	"tidewaiter/sink/secret"
)

// Bounds of one delivery.
const (
	// DefaultTimeout is how long one delivery may take.
	DefaultTimeout = 10 * time.Second
	// maxAnswer is how much of an answer is read.
	maxAnswer = 64 << 10
	// maxWait bounds how long a receiver can make us wait.
	maxWait = time.Hour
	// maxHops bounds the redirections within the receiver's host.
	maxHops = 3
)

// Options say where to and how.
type Options struct {
	// URL is the receiver's, http or https.
	URL string
	// Timeout of one delivery; DefaultTimeout if 0.
	Timeout time.Duration
	// TLS names the files of TLS; the zero value trusts the system's roots.
	TLS TLS
	// Header is sent with every request; values may be secret.
	Header http.Header
	// Gzip packs the bodies.
	Gzip bool
	// Agent is the User-Agent; "tidewaiter" if "".
	Agent string
}

// TLS names files. Versions before 1.2 are never spoken.
type TLS struct {
	// CA holds the certificates to trust in place of the system's.
	CA string
	// Cert and Key are the client's own. They are read at every handshake, so
	// that a renewed certificate needs no restart.
	Cert, Key string
	// ServerName is the name that the receiver's certificate must have; the
	// address's host if "".
	ServerName string
}

// Config makes a configuration of TLS.
func (t TLS) Config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("CA certificates: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA certificates: %s holds none", t.CA)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, errors.New("a client certificate needs both its certificate and its key")
	}
	if t.Cert == "" {
		return c, nil
	}
	load := func() (*tls.Certificate, error) {
		if _, err := (secret.Ref{File: t.Key}).Read(); err != nil {
			return nil, err
		}
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		return &pair, nil
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	_, err := load()
	return c, err
}

// Client sends to one receiver. Safe for concurrent use.
type Client struct {
	opt    Options
	url    *url.URL
	http   *http.Client
	hidden secret.Hidden
}

// Open checks the options; nothing is sent. secrets are further texts that no
// error may show, beside the header's values and what the URL holds. A proxy
// is taken from the environment.
func Open(opt Options, secrets ...string) (*Client, error) {
	u, err := url.Parse(opt.URL)
	// The text is not repeated: it can hold a token.
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("url: want http://… or https://…")
	}
	c := &Client{opt: opt, url: u}
	c.hidden.Hide(secrets...)
	c.hidden.HideURL(u)
	for name, values := range opt.Header {
		for _, v := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
				return nil, fmt.Errorf("header %q: its name or value is not valid", name)
			}
			c.hidden.Hide(v)
		}
	}
	if c.opt.Timeout <= 0 {
		c.opt.Timeout = DefaultTimeout
	}
	if c.opt.Agent == "" {
		c.opt.Agent = "tidewaiter"
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.MaxResponseHeaderBytes = 2, maxAnswer
	if transport.TLSClientConfig, err = opt.TLS.Config(); err != nil {
		return nil, err
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: c.redirect}
	return c, nil
}

// redirect follows within the receiver's own host, and only where the body is
// sent again: elsewhere it is not the one that was meant to know.
func (c *Client) redirect(to *http.Request, via []*http.Request) error {
	if len(via) > maxHops || to.Method != http.MethodPost || to.URL.Host != c.url.Host || to.URL.Scheme != c.url.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

// Answer is what a receiver says that took the body.
type Answer struct {
	Status int
	Type   string // its media type, without parameters
	// Body is its first 64 KiB.
	Body []byte
}

// Post sends a body with headers of its own. Every answer but 2xx is an error,
// sorted by Status; the answer is given with it.
func (c *Client) Post(ctx context.Context, body []byte, header http.Header) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	packed, err := c.pack(body)
	if err != nil {
		return Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.opt.URL, bytes.NewReader(packed))
	if err != nil {
		return Answer{}, c.Fault(err)
	}
	req.Header.Set("User-Agent", c.opt.Agent)
	if c.opt.Gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	for _, h := range []http.Header{c.opt.Header, header} {
		for name, values := range h {
			for _, v := range values {
				if !httpguts.ValidHeaderFieldValue(v) {
					return Answer{}, sink.Permanent(fmt.Errorf("header %q: not valid", name))
				}
			}
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return Answer{}, c.Fault(err)
	}
	defer res.Body.Close()
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	a := Answer{Status: res.StatusCode, Type: strings.TrimSpace(kind)}
	if a.Body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer)); err != nil && res.StatusCode < 300 {
		return a, c.Fault(fmt.Errorf("read the answer: %w", err))
	}
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return a, nil
	}
	return a, Status(c.fault(fmt.Sprintf("answered %d %s: %s", a.Status, http.StatusText(a.Status), a.Body)), a.Status, res.Header)
}

func (c *Client) pack(body []byte) ([]byte, error) {
	if !c.opt.Gzip {
		return body, nil
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(body); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return b.Bytes(), nil
}

// Fault is an error about the receiver, of which it shows the host alone: the
// errors of net/http hold the whole URL.
func (c *Client) Fault(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return c.fault(err.Error())
}

func (c *Client) fault(text string) error {
	return fmt.Errorf("%s: %s", c.url.Host, c.hidden.Clean(text))
}

// Close lets idle connections go.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Status sorts an error by the answer's status. What is about the message
// itself fails for good, as it comes out the same every time. All else is tried
// again: a token that ran out, a missing right or path (401, 403, 404) is
// something that somebody mends, and findings of the meantime must not be lost.
// Retry-After is honoured up to an hour.
func Status(err error, status int, header http.Header) error {
	switch status {
	case http.StatusBadRequest, http.StatusNotAcceptable, http.StatusGone, http.StatusRequestEntityTooLarge,
		http.StatusRequestURITooLong, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
		http.StatusRequestHeaderFieldsTooLarge, http.StatusUnavailableForLegalReasons:
		return sink.Permanent(err)
	}
	return sink.RetryAfter(err, min(wait(header.Get("Retry-After"), time.Now()), maxWait))
}

// wait reads a Retry-After, in seconds or as a date; 0 if it says nothing.
func wait(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
