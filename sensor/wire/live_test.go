package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/sensor/sensortest"
	"tidewaiter/source"
	"tidewaiter/source/flow"
	"tidewaiter/source/sourcetest"
)

const (
	inside  = "192.0.2.10"   // a container's
	gateway = "192.0.2.1"    // its host's, towards it
	outside = "198.51.100.2" // its host's, towards the world
	world   = "198.51.100.53"
)

// networks makes three namespaces: a container, its host, which hides it behind
// its own address, and the world.
func networks(t *testing.T) (container, host, internet string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for _, name := range []string{"ip", "iptables", "nsenter", "sysctl"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s", name)
		}
	}
	id := fmt.Sprint(os.Getpid())
	container, host, internet = "twwc"+id, "twwh"+id, "twwi"+id
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	for _, ns := range []string{container, host, internet} {
		run("ip", "netns", "add", ns)
		t.Cleanup(func() { run("ip", "netns", "del", ns) })
		run("ip", "-n", ns, "link", "set", "lo", "up")
	}
	run("ip", "link", "add", "v0", "netns", container, "type", "veth", "peer", "name", "v1", "netns", host)
	run("ip", "link", "add", "up0", "netns", host, "type", "veth", "peer", "name", "in0", "netns", internet)
	run("ip", "-n", host, "link", "add", "br0", "type", "bridge")
	run("ip", "-n", host, "link", "set", "v1", "master", "br0", "up")
	for _, a := range [][3]string{{container, inside, "v0"}, {host, gateway, "br0"}, {host, outside, "up0"}, {internet, world, "in0"}} {
		run("ip", "-n", a[0], "addr", "add", a[1]+"/24", "dev", a[2])
		run("ip", "-n", a[0], "link", "set", a[2], "up")
	}
	for _, a := range [][3]string{{host, "2001:db8:1::2", "up0"}, {internet, "2001:db8:1::53", "in0"}} {
		run("ip", "-n", a[0], "addr", "add", a[1]+"/64", "dev", a[2], "nodad")
	}
	run("ip", "-n", container, "route", "add", "default", "via", gateway)
	run("nsenter", "--net=/run/netns/"+host, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	run("nsenter", "--net=/run/netns/"+host, "iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-s", inside, "-o", "up0", "-j", "MASQUERADE")
	return container, host, internet
}

// within has a function's sockets be of a namespace.
func within(t *testing.T, ns string, call func() error) {
	t.Helper()
	f, err := os.Open("/run/netns/" + ns)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := sensor.InNetNS(int(f.Fd()), call); err != nil {
		t.Fatal(err)
	}
}

// serve answers in a namespace: DNS by datagrams and TCP, TLS, and the requests
// that Docker's API takes.
func serve(t *testing.T, ns string) {
	t.Helper()
	var udp net.PacketConn
	var tcp, secure, api net.Listener
	within(t, ns, func() (err error) {
		for _, l := range []struct {
			to   *net.Listener
			port string
		}{{&tcp, ":53"}, {&secure, ":443"}, {&api, ":2375"}} {
			if *l.to, err = net.Listen("tcp", l.port); err != nil {
				return err
			}
		}
		udp, err = net.ListenPacket("udp", ":53")
		return err
	})
	t.Cleanup(func() { udp.Close(); tcp.Close(); secure.Close(); api.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = udp.WriteTo(answerTo(buf[:n]), from)
		}
	}()
	go accept(tcp, func(c net.Conn) {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		buf := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, buf); err != nil {
			return
		}
		_, _ = c.Write(prefixed(answerTo(buf)))
	})
	certificate := selfSigned(t)
	go accept(secure, func(c net.Conn) {
		_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}}).Handshake()
	})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if strings.HasSuffix(r.URL.Path, "/containers/create") {
			w.WriteHeader(http.StatusCreated)
		}
	})}
	go server.Serve(api)
	t.Cleanup(func() { server.Close() })
}

func accept(l net.Listener, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		serve(c)
		c.Close()
	}
}

func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// dial connects from a namespace.
func dial(t *testing.T, ns, network, addr string) net.Conn {
	t.Helper()
	var c net.Conn
	within(t, ns, func() (err error) {
		c, err = net.DialTimeout(network, addr, 5*time.Second)
		return err
	})
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c
}

// TestLive: a container behind its host asks, greets and calls; and so does the
// host itself. Every packet of the container's is seen five times, and told once,
// as the container's.
func TestLive(t *testing.T) {
	container, host, internet := networks(t)
	serve(t, internet)
	r := sensortest.New("")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- New(Options{NetNS: "/run/netns/" + host}).Watch(ctx, r) }()
	r.Until(t, "ready", func() bool {
		select {
		case err := <-done:
			t.Fatal(err)
		default:
		}
		return r.Readies() > 0
	})
	lookUp(t, dial(t, container, "udp", world+":53"), "Files.example.", false)
	lookUp(t, dial(t, container, "tcp", world+":53"), "tcp.example.", true)
	lookUp(t, dial(t, host, "udp", "[2001:db8:1::53]:53"), "six.example.", false)
	if err := tls.Client(dial(t, container, "tcp", world+":443"), &tls.Config{ServerName: "pool.example", InsecureSkipVerify: true}).Handshake(); err != nil {
		t.Fatal(err)
	}
	callAPI(t, dial(t, container, "tcp", world+":2375"))
	r.Until(t, "records", func() bool {
		return len(r.Lines("zeek-dns-json")) == 3 && len(r.Lines("zeek-ssl-json")) == 1 && len(r.Lines("zeek-http-json")) == 3
	})
	time.Sleep(3 * statusTime / 2) // nothing more is told of it
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if l := r.Losses(); len(l) > 0 {
		t.Errorf("losses %q", l)
	}
	check(t, flow.ZeekDNSJSON(), r.Lines("zeek-dns-json"),
		inside+" asks "+world+" A files.example: NOERROR [203.0.113.66] [cdn.example]",
		inside+" asks "+world+" A tcp.example: NOERROR [203.0.113.66] [cdn.example]",
		"2001:db8:1::2 asks 2001:db8:1::53 A six.example: NOERROR [203.0.113.66] [cdn.example]")
	check(t, flow.ZeekSSLJSON(), r.Lines("zeek-ssl-json"), inside+" greets "+world+":443 pool.example TLSv13")
	check(t, flow.ZeekHTTPJSON(), r.Lines("zeek-http-json"),
		inside+" calls "+world+":2375 POST docker.example /v1.41/build?t=sys-update&buildargs=<redacted> 200 by Docker-Client",
		inside+" calls "+world+":2375 POST docker.example /v1.41/containers/create?name=upd 201 by Docker-Client",
		inside+" calls "+world+":2375 GET docker.example /v1.41/info 200 by Docker-Client")
	for _, line := range r.Lines("zeek-http-json") {
		if strings.Contains(line, "hunter2") {
			t.Errorf("a secret is recorded: %s", line)
		}
	}
}

func lookUp(t *testing.T, c net.Conn, name string, stream bool) {
	t.Helper()
	asks := asking(7, name)
	if stream {
		asks = prefixed(asks)
	}
	if _, err := c.Write(asks); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 2048)); err != nil {
		t.Fatal(err)
	}
}

// callAPI makes three requests on one connection, as Docker's client does: the
// context of a build comes in pieces.
func callAPI(t *testing.T, c net.Conn) {
	t.Helper()
	answers := bufio.NewReader(c)
	for _, one := range []struct {
		method, target string
		body           io.Reader
	}{
		{"POST", "/v1.41/build?t=sys-update&buildargs=%7B%22TOKEN%22%3A%22hunter2%22%7D", io.MultiReader(bytes.NewReader(bytes.Repeat([]byte("POST /v1.41/build HTTP/1.1\r\n\r\n"), 9000)))},
		{"POST", "/v1.41/containers/create?name=upd", strings.NewReader(`{"Image":"sys-update","Env":["TOKEN=hunter2"]}`)},
		{"GET", "/v1.41/info", nil},
	} {
		req, err := http.NewRequest(one.method, "http://docker.example"+one.target, one.body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("User-Agent", "Docker-Client")
		req.Header.Set("X-Registry-Auth", "hunter2")
		req.Header.Set("Authorization", "Basic hunter2")
		if err := req.Write(c); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(answers, req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			t.Fatal(err)
		}
	}
}

// check decodes lines, and compares what they say.
func check(t *testing.T, f *source.Format, lines []string, want ...string) {
	t.Helper()
	events, tally := sourcetest.Decode(t, f, strings.Join(lines, "\n")+"\n")
	if tally.Unreadable > 0 || tally.Skipped > 0 {
		t.Errorf("%+v", tally)
	}
	var got []string
	for _, e := range events {
		switch b := e.Body.(type) {
		case *event.DNS:
			got = append(got, fmt.Sprintf("%s asks %s %s %s: %s %s %s", b.Client.Addr(), b.Server.Addr(), b.Type, b.Query, b.Code, b.Addrs, b.Names))
		case *event.TLS:
			got = append(got, fmt.Sprintf("%s greets %s %s %s", b.Client.Addr(), b.Server, b.ServerName, b.Version))
		case *event.HTTP:
			got = append(got, fmt.Sprintf("%s calls %s %s %s %s %d by %s", b.Client.Addr(), b.Server, b.Method, b.Host, b.URI, b.Status, b.Agent))
		}
		if d := time.Since(time.Unix(0, e.Time.At)); d < 0 || d > time.Minute {
			t.Errorf("told as of %v ago", d)
		}
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("\n got %s\nwant %s\nof %s", g, w, strings.Join(lines, "\n"))
	}
}

// asking is a question for an address, answerTo its answer: an alias and an
// address, with names that point back.
func asking(id uint16, name string) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true}, Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	b, _ := m.Pack()
	return b
}

func answerTo(question []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(question) != nil {
		return nil
	}
	m.Response, m.RecursionAvailable = true, true
	alias := dnsmessage.MustNewName("cdn.example.")
	head := func(n dnsmessage.Name) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: n, Class: dnsmessage.ClassINET, TTL: 30}
	}
	m.Answers = []dnsmessage.Resource{
		{Header: head(m.Questions[0].Name), Body: &dnsmessage.CNAMEResource{CNAME: alias}},
		{Header: head(alias), Body: &dnsmessage.TXTResource{TXT: []string{"not told"}}},
		{Header: head(alias), Body: &dnsmessage.AResource{A: [4]byte{203, 0, 113, 66}}},
	}
	b, _ := m.Pack()
	return b
}

// prefixed puts a message's length before it, as over TCP.
func prefixed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
}

// TestLacks: what is no namespace is told, and without the right to read packets
// it is said which one is missing.
func TestLacks(t *testing.T) {
	err := New(Options{NetNS: "/run/netns/there-is-none"}).Watch(t.Context(), sensortest.New(""))
	if lack, ok := sensor.AsLack(err); !ok || !strings.Contains(lack.Mend, "/proc/PID/ns/net") {
		t.Errorf("%v", err)
	}
	if lack, ok := sensor.AsLack(lacking(os.NewSyscallError("socket", os.ErrPermission))); !ok || !strings.Contains(lack.Mend, "CAP_NET_RAW") {
		t.Errorf("%v", lack)
	}
	if err := New(Options{NetNS: os.Args[0]}).Watch(t.Context(), sensortest.New("")); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("a file that is no namespace: %v", err)
	}
}
