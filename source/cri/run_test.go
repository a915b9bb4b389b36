package cri

import (
	"strconv"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// Ids of the fixtures, made up.
var (
	idApp      = strings.Repeat("c4e8", 16)
	idExec     = strings.Repeat("1b6f", 16)
	idSandbox  = strings.Repeat("5a0d", 16)
	idConfig   = "sha256:" + strings.Repeat("70aa", 16)
	idManifest = "sha256:" + strings.Repeat("9d42", 16)
)

// The instant of most fixtures: 2026-05-04T08:09:10.123456789Z.
const (
	second = int64(1777882150)
	nano   = second*1e9 + 123456789
	stamp  = "2026-05-04T08:09:10.123456789Z"
	shop   = "registry.acme.example/team/shop"
)

var atNano = event.Time{At: nano, Res: 1}

func ref(s string) image.Reference { return image.Parse(s) }

// info is a line with a message, as logrus prints it, and pairs after it.
func info(msg string, pairs ...string) string {
	line := `time="` + stamp + `" level=info msg=` + strconv.Quote(msg)
	for _, p := range pairs {
		line += " " + p
	}
	return line
}

// oneCase is a message and what its line must give: one body, or a fault, or
// neither.
type oneCase struct {
	name  string
	msg   string
	pairs string
	body  event.Body
	at    event.Time // atNano if zero, unless timeless
	fault string     // part of the reason
}

func (c oneCase) line() string { return strings.TrimRight(info(c.msg, c.pairs), " ") + "\n" }

func checkCases(t *testing.T, format *source.Format, cases []oneCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, timeless := c.body.(*event.ImageDescription)
			if c.at.IsZero() && !timeless {
				c.at = atNano
			}
			sourcetest.Check(t, format, c.line(), sourcetest.Want{At: c.at, Body: c.body, Fault: c.fault})
		})
	}
}
