package receive

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/sensor/sensortest"
)

// taken are formats of the tests, detected by a word.
var taken = []Format{{"k8s-audit", true}, {"falco", true}, {"auditd", false}, {"docker-events", true}}

func detect(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("type=")):
		return "auditd"
	case bytes.Contains(b, []byte(`"Type":"container"`)):
		return "docker-events"
	}
	return ""
}

// lab is a receiver that listens, and a client of it.
type lab struct {
	t      *testing.T
	out    *sensortest.Recorder
	url    string
	client *http.Client
	token  string
}

const secret = "correct-horse-battery"

func start(t *testing.T, o Options) *lab {
	t.Helper()
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	o.Formats, o.Detect = taken, detect
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, out: sensortest.New(""), client: &http.Client{Timeout: 20 * time.Second}}
	at := make(chan net.Addr, 1)
	s.listening = func(a net.Addr) { at <- a }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Watch(ctx, l.out) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case a := <-at:
		l.url = "http://" + a.String()
	case err := <-done:
		t.Fatal(err)
	}
	return l
}

// send posts a body and gives the status and the answer.
func (l *lab) send(path, body string, header ...string) (int, string) {
	l.t.Helper()
	q, err := http.NewRequest("POST", l.url+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	if l.token != "" {
		q.Header.Set("Authorization", "Bearer "+l.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	a, err := l.client.Do(q)
	if err != nil {
		l.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return a.StatusCode, string(text)
}

func (l *lab) want(status int, path, body string, header ...string) {
	l.t.Helper()
	if got, text := l.send(path, body, header...); got != status {
		l.t.Errorf("POST %s %.60q: %d %q, want %d", path, body, got, text, status)
	}
}

func gzipped(t testing.TB, b []byte) string {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	z.Close()
	return out.String()
}

func TestRecords(t *testing.T) {
	l := start(t, Options{})
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	l.want(200, "/records/auditd", "type=A\r\n\n  \ntype=B")
	l.want(200, "/records/auditd", gzipped(t, []byte("type=C\n")), "Content-Encoding", "gzip")
	l.want(200, "/records/auditd", string(z.EncodeAll([]byte("type=D\n"), nil)), "Content-Encoding", "zstd")
	l.want(200, "/records/docker-events?host=Web-1&account=42", "{\"a\":\n 1}{\"b\":\"<&>\"}\n[{\"c\":1},\n{\"d\":[]}] ")
	l.want(200, "/falco", `{"rule":"x"}`)
	l.want(200, "/falcosidekick", `{"rule":"y"}`)
	l.want(200, "/records/auditd", "")
	for lane, want := range map[string]string{"received-auditd": `["type=A" "type=B" "type=C" "type=D"]`, "received-falco": `["{\"rule\":\"x\"}" "{\"rule\":\"y\"}"]`} {
		if got := fmt.Sprintf("%q", l.out.Lines(lane)); got != want {
			t.Errorf("%s: %s", lane, got)
		}
	}
	place := event.Place{Account: "42", Host: "Web-1"}
	name := laneName("docker-events", place)
	if !strings.HasPrefix(name, "received-42-web-1-") {
		t.Error(name)
	}
	if got := fmt.Sprintf("%q", l.out.Lines(name)); got != `["{\"a\":1}" "{\"b\":\"<&>\"}" "{\"c\":1}" "{\"d\":[]}"]` {
		t.Error(got)
	}
	if l.out.Readies() != 1 || len(l.out.Losses()) != 0 {
		t.Error(l.out.Readies(), l.out.Losses())
	}
}

// TestNothingOfWhatIsRefused: a request with one fault leaves nothing.
func TestNothingOfWhatIsRefused(t *testing.T) {
	l := start(t, Options{Clusters: []string{"blue"}})
	good := `{"a":1}`
	item := `{"auditID":"a"}`
	for _, c := range []struct {
		status     int
		path, body string
		header     []string
	}{
		{404, "/records/nothing", good, nil},
		{404, "/records/../../etc/passwd", good, nil},
		{404, "/records/..%2f..%2fetc", good, nil},
		{404, "/records/k8s-audit%00", good, nil},
		{404, "/records/", good, nil},
		{404, "/", good, nil},
		{404, "/ocsf", good, nil}, // not one of the formats
		{400, "/records/falco", good + `{"b":`, nil},
		{400, "/records/falco", good + "\nhello", nil},
		{400, "/records/falco", `[` + good + `,`, nil},
		{400, "/records/falco", `[` + good + `,7]`, nil},
		{400, "/records/falco", `"text"`, nil},
		{400, "/records/falco", strings.Repeat("[", 100_000), nil},
		{400, "/records/falco?host=a&host=b", good, nil},
		{400, "/records/falco?lane=x", good, nil},
		{400, "/records/falco?host=..%2f..%2fx", good, nil},
		{400, "/records/falco?host=%0a", good, nil},
		{400, "/records/falco?host=%zz", good, nil},
		{400, "/records/falco?host=%ff", good, nil},
		{400, "/records/falco?host=" + strings.Repeat("x", 300), good, nil},
		{400, "/records/auditd", "not gzip", []string{"Content-Encoding", "gzip"}},
		{400, "/records/auditd", "not zstd", []string{"Content-Encoding", "zstd"}},
		{400, "/records/auditd", gzipped(t, []byte("type=cut off"))[:20], []string{"Content-Encoding", "gzip"}},
		{415, "/records/auditd", good, []string{"Content-Encoding", "br"}},
		{415, "/records/auditd", good, []string{"Content-Encoding", "gzip, gzip"}},
		{413, "/records/auditd", "type=A\n" + strings.Repeat("x", MaxRecord+1), nil},
		{413, "/records/falco", good + `{"x":"` + strings.Repeat("x", MaxRecord) + `"}`, nil},
		{400, "/kubernetes/audit", item, nil},
		{400, "/kubernetes/audit", `{"kind":"EventList","items":[` + item + `]}`, nil},
		{400, "/kubernetes/audit", `{"kind":"List","apiVersion":"audit.k8s.io/v1","items":[` + item + `]}`, nil},
		{400, "/kubernetes/audit", `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[` + item + `,`, nil},
		{400, "/kubernetes/audit", `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[` + item + `]} x`, nil},
		{400, "/kubernetes/audit", `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[` + item + `],"items":[]}`, nil},
		{404, "/kubernetes/audit/green", `{}`, nil},
		{403, "/falco", good, []string{"Origin", "https://evil.example"}},
		{403, "/falco", good, []string{"Sec-Fetch-Site", "same-origin"}},
		{415, "/v1/logs", good, []string{"Content-Type", "text/plain"}},
		{400, "/v1/logs", good + "x", []string{"Content-Type", "application/json"}},
		{400, "/v1/logs", "\x0a\xff", []string{"Content-Type", "application/x-protobuf"}},
	} {
		l.want(c.status, c.path, c.body, c.header...)
	}
	if a, err := l.client.Get(l.url + "/records/falco"); err != nil || a.StatusCode != 405 {
		t.Error(a, err)
	}
	if n := l.out.Calls(); n != 0 {
		t.Errorf("%d were recorded", n)
	}
}

// TestBombs: what unpacks to more than the bound is refused without being
// unpacked further.
func TestBombs(t *testing.T) {
	l := start(t, Options{})
	bomb := gzipped(t, make([]byte, 512<<20))
	l.want(413, "/records/auditd", bomb, "Content-Encoding", "gzip")
	z, err := zstd.NewWriter(nil, zstd.WithWindowSize(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	wide := string(z.EncodeAll(bytes.Repeat([]byte("0123456789abcdef"), 8<<20), nil))
	if got, _ := l.send("/records/auditd", wide, "Content-Encoding", "zstd"); got != 400 && got != 413 {
		t.Error(got)
	}
	l.want(413, "/records/auditd", strings.Repeat("x\n", MaxBody/2+1))
	if n := l.out.Calls(); n != 0 {
		t.Errorf("%d were recorded", n)
	}
}

// TestBounds: what is sent at once is bounded, in requests and bytes, and so
// are the places.
func TestBounds(t *testing.T) {
	r := newReceiver(&Sensor{formats: map[string]Format{"auditd": taken[2]}}, sensortest.New(""))
	try := func(path, body string) int {
		w := recorder{header: http.Header{}}
		q, err := http.NewRequest("POST", "http://x"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.routes().ServeHTTP(&w, q)
		if w.status == 503 && w.header.Get("Retry-After") == "" {
			t.Error("not said when to come again")
		}
		return w.status
	}
	for range MaxRequests {
		r.turns <- struct{}{}
	}
	if got := try("/records/auditd", "x"); got != 503 {
		t.Error(got)
	}
	for range MaxRequests {
		<-r.turns
	}
	r.held.Store(maxHeld)
	if got := try("/records/auditd", "x"); got != 503 || r.held.Load() != maxHeld {
		t.Error(got, r.held.Load())
	}
	r.held.Store(0)
	for i := range MaxLanes {
		if got := try(fmt.Sprintf("/records/auditd?host=h%d", i), "x"); got != 200 {
			t.Fatal(i, got)
		}
	}
	if got := try("/records/auditd?host=another", "x"); got != 507 {
		t.Error(got)
	}
	if got := try("/records/auditd?host=h7", "x"); got != 200 || r.held.Load() != 0 {
		t.Error(got, r.held.Load())
	}
}

type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }

func TestAudit(t *testing.T) {
	l := start(t, Options{Cluster: "green", Clusters: []string{"blue"}})
	batch := `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[{"auditID":"a",` + "\n" + `"stage":"ResponseComplete"},{"auditID":"b"}]}` + "\n"
	l.want(200, "/kubernetes/audit", batch)
	l.want(200, "/kubernetes/audit/blue?timeout=30s", batch)
	for _, cluster := range []string{"green", "blue"} {
		if got := fmt.Sprintf("%q", l.out.Lines(laneName("k8s-audit", event.Place{Cluster: cluster}))); got != `["{\"auditID\":\"a\",\"stage\":\"ResponseComplete\"}" "{\"auditID\":\"b\"}"]` {
			t.Error(cluster, got)
		}
	}
}

// authority signs the tests' certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("authority", nil, nil)
	return a
}

// issue makes a certificate and writes it to NAME.crt and NAME.key.
func (a *authority) issue(name string, by *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true, IsCA: by == nil, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if by == nil {
		by, signer = form, key
	}
	der, err := x509.CreateCertificate(rand.Reader, form, by, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	a.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) write(name string, text []byte) string {
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// client is one that shows a certificate, "" for none.
func (a *authority) client(name string) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	c := &tls.Config{RootCAs: pool}
	if name != "" {
		pair, err := tls.LoadX509KeyPair(a.path(name+".crt"), a.path(name+".key"))
		if err != nil {
			a.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}, Timeout: 10 * time.Second}
}

func TestWhoMaySend(t *testing.T) {
	a := newAuthority(t)
	for _, name := range []string{"server", "shipper", "stranger"} {
		a.issue(name, a.cert, a.key)
	}
	a.issue("outsider", nil, nil)
	o := Options{Certificate: a.path("server.crt"), Key: a.path("server.key"), TokenFile: a.write("token", []byte(secret+"\n"))}
	with := func(o Options) *lab {
		l := start(t, o)
		l.url = "https" + strings.TrimPrefix(l.url, "http")
		l.client = a.client("")
		return l
	}
	l := with(o)
	for _, token := range []string{"", "wrong", secret + "x", strings.ToUpper(secret), secret[:10]} {
		l.token = token
		l.want(401, "/records/auditd", "type=A")
	}
	l.want(401, "/records/auditd", "type=A", "Authorization", "Basic "+secret)
	if got, _ := l.send("/records/auditd", strings.Repeat("x", 1<<20)); got != 401 {
		t.Error("a body is read before it is known who sends", got)
	}
	l.token = secret
	l.want(200, "/records/auditd", "type=A")
	if n := l.out.Calls(); n != 1 {
		t.Error(n)
	}

	o.ClientCA, o.Names = a.path("authority.crt"), []string{"shipper"}
	l = with(o)
	l.token = secret
	for client, status := range map[string]int{"": 0, "outsider": 0, "stranger": 403, "shipper": 200} {
		l.client = a.client(client)
		if status != 0 {
			l.want(status, "/records/auditd", "type=A")
			continue
		}
		if _, err := l.client.Post(l.url+"/records/auditd", "", strings.NewReader("x")); err == nil {
			t.Errorf("%q got through", client)
		}
	}
	l.client, l.token = a.client("shipper"), ""
	l.want(401, "/records/auditd", "type=A")
	if n := l.out.Calls(); n != 1 {
		t.Error(n)
	}
}

func TestTokensAreRenewed(t *testing.T) {
	text := "one"
	r, err := newRenewed(func() (string, error) {
		if text == "" {
			return "", os.ErrNotExist
		}
		return text, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text, want string
		later      bool
	}{{"two", "one", false}, {"two", "two", true}, {"", "two", true}, {"three", "three", true}} {
		text = c.text
		if c.later {
			r.at = r.at.Add(-2 * renewal)
		}
		if got := r.get(); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestCheck(t *testing.T) {
	for want, o := range map[string]Options{
		"listen: ":           {Listen: "nowhere"},
		"other hosts":        {Listen: "0.0.0.0:1"},
		"insecure: true":     {Listen: ":1", Certificate: "c", Key: "k"},
		"other hosts could":  {Listen: "example.com:1", TokenFile: "t"},
		"tls: ":              {Listen: "127.0.0.1:1", Key: "k"},
		"tls.client_ca: ":    {Listen: "127.0.0.1:1", ClientCA: "c"},
		"tls.client_names: ": {Listen: "127.0.0.1:1", Names: []string{"n"}},
		"files.a.log: ":      {Listen: "127.0.0.1:1", Files: map[string]string{"a.log": "none"}},
		"clusters: ":         {Listen: "127.0.0.1:1", Clusters: []string{"a/b"}},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	for _, o := range []Options{
		{Listen: "127.0.0.1:1"}, {Listen: "localhost:1"}, {Listen: "[::1]:1"}, {Listen: "0.0.0.0:1", Insecure: true},
		{Listen: ":1", Certificate: "c", Key: "k", TokenFile: "t"}, {Listen: ":1", Certificate: "c", Key: "k", ClientCA: "a"},
	} {
		if _, err := New(o); err != nil {
			t.Error(err)
		}
	}
}

func TestLacks(t *testing.T) {
	a := newAuthority(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	at := "127.0.0.1:0"
	for name, o := range map[string]Options{
		"address": {Listen: busy.Addr().String()},
		"token":   {Listen: at, TokenFile: a.path("none")},
		"short":   {Listen: at, TokenFile: a.write("short", []byte("abc\n"))},
		"two":     {Listen: at, TokenFile: a.write("two", []byte(secret+"\n"+secret))},
		"pair":    {Listen: at, Certificate: a.path("none"), Key: a.path("none")},
		"ca":      {Listen: at, Certificate: a.path("authority.crt"), Key: a.path("authority.key"), ClientCA: a.path("authority.key")},
	} {
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Watch(t.Context(), sensortest.New(""))
		if lack, ok := sensor.AsLack(err); !ok || lack.Mend == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
