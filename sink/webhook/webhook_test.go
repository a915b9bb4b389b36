package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"tidewaiter/finding"
	"tidewaiter/sink"
	"tidewaiter/sink/ocsf"
	"tidewaiter/sink/post"
	"tidewaiter/sink/sinktest"
	"tidewaiter/sink/webhook"
)

var _ sink.Sink = (*webhook.Webhook)(nil)

// The secret of the specification's example, and another.
const (
	first  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	second = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
)

// received is a request as a receiver sees it.
type received struct {
	header http.Header
	body   []byte
}

// send delivers a notice and gives what arrived.
func send(t *testing.T, opt webhook.Options, n sink.Notice) (got received, err error) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got.header = r.Header
		got.body, _ = io.ReadAll(r.Body)
	}))
	defer s.Close()
	opt.HTTP.URL = s.URL
	w, err := webhook.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return got, w.Deliver(t.Context(), n)
}

// verify is the check of the specification, written from its text.
func verify(r received, secret string) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(r.header.Get("webhook-id") + "." + r.header.Get("webhook-timestamp") + "."))
	mac.Write(r.body)
	for part := range strings.SplitSeq(r.header.Get("webhook-signature"), " ") {
		if s, found := strings.CutPrefix(part, "v1,"); found {
			given, err := base64.StdEncoding.DecodeString(s)
			if err == nil && hmac.Equal(given, mac.Sum(nil)) {
				return true
			}
		}
	}
	return false
}

func TestWhatIsSentCanBeVerified(t *testing.T) {
	for name, n := range map[string]sink.Notice{"true": sinktest.Notice(t), "hostile": sinktest.HostileNotice(t)} {
		got, err := send(t, webhook.Options{Secrets: []string{first, second}}, n)
		if err != nil {
			t.Fatal(err)
		}
		if got.header.Get("webhook-id") != n.ID || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: headers %v", name, got.header)
		}
		sent, err := strconv.ParseInt(got.header.Get("webhook-timestamp"), 10, 64)
		if err != nil || time.Since(time.Unix(sent, 0)).Abs() > time.Minute {
			t.Errorf("%s: stamp %d, %v: receivers refuse old ones", name, sent, err)
		}
		for _, s := range []string{first, second} {
			lib, err := standardwebhooks.NewWebhook(s)
			if err != nil {
				t.Fatal(err)
			}
			if err := lib.Verify(got.body, got.header); err != nil || !verify(got, s) {
				t.Errorf("%s: the signature of a secret does not hold: %v", name, err)
			}
		}
		changed := got
		changed.body = append([]byte(" "), got.body...)
		if verify(changed, first) || verify(got, "whsec_"+strings.Repeat("A", 32)) {
			t.Errorf("%s: the signature holds for anything", name)
		}
		var o finding.OCSF
		if err := json.Unmarshal(got.body, &o); err != nil || o.FindingInfo.UID != n.Told.Finding.ID {
			t.Errorf("%s: the body is not the finding: %v", name, err)
		}
	}
}

func TestWithoutASecretNothingIsSigned(t *testing.T) {
	got, err := send(t, webhook.Options{HTTP: post.Options{Header: http.Header{"X-Team": {"soc"}}}, Limit: ocsf.Limit{OmitRecords: true}}, sinktest.Notice(t))
	if err != nil || got.header.Get("webhook-signature") != "" || got.header.Get("X-Team") != "soc" {
		t.Errorf("%v, headers %v", err, got.header)
	}
	if strings.Contains(string(got.body), `type=SYSCALL`) {
		t.Error("records are sent")
	}
}

func TestBadSecretsAreRefusedWithoutShowingThem(t *testing.T) {
	for _, s := range []string{"", "whsec_", "whsec_c2hvcnQ=", "no base64 at all, but a secret", "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65))} {
		_, err := webhook.Open(webhook.Options{HTTP: post.Options{URL: "http://h"}, Secrets: []string{s}})
		if err == nil || s != "" && len(s) > 8 && strings.Contains(err.Error(), s[6:]) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// A receiver that repeats the secret does not get it into a log.
func TestErrorsShowNoSecret(t *testing.T) {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(first, "whsec_"))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, first+" "+first[6:]+" "+string(key), http.StatusUnprocessableEntity)
	}))
	defer s.Close()
	w, err := webhook.Open(webhook.Options{HTTP: post.Options{URL: s.URL}, Secrets: []string{first}})
	if err != nil {
		t.Fatal(err)
	}
	err = w.Deliver(t.Context(), sinktest.Notice(t))
	if !sink.IsPermanent(err) || strings.Contains(err.Error(), first[6:]) || strings.Contains(err.Error(), string(key)) {
		t.Errorf("%v", err)
	}
	n := sinktest.Notice(t)
	n.Told.JSON = []byte("{")
	if err := w.Deliver(t.Context(), n); !sink.IsPermanent(err) {
		t.Errorf("no JSON: %v", err)
	}
}
