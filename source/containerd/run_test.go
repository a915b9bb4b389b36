package containerd

import (
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/sourcetest"
)

// Ids of the fixtures, made up.
var (
	idApp   = strings.Repeat("c4e8", 16)
	idExec  = strings.Repeat("1b6f", 16)
	idImage = "sha256:" + strings.Repeat("70aa", 16)
)

func ref(s string) image.Reference { return image.Parse(s) }

// oneCase is a line and what it must give: one body, or a fault, or neither.
type oneCase struct {
	name  string
	text  string
	at    event.Time
	body  event.Body
	fault string // part of the reason
}

func checkOne(t *testing.T, c oneCase) {
	t.Helper()
	sourcetest.Check(t, Events(), c.text+"\n", sourcetest.Want{At: c.at, Body: c.body, Fault: c.fault})
}
