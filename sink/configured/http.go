package configured

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"time"

	"tidewaiter/sink"
	"tidewaiter/sink/elastic"
	"tidewaiter/sink/falcosidekick"
	"tidewaiter/sink/ocsf"
	"tidewaiter/sink/otlp"
	"tidewaiter/sink/post"
	"tidewaiter/sink/secret"
	"tidewaiter/sink/splunk"
	"tidewaiter/sink/webhook"
)

// TLS are the settings of TLS.
type TLS struct {
	CAFile     string `yaml:"ca_file"`
	CertFile   string `yaml:"cert_file"`
	KeyFile    string `yaml:"key_file"`
	ServerName string `yaml:"server_name"`
}

func (t TLS) post() post.TLS {
	return post.TLS{CA: t.CAFile, Cert: t.CertFile, Key: t.KeyFile, ServerName: t.ServerName}
}

// HTTP are the settings of every sink that posts. A proxy is taken from the
// environment.
type HTTP struct {
	TLS `yaml:",inline"`
	// URL is the receiver's; one that is a secret stands in a file.
	URL     string        `yaml:"url"`
	URLFile string        `yaml:"url_file"`
	Timeout time.Duration `yaml:"timeout"`
	// Headers are sent with each request; those of HeaderFiles are secret.
	Headers     map[string]string `yaml:"headers"`
	HeaderFiles map[string]string `yaml:"header_files"`
	Gzip        bool              `yaml:"gzip"`
}

func (h HTTP) check(fault func(string, error)) {
	switch {
	case h.URL == "" && h.URLFile == "":
		fault("url", errors.New("missing"))
	case h.URL != "" && h.URLFile != "":
		fault("url", errors.New("both url and url_file are set"))
	case h.URL != "":
		// What is wrong with it is not said, as it can hold a token.
		if u, err := url.Parse(h.URL); (h.ref().Check() != nil) && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			fault("url", errors.New("want http://… or https://…, or ${NAME}"))
		} else if err == nil && u.User != nil {
			fault("url", secret.ErrLiteral)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) {
		if telling.MatchString(name) {
			fault("headers."+name, errors.New("a secret does not stand here: name a file that holds it, by header_files"))
		}
	}
	if h.Timeout < 0 || h.Timeout > 10*time.Minute {
		fault("timeout", fmt.Errorf("%v: want at most 10m", h.Timeout))
	}
	if (h.CertFile == "") != (h.KeyFile == "") {
		fault("cert_file", errors.New("cert_file and key_file go together"))
	}
}

// telling are headers that hold secrets.
var telling = regexp.MustCompile(`(?i)auth|token|secret|cookie|api-?key|password`)

// ref is the URL as a secret.
func (h HTTP) ref() secret.Ref { return secret.Ref{Value: h.URL, File: h.URLFile} }

func (h HTTP) refs() map[string]secret.Ref {
	out := map[string]secret.Ref{"url_file": {File: h.URLFile}, "key_file": {File: h.KeyFile}}
	for name, file := range h.HeaderFiles {
		out["header_files."+name] = secret.Ref{File: file}
	}
	return out
}

func (h HTTP) plain() string {
	u, err := url.Parse(h.URL)
	if err != nil || u.Scheme != "http" || loopback(u.Hostname()) {
		return ""
	}
	return u.Host
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// options reads the secrets.
func (h HTTP) options() (post.Options, error) {
	o := post.Options{URL: h.URL, Timeout: h.Timeout, TLS: h.TLS.post(), Gzip: h.Gzip, Header: http.Header{}}
	if h.URL == "" || h.ref().Check() == nil {
		var err error
		if o.URL, err = h.ref().Read(); err != nil {
			return o, fmt.Errorf("url: %w", err)
		}
	}
	for name, value := range h.Headers {
		o.Header.Set(name, value)
	}
	for name, file := range h.HeaderFiles {
		value, err := secret.Ref{File: file}.Read()
		if err != nil {
			return o, fmt.Errorf("header %s: %w", name, err)
		}
		o.Header.Set(name, value)
	}
	return o, nil
}

// Webhook are the settings of sink/webhook.
type Webhook struct {
	HTTP `yaml:",inline"`
	// Secret signs; SecretFiles are further ones while one is replaced.
	Secret      string   `yaml:"secret"`
	SecretFile  string   `yaml:"secret_file"`
	SecretFiles []string `yaml:"secret_files"`
}

func (w *Webhook) refs() map[string]secret.Ref {
	out := w.HTTP.refs()
	out["secret_file"] = secret.Ref{Value: w.Secret, File: w.SecretFile}
	for i, file := range w.SecretFiles {
		out[fmt.Sprintf("secret_files[%d]", i)] = secret.Ref{File: file}
	}
	return out
}

func (w *Webhook) open(limit ocsf.Limit) (sink.Sink, error) {
	h, err := w.options()
	if err != nil {
		return nil, err
	}
	o := webhook.Options{HTTP: h, Limit: limit}
	refs := []secret.Ref{{Value: w.Secret, File: w.SecretFile}}
	for _, file := range w.SecretFiles {
		refs = append(refs, secret.Ref{File: file})
	}
	for _, r := range refs {
		s, err := r.Read()
		if err != nil {
			return nil, err
		}
		if s != "" {
			o.Secrets = append(o.Secrets, s)
		}
	}
	return opened(webhook.Open(o))
}

// opened makes a nil sink of a failure, where a nil pointer would not be one.
func opened[S sink.Sink](s S, err error) (sink.Sink, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// OTLP are the settings of sink/otlp.
type OTLP struct {
	HTTP     `yaml:",inline"`
	Encoding string `yaml:"encoding"` // protobuf, or json
	OCSF     bool   `yaml:"ocsf"`
}

func (o *OTLP) check(fault func(string, error)) {
	o.HTTP.check(fault)
	if o.Encoding != "" && o.Encoding != "protobuf" && o.Encoding != "json" {
		fault("encoding", fmt.Errorf("%q: want protobuf or json", o.Encoding))
	}
}

func (o *OTLP) open(limit ocsf.Limit) (sink.Sink, error) {
	h, err := o.options()
	if err != nil {
		return nil, err
	}
	return opened(otlp.Open(otlp.Options{HTTP: h, JSON: o.Encoding == "json", OCSF: o.OCSF, Limit: limit}))
}

// Elastic are the settings of sink/elastic.
type Elastic struct {
	HTTP         `yaml:",inline"`
	Index        string `yaml:"index"`
	APIKey       string `yaml:"api_key"`
	APIKeyFile   string `yaml:"api_key_file"`
	User         string `yaml:"user"`
	Password     string `yaml:"password"`
	PasswordFile string `yaml:"password_file"`
}

func (e *Elastic) refs() map[string]secret.Ref {
	out := e.HTTP.refs()
	out["api_key_file"] = secret.Ref{Value: e.APIKey, File: e.APIKeyFile}
	out["password_file"] = secret.Ref{Value: e.Password, File: e.PasswordFile}
	return out
}

func (e *Elastic) check(fault func(string, error)) {
	e.HTTP.check(fault)
	key, pass := !e.refs()["api_key_file"].IsZero(), !e.refs()["password_file"].IsZero()
	if key && e.User != "" {
		fault("api_key", errors.New("both an API key and a user are named"))
	}
	if pass != (e.User != "") {
		fault("user", errors.New("user and password go together"))
	}
}

func (e *Elastic) open(limit ocsf.Limit) (sink.Sink, error) {
	h, err := e.options()
	if err != nil {
		return nil, err
	}
	o := elastic.Options{HTTP: h, Index: e.Index, User: e.User, Limit: limit}
	refs := e.refs()
	if o.APIKey, err = refs["api_key_file"].Read(); err != nil {
		return nil, fmt.Errorf("api_key: %w", err)
	}
	if o.Password, err = refs["password_file"].Read(); err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	return opened(elastic.Open(o))
}

// Splunk are the settings of sink/splunk.
type Splunk struct {
	HTTP       `yaml:",inline"`
	Token      string `yaml:"token"`
	TokenFile  string `yaml:"token_file"`
	Index      string `yaml:"index"`
	SourceType string `yaml:"sourcetype"`
	Source     string `yaml:"source"`
}

func (s *Splunk) refs() map[string]secret.Ref {
	out := s.HTTP.refs()
	out["token_file"] = secret.Ref{Value: s.Token, File: s.TokenFile}
	return out
}

func (s *Splunk) check(fault func(string, error)) {
	s.HTTP.check(fault)
	if s.refs()["token_file"].IsZero() {
		fault("token", errors.New("missing; name a file with token_file"))
	}
}

func (s *Splunk) open(limit ocsf.Limit) (sink.Sink, error) {
	h, err := s.options()
	if err != nil {
		return nil, err
	}
	token, err := s.refs()["token_file"].Read()
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return opened(splunk.Open(splunk.Options{HTTP: h, Token: token, Index: s.Index, SourceType: s.SourceType, Source: s.Source, Limit: limit}))
}

// Falcosidekick are the settings of sink/falcosidekick.
type Falcosidekick struct {
	HTTP   `yaml:",inline"`
	Fields map[string]string `yaml:"fields"`
}

func (f *Falcosidekick) open(ocsf.Limit) (sink.Sink, error) {
	h, err := f.options()
	if err != nil {
		return nil, err
	}
	return opened(falcosidekick.Open(falcosidekick.Options{HTTP: h, Fields: f.Fields}))
}

// hostOf is an address's host.
func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}
