package app

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"tidewaiter/sensor/receive"
	"tidewaiter/source"
	"tidewaiter/source/note"
)

// ReceiveSettings say where records are taken over HTTP, and from whom.
// docs/formats/receive.md describes them.
type ReceiveSettings struct {
	// Enabled is whether they are taken at all.
	Enabled bool `yaml:"enabled"`
	// Listen is an address and a port.
	Listen string `yaml:"listen"`
	// TLS is how the receiver proves itself, and its senders.
	TLS ReceiveTLS `yaml:"tls"`
	// TokenFile holds the token that senders show.
	TokenFile string `yaml:"token_file"`
	// Insecure allows other hosts to send without TLS or without proof of who
	// they are.
	Insecure bool `yaml:"insecure"`
	// Formats are the names of those that are taken, all if empty.
	Formats []string `yaml:"formats"`
	// Files are formats by the names or paths of files that OpenTelemetry's
	// records are from.
	Files map[string]string `yaml:"files"`
	// Cluster is where /kubernetes/audit is sent from, the host's if empty;
	// Clusters are where /kubernetes/audit/NAME is.
	Cluster  string   `yaml:"cluster"`
	Clusters []string `yaml:"clusters"`
}

// ReceiveTLS are PEM files, and the names of clients.
type ReceiveTLS struct {
	Certificate string   `yaml:"certificate"`
	Key         string   `yaml:"key"`
	ClientCA    string   `yaml:"client_ca"`
	ClientNames []string `yaml:"client_names"`
}

// fill completes what is relative to the rest of the settings.
func (r *ReceiveSettings) fill(s *Settings) {
	if r.Cluster == "" {
		r.Cluster = s.Cluster
	}
	for _, file := range []*string{&r.TLS.Certificate, &r.TLS.Key, &r.TLS.ClientCA, &r.TokenFile} {
		if *file != "" && s.File != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(filepath.Dir(s.File), *file)
		}
	}
}

// receiver are the options of the receiver.
func (s *Settings) receiver() receive.Options {
	r := s.Sensors.Receive
	return receive.Options{
		Listen: r.Listen, Certificate: r.TLS.Certificate, Key: r.TLS.Key, ClientCA: r.TLS.ClientCA, Names: r.TLS.ClientNames,
		TokenFile: r.TokenFile, Insecure: r.Insecure, Formats: received(r.Formats), Detect: formatOf(""), Files: r.Files,
		Cluster: r.Cluster, Clusters: r.Clusters,
	}
}

// received are the formats that can be sent, those of some names or all. A
// format that is one whole file can't, and what the daemon notes of its own
// sight is for nobody else to say.
func received(names []string) []receive.Format {
	var all []receive.Format
	for _, f := range Formats() {
		if f.Framing != source.Whole && f.Name != note.Name && (len(names) == 0 || slices.Contains(names, f.Name)) {
			all = append(all, receive.Format{Name: f.Name, JSON: f.Framing != source.Lines})
		}
	}
	return all
}

// checkReceive finds what is wrong with the receiver's settings.
func (s *Settings) checkReceive(fault func(err error, path ...any)) {
	r := s.Sensors.Receive
	if !r.Enabled {
		return
	}
	known := received(nil)
	for i, name := range r.Formats {
		if !slices.ContainsFunc(known, func(f receive.Format) bool { return f.Name == name }) {
			fault(fmt.Errorf("sensors.receive.formats[%d]: no format that can be sent is called %q", i, name), "sensors", "receive", "formats", i)
		}
	}
	s.receiver().Check(func(err error, keys ...string) {
		path := []any{"sensors", "receive"}
		for _, key := range keys {
			path = append(path, key)
		}
		fault(fmt.Errorf("sensors.receive.%s: %w", strings.Join(keys, "."), err), path...)
	})
}
