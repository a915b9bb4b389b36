// Package receive takes records that others push over HTTP: the audit webhook
// of a Kubernetes API server, log shippers, OpenTelemetry collectors and Falco.
// Whoever may send is believed about what it sends, so who may is checked
// first; nothing that is sent makes the daemon hold more than fixed bounds.
//
// A request is taken as a whole or not at all, and what is answered with 200
// was recorded. A sender that got no answer sends again: what comes twice is
// recognised by the decoders and does no harm.
//
// In: HTTP requests. Out: their records, in lanes of the formats that are taken.
package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"tidewaiter/sensor"
)

// Format is a kind of records that is taken.
type Format struct {
	// Name is the name of the source.Format that reads them.
	Name string
	// JSON says that records are JSON objects; otherwise they are lines of text.
	JSON bool
}

// Options say where to listen, whom to believe, and what to take.
type Options struct {
	// Listen is an address and a port.
	Listen string
	// Certificate and Key are PEM files; without them there is no TLS.
	Certificate, Key string
	// ClientCA is a PEM file of the authorities that sign the certificates of
	// those who may send; "" asks for none. Names, if any, are whom of them: a
	// common name, or a DNS name or URI of the certificate.
	ClientCA string
	Names    []string
	// TokenFile holds the token that every sender shows, "" for none.
	TokenFile string
	// Insecure allows to listen to other hosts without TLS or without knowing
	// who sends.
	Insecure bool
	// Formats are those that are taken.
	Formats []Format
	// Detect tells the format of a record by its content, "" if it is none;
	// nil never can.
	Detect func(record []byte) string
	// Files tells the format of records that OpenTelemetry says are from a file
	// of that name, or path.
	Files map[string]string
	// Clusters are the names of clusters whose audit logs are sent to
	// /kubernetes/audit/NAME; Cluster is that of /kubernetes/audit, "" for this
	// host's.
	Clusters []string
	Cluster  string
}

// Limits of what is taken.
const (
	// MaxBody is the largest request, unpacked, in bytes.
	MaxBody = 32 << 20
	// MaxRecord is the longest record in bytes, as decoders read no longer ones.
	MaxRecord = 16 << 20
	// MaxRequests is how many requests are read at once.
	MaxRequests = 64
	// MaxLanes bounds the places that records are from, with their formats.
	MaxLanes = 1000

	maxConnections = 256
	maxHeader      = 16 << 10
	// maxHeld bounds the bytes of all requests that are being read.
	maxHeld = 256 << 20

	headerTime = 5 * time.Second
	readTime   = 30 * time.Second
	answerTime = time.Minute
	idleTime   = 2 * time.Minute
	// endTime is how long requests have that are being read when the daemon
	// ends.
	endTime = 3 * time.Second
)

// Sensor is one receiver.
type Sensor struct {
	opt     Options
	formats map[string]Format
	// listening is told the address once there is one.
	listening func(net.Addr)
}

// New makes a receiver. It does not listen yet. It fails with all that Check
// finds.
func New(o Options) (*Sensor, error) {
	var faults []error
	o.Check(func(err error, path ...string) {
		faults = append(faults, fmt.Errorf("%s: %w", strings.Join(path, "."), err))
	})
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	s := &Sensor{opt: o, formats: map[string]Format{}, listening: func(net.Addr) {}}
	for _, f := range o.Formats {
		s.formats[f.Name] = f
	}
	return s, nil
}

// Name implements sensor.Sensor.
func (*Sensor) Name() string { return "receive" }

// Watch implements sensor.Sensor.
func (s *Sensor) Watch(ctx context.Context, out sensor.Recorder) error {
	g, err := newGate(s.opt)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", s.opt.Listen)
	if err != nil {
		return &sensor.Lack{What: "cannot listen at " + s.opt.Listen, Mend: "give another address, or end what listens there", Err: err}
	}
	ln = netutil.LimitListener(ln, maxConnections)
	server := &http.Server{
		Handler:   g.guard(newReceiver(s, out).routes()),
		TLSConfig: g.tls(), ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       log.New(io.Discard, "", 0), // whoever knocks could fill the daemon's log
	}
	var ending sync.WaitGroup
	defer ending.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ending.Go(func() {
		<-ctx.Done()
		last, stop := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer stop()
		if server.Shutdown(last) != nil {
			server.Close() // who has not finished by now sends again
		}
	})
	s.listening(ln.Addr())
	out.Ready()
	if g.certificate != nil {
		err = server.ServeTLS(ln, "", "")
	} else {
		err = server.Serve(ln)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("receive: %w", err)
}

// routes are what can be asked for. A path outside them is nobody's.
func (r *receiver) routes() http.Handler {
	mux := http.NewServeMux()
	take := func(path string, h func(*http.Request, []byte) (reply, error)) {
		mux.Handle("POST "+path, r.taking(h))
	}
	take("/records/{format}", func(q *http.Request, body []byte) (reply, error) {
		return r.records(q, q.PathValue("format"), body)
	})
	take("/kubernetes/audit", func(_ *http.Request, body []byte) (reply, error) { return r.audit(r.opt.Cluster, body) })
	take("/kubernetes/audit/{cluster}", func(q *http.Request, body []byte) (reply, error) {
		return r.auditOf(q.PathValue("cluster"), body)
	})
	take("/otlp/v1/logs", r.otlp)
	take("/v1/logs", r.otlp) // where exporters send that are told a host only
	for path, format := range aliases {
		take(path, func(q *http.Request, body []byte) (reply, error) { return r.records(q, format, body) })
	}
	return mux
}

// aliases are paths that stand for /records/FORMAT: what some senders add to an
// address, or can't leave out.
var aliases = map[string]string{"/falco": falco, "/falcosidekick": falco, "/ocsf": "ocsf", "/ecs": "ecs"}

const falco = "falco"

// local reports whether only this host can reach an address.
func local(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
