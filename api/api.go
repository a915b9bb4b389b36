// Package api serves what the daemon says of itself: metrics for Prometheus,
// whether it lives and is ready, and its status as JSON. It only reads.
//
// In: the daemon's status. Out: HTTP answers.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tidewaiter/daemon"
)

// Limits of the server.
const (
	headerTime = 5 * time.Second
	answerTime = 30 * time.Second
	maxHeader  = 16 << 10
)

// Handler answers requests by what status gives.
func Handler(status func() daemon.Status) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{status}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if ok, why := status().Ready(); !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, why)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(newStatus(status())) // who hangs up misses the rest
	})
	return guard(mux)
}

// guard refuses what a page of elsewhere could have a browser ask: requests
// under a name that is no address, and from other origins. Answers are data.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		_, parse := netip.ParseAddr(strings.Trim(host, "[]"))
		if parse != nil && host != "localhost" || r.Header.Get("Sec-Fetch-Site") == "cross-site" {
			http.Error(w, "ask by address, not by name", http.StatusForbidden)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// Server is a server that listens.
type Server struct {
	http *http.Server
	ln   net.Listener
}

// Listen begins to listen on an address; Serve answers.
func Listen(address string, h http.Handler) (*Server, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return &Server{&http.Server{Handler: h, ReadHeaderTimeout: headerTime, WriteTimeout: answerTime, MaxHeaderBytes: maxHeader}, ln}, nil
}

// Addr is where it listens.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Serve answers until ctx ends.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.http.Close() })
	defer stop()
	if err := s.http.Serve(s.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
