package chat_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tidewaiter/finding"
	"tidewaiter/sink"
	"tidewaiter/sink/chat"
	"tidewaiter/sink/sinktest"
)

var _ sink.Sink = (*chat.Chat)(nil)

const token = "xkcdsecrettokenofchat"

func open(t *testing.T, opt chat.Options) *chat.Chat {
	t.Helper()
	c, err := chat.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// at is a service URL for a local server.
func at(scheme, server, rest string) string {
	return scheme + "://" + strings.TrimPrefix(server, "http://") + rest
}

// text is what a service of the library posted as its message.
func text(t *testing.T, body []byte) string {
	t.Helper()
	var m struct{ Text, Message string }
	if json.Unmarshal(body, &m) != nil {
		return string(body)
	}
	return m.Text + m.Message
}

func TestAMessageSaysWhatWhereAndWhy(t *testing.T) {
	r := sinktest.NewReceiver(t)
	n := sinktest.Notice(t)
	for _, u := range []string{at("generic", r.URL, "/hook?disabletls=yes"), at("mattermost", r.URL, "/"+token+"?disabletls=yes")} {
		if err := open(t, chat.Options{URL: u}).Deliver(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		got := text(t, r.Body)
		for _, want := range []string{
			"CRITICAL · registry.free-tools.example/ops/logsweeper:latest in sweeper on shop-1: ", "\n– the image is in no allowed registry\n",
			"container: sweeper c0ffee4d1ce5\n", "host: shop-1", "T1204.003", ", confirmed, score 79 of 100, confidence 95 %\n", "2026-11-06 10:22:40 UTC", n.Told.Finding.ID, "told by: watcher-1",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is missing in\n%s", want, got)
			}
		}
	}
}

func TestHostileTextCallsNobody(t *testing.T) {
	r := sinktest.NewReceiver(t)
	if err := open(t, chat.Options{URL: at("generic", r.URL, "/hook?disabletls=yes")}).Deliver(t.Context(), sinktest.HostileNotice(t)); err != nil {
		t.Fatal(err)
	}
	got := text(t, r.Body)
	for _, bad := range []string{"@", "<", ">", "`", "*", "](", "://", "\x1b", "\r", "\x00", "\u202e", "&", "|", "\nCEF", "\n<13>"} {
		if strings.Contains(got, bad) {
			t.Errorf("%q stands in\n%s", bad, got)
		}
	}
	if n := utf8.RuneCountInString(got); n > 1500 || n < 500 || !utf8.ValidString(got) || strings.Count(got, "\n") > 20 {
		t.Errorf("%d characters\n%s", n, got)
	}
	if !strings.Contains(got, "container: x\\x1b[2J") {
		t.Errorf("hostile text is not shown as it is\n%s", got)
	}
}

func TestErrorsAreSortedAndShowNoToken(t *testing.T) {
	for status, want := range map[int]string{200: "", 400: "permanent", 401: "retry", 404: "retry", 429: "retry", 500: "retry"} {
		r := sinktest.NewReceiver(t)
		r.Status, r.Answer = status, token
		for _, u := range []string{at("mattermost", r.URL, "/"+token+"?disabletls=yes"), at("generic", r.URL, "/hook/"+token+"?disabletls=yes")} {
			err := open(t, chat.Options{URL: u}).Deliver(t.Context(), sinktest.Notice(t))
			sinktest.Sorted(t, fmt.Sprint(status, " ", u), err, want)
			sinktest.Hides(t, err, token)
		}
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, u := range []string{
		at("mattermost", gone.URL, "/"+token+"?disabletls=yes"), at("generic", gone.URL, "/hook/"+token+"?disabletls=yes"),
		at("ntfy", gone.URL, "/"+token+"?scheme=http"), at("gotify", gone.URL, "/A"+token[:14]+"?disabletls=yes"),
		at("smtp", gone.URL, "/?from=a@h.example&to=b@h.example&auth=none"), strings.Replace(at("smtp", gone.URL, "/?from=a@h.example&to=b@h.example"), "://", "://me:"+token+"@", 1),
	} {
		err := open(t, chat.Options{URL: u, Timeout: 5 * time.Second}).Deliver(t.Context(), sinktest.Notice(t))
		sinktest.Sorted(t, u, err, "retry")
		sinktest.Hides(t, err, token, token[:14])
	}
	for _, u := range []string{
		"", token, "nosuch://" + token, "logger://", "slack://" + token, "http://%zz" + token, "telegram://" + token, "smtp://me:" + token + "@h:port/", "discord://" + token, "pagerduty://h/" + token + "/x?severity=" + token,
	} {
		_, err := chat.Open(chat.Options{URL: u})
		if err == nil {
			t.Errorf("%s: accepted", u)
		}
		sinktest.Hides(t, err, token)
	}
}

// A server that hangs is waited for by one call at most.
func TestAHangingServerHoldsOneCall(t *testing.T) {
	block := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-block }))
	defer s.Close()
	defer close(block)
	c := open(t, chat.Options{URL: at("generic", s.URL, "/"+token+"?disabletls=yes"), Timeout: 100 * time.Millisecond})
	sinktest.Sorted(t, "hangs", c.Deliver(t.Context(), sinktest.Notice(t)), "retry")
	err := c.Deliver(t.Context(), sinktest.Notice(t))
	sinktest.Sorted(t, "busy", err, "retry")
	if !errors.Is(err, chat.ErrBusy) {
		t.Error(err)
	}
}

// A mail has a subject, and nothing in the finding adds a header to it.
func TestAMailIsSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mails := make(chan string, 2)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveMail(c, mails)
		}
	}()
	u := "smtp://" + l.Addr().String() + "/?" + url.Values{"from": {"tw@h.example"}, "to": {"soc@h.example"}, "auth": {"none"}, "encryption": {"none"}, "starttls": {"no"}}.Encode()
	for _, n := range []sink.Notice{sinktest.Notice(t), sinktest.HostileNotice(t)} {
		if err := open(t, chat.Options{URL: u}).Deliver(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		got := <-mails
		head, body, _ := strings.Cut(got, "\r\n\r\n")
		if !strings.Contains(subject(head), "[tidewaiter] CRITICAL: ") || strings.Contains(head, "forged\r\n") || !strings.Contains(body, "finding tw-") {
			t.Errorf("%.2000s", got)
		}
		for line := range strings.SplitSeq(head, "\r\n") {
			if name, _, _ := strings.Cut(line, ":"); !strings.Contains(" Subject Date To From MIME-version Content-Type ", " "+name+" ") {
				t.Errorf("header %.200q", line)
			}
		}
	}
}

// subject reads the header's.
func subject(head string) string {
	m, err := mail.ReadMessage(strings.NewReader(head + "\r\n\r\n"))
	if err != nil {
		return err.Error()
	}
	s, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		return err.Error()
	}
	return s
}

// serveMail speaks as much SMTP as it takes.
func serveMail(c net.Conn, mails chan string) {
	defer c.Close()
	fmt.Fprint(c, "220 h\r\n")
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch strings.ToUpper(strings.Fields(line + " x")[0]) {
		case "DATA":
			fmt.Fprint(c, "354 go\r\n")
			text := ""
			for !strings.HasSuffix(text, "\r\n.\r\n") {
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
				text += line
			}
			mails <- text
			fmt.Fprint(c, "250 ok\r\n")
		case "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprint(c, "250 ok\r\n")
		}
	}
}

// PagerDuty gets an incident per finding, and is told when it is taken back.
func TestIncidentsAreClosed(t *testing.T) {
	var got []map[string]any
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m map[string]any
		_ = json.NewDecoder(r.Body).Decode(&m)
		got = append(got, m)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer s.Close()
	// The library has no setting for the authority; its client is the default.
	transport := http.DefaultTransport.(*http.Transport)
	before := transport.TLSClientConfig
	transport.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig
	defer func() { transport.TLSClientConfig = before }()

	u := "pagerduty://" + strings.TrimPrefix(s.URL, "https://") + "/0123456789abcdef0123456789abcdef"
	n := sinktest.Notice(t)
	var o finding.OCSF
	if err := json.Unmarshal(n.Told.JSON, &o); err != nil {
		t.Fatal(err)
	}
	o.Unmapped.State = finding.Withdrawn
	gone := n
	gone.Told.JSON, _ = json.Marshal(o)
	c := open(t, chat.Options{URL: u})
	if err := errors.Join(c.Deliver(t.Context(), n), c.Deliver(t.Context(), gone)); err != nil {
		t.Fatal(err)
	}
	for i, action := range []string{"trigger", "resolve"} {
		if got[i]["event_action"] != action || got[i]["dedup_key"] != n.Told.Finding.ID || got[i]["payload"].(map[string]any)["severity"] != "critical" {
			t.Errorf("%v", got[i])
		}
	}
}
