package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"tidewaiter/sensor"
)

// The lanes are named as the formats that read them.
var (
	laneDNS  = sensor.Lane{Name: "zeek-dns-json", Format: "zeek-dns-json"}
	laneTLS  = sensor.Lane{Name: "zeek-ssl-json", Format: "zeek-ssl-json"}
	laneHTTP = sensor.Lane{Name: "zeek-http-json", Format: "zeek-http-json"}
)

// Formats are the names of the formats that read what is recorded.
func Formats() []string { return []string{laneDNS.Format, laneTLS.Format, laneHTTP.Format} }

// Bounds of what a stranger can have recorded, in bytes.
const (
	maxName   = 255 // of a host; DNS allows no more (RFC 1035, 2.3.4)
	maxMethod = 32
	maxURI    = 8 << 10
	maxAgent  = 1 << 10
)

// head is how a record begins. The keys are those of Zeek's logs.
type head struct {
	Path     string  `json:"_path"`
	Written  instant `json:"_write_ts"`
	Time     instant `json:"ts"`
	UID      string  `json:"uid"`
	OrigHost string  `json:"id.orig_h"`
	OrigPort uint16  `json:"id.orig_p"`
	RespHost string  `json:"id.resp_h"`
	RespPort uint16  `json:"id.resp_p"`
}

type recordDNS struct {
	head
	Proto    string    `json:"proto"`
	TransID  uint16    `json:"trans_id"`
	RTT      *seconds  `json:"rtt,omitempty"`
	Query    string    `json:"query"`
	Class    uint16    `json:"qclass"`
	Type     uint16    `json:"qtype"`
	TypeName string    `json:"qtype_name,omitempty"`
	Code     *uint16   `json:"rcode,omitempty"`
	CodeName string    `json:"rcode_name,omitempty"`
	AA       bool      `json:"AA"`
	TC       bool      `json:"TC"`
	RD       bool      `json:"RD"`
	RA       bool      `json:"RA"`
	Answers  []string  `json:"answers,omitempty"`
	TTLs     []seconds `json:"TTLs,omitempty"`
	Rejected bool      `json:"rejected"`
}

type recordTLS struct {
	head
	Version    string `json:"version,omitempty"`
	ServerName string `json:"server_name,omitempty"`
	History    string `json:"ssl_history"`
}

type recordHTTP struct {
	head
	Depth      int    `json:"trans_depth"`
	Method     string `json:"method"`
	Host       string `json:"host,omitempty"`
	URI        string `json:"uri"`
	Version    string `json:"version,omitempty"`
	Agent      string `json:"user_agent,omitempty"`
	RequestLen *int64 `json:"request_body_len,omitempty"`
	Status     int    `json:"status_code,omitempty"`
}

func newHead(path string, c conn, at, now time.Time) head {
	return head{
		Path: path, Written: instant(now), Time: instant(at), UID: uid(c),
		OrigHost: c.client.Addr().String(), OrigPort: c.client.Port(), RespHost: c.server.Addr().String(), RespPort: c.server.Port(),
	}
}

// uid is a connection's, always the same for the same ends. It looks like
// Zeek's, which are random.
func uid(c conn) string {
	protocol := byte('u')
	if c.tcp {
		protocol = 't'
	}
	b := append(make([]byte, 0, 128), protocol)
	b = append(c.client.AppendTo(b), ' ')
	sum := sha256.Sum256(c.server.AppendTo(b))
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	id := [18]byte{'C'}
	for i := range id[1:] {
		id[1+i] = letters[int(sum[i])%len(letters)]
	}
	return string(id[:])
}

// instant is written as Zeek writes a time: in seconds since 1970, to a
// microsecond.
type instant time.Time

// MarshalJSON implements json.Marshaler.
func (t instant) MarshalJSON() ([]byte, error) {
	us := max(time.Time(t).UnixMicro(), 0)
	return fmt.Appendf(nil, "%d.%06d", us/1e6, us%1e6), nil
}

// seconds is written as Zeek writes an interval.
type seconds time.Duration

// MarshalJSON implements json.Marshaler.
func (s seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(s).Seconds(), 'f', 6, 64), nil
}

// lines gathers the records of one lane.
type lines struct {
	lane sensor.Lane
	buf  bytes.Buffer
	to   *json.Encoder
}

func newLines(lane sensor.Lane) *lines {
	l := &lines{lane: lane}
	l.to = json.NewEncoder(&l.buf)
	l.to.SetEscapeHTML(false)
	return l
}

// add adds one line.
func (l *lines) add(record any) { _ = l.to.Encode(record) } // records hold nothing that cannot be written

// maxSpare bounds the memory that is kept between two flushes, in bytes.
const maxSpare = 1 << 20

func (l *lines) flush(out sensor.Recorder) {
	if l.buf.Len() == 0 {
		return
	}
	out.Record(l.lane, l.buf.Bytes())
	if l.buf.Cap() > maxSpare {
		l.buf = bytes.Buffer{}
		return
	}
	l.buf.Reset()
}

// bounded is s, cut at n bytes and marked if it is longer.
func bounded(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
