package configured

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"tidewaiter/sink"
	"tidewaiter/sink/chat"
	"tidewaiter/sink/file"
	"tidewaiter/sink/kafka"
	"tidewaiter/sink/ocsf"
	"tidewaiter/sink/secret"
	"tidewaiter/sink/syslog"
)

// Syslog are the settings of sink/syslog.
type Syslog struct {
	TLS      `yaml:",inline"`
	Address  string        `yaml:"address"`
	Format   string        `yaml:"format"` // ocsf, or cef
	Facility string        `yaml:"facility"`
	Framing  string        `yaml:"framing"` // octets, or newline
	Timeout  time.Duration `yaml:"timeout"`
}

func (s *Syslog) options(limit ocsf.Limit) syslog.Options {
	return syslog.Options{
		Address: s.Address, TLS: s.TLS.post(), Format: syslog.Format(s.Format), Facility: s.Facility,
		Newline: s.Framing == "newline", Timeout: s.Timeout, Limit: limit,
	}
}

func (s *Syslog) check(fault func(string, error)) {
	if s.Framing != "" && s.Framing != "octets" && s.Framing != "newline" {
		fault("framing", fmt.Errorf("%q: want octets or newline", s.Framing))
	}
	// Files of certificates are read when it is opened.
	o := s.options(ocsf.Limit{})
	o.TLS.CA, o.TLS.Cert, o.TLS.Key = "", "", ""
	if _, err := syslog.Open(o); err != nil {
		fault("address", err)
	}
}

func (s *Syslog) refs() map[string]secret.Ref {
	return map[string]secret.Ref{"key_file": {File: s.KeyFile}}
}

func (s *Syslog) plain() string {
	u, err := url.Parse(s.Address)
	if err != nil || u.Scheme != "tcp" && u.Scheme != "udp" || loopback(u.Hostname()) {
		return ""
	}
	return u.Host
}

func (s *Syslog) open(limit ocsf.Limit) (sink.Sink, error) {
	return opened(syslog.Open(s.options(limit)))
}

// Chat are the settings of sink/chat. The service URL is a secret as a whole.
type Chat struct {
	URL     string        `yaml:"url"`
	URLFile string        `yaml:"url_file"`
	Timeout time.Duration `yaml:"timeout"`
}

func (c *Chat) check(fault func(string, error)) {
	if c.URL == "" && c.URLFile == "" {
		fault("url", errors.New("missing; name a file with url_file"))
	}
}

func (c *Chat) refs() map[string]secret.Ref {
	return map[string]secret.Ref{"url_file": {Value: c.URL, File: c.URLFile}}
}

func (c *Chat) plain() string { return "" }

func (c *Chat) open(ocsf.Limit) (sink.Sink, error) {
	u, err := secret.Ref{Value: c.URL, File: c.URLFile}.Read()
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	return opened(chat.Open(chat.Options{URL: u, Timeout: c.Timeout}))
}

// Kafka are the settings of sink/kafka.
type Kafka struct {
	Brokers []string `yaml:"brokers"`
	Topic   string   `yaml:"topic"`
	// Secure speaks TLS; naming a file of TLS does, too.
	Secure       bool `yaml:"tls"`
	TLS          `yaml:",inline"`
	SASL         string        `yaml:"sasl"` // plain, scram-sha-256, scram-sha-512
	User         string        `yaml:"user"`
	Password     string        `yaml:"password"`
	PasswordFile string        `yaml:"password_file"`
	Timeout      time.Duration `yaml:"timeout"`
}

func (k *Kafka) secure() bool { return k.Secure || k.TLS != TLS{} }

func (k *Kafka) check(fault func(string, error)) {
	if len(k.Brokers) == 0 {
		fault("brokers", errors.New("missing"))
	}
	if k.Topic == "" {
		fault("topic", errors.New("missing"))
	}
	switch kafka.Mechanism(k.SASL) {
	case kafka.None:
		if k.User != "" || !k.refs()["password_file"].IsZero() {
			fault("sasl", errors.New("missing: want plain, scram-sha-256 or scram-sha-512"))
		}
	case kafka.Plain, kafka.ScramSHA256, kafka.ScramSHA512:
		if k.User == "" || k.refs()["password_file"].IsZero() {
			fault("user", errors.New("SASL needs user and password_file"))
		}
	default:
		fault("sasl", fmt.Errorf("%q: want plain, scram-sha-256 or scram-sha-512", k.SASL))
	}
}

func (k *Kafka) refs() map[string]secret.Ref {
	return map[string]secret.Ref{"password_file": {Value: k.Password, File: k.PasswordFile}, "key_file": {File: k.KeyFile}}
}

func (k *Kafka) plain() string {
	i := slices.IndexFunc(k.Brokers, func(b string) bool { return !loopback(hostOf(b)) })
	if k.secure() || i < 0 {
		return ""
	}
	return k.Brokers[i]
}

func (k *Kafka) open(limit ocsf.Limit) (sink.Sink, error) {
	pass, err := k.refs()["password_file"].Read()
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	return opened(kafka.Open(kafka.Options{
		Brokers: k.Brokers, Topic: k.Topic, Secure: k.secure(), TLS: k.TLS.post(), SASL: kafka.Mechanism(k.SASL),
		User: k.User, Password: pass, Timeout: k.Timeout, Limit: limit,
	}))
}

// File are the settings of sink/file.
type File struct {
	Path string `yaml:"path"`
	Size int    `yaml:"size_mb"`
	Keep int    `yaml:"keep"`
}

func (f *File) check(fault func(string, error)) {
	if f.Path == "" {
		fault("path", errors.New("missing"))
	}
	if f.Size < 0 || f.Size > 10_000 {
		fault("size_mb", fmt.Errorf("%d: want 1 to 10000", f.Size))
	}
	if f.Keep < 0 || f.Keep > 10_000 {
		fault("keep", fmt.Errorf("%d: want 1 to 10000", f.Keep))
	}
}

func (f *File) refs() map[string]secret.Ref { return nil }

func (f *File) plain() string { return "" }

func (f *File) open(limit ocsf.Limit) (sink.Sink, error) {
	return opened(file.Open(file.Options{Path: f.Path, Size: f.Size, Keep: f.Keep, Limit: limit}))
}
