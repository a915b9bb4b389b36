package docker

import (
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// Ids of the fixtures, made up.
var (
	idWeb   = strings.Repeat("5e1f", 16)
	idJob   = strings.Repeat("b07d", 16)
	idNet   = strings.Repeat("77c3", 16)
	idExec  = strings.Repeat("e0a9", 16)
	idImage = "sha256:" + strings.Repeat("9d42", 16)
	idIndex = "sha256:" + strings.Repeat("31fa", 16)
)

func ref(s string) image.Reference { return image.ParseDocker(s) }

// oneCase is a file and what it must give: one body, or a fault, or neither.
type oneCase struct {
	name  string
	text  string
	at    event.Time
	body  event.Body
	fault string // part of the reason
}

func checkOne(t *testing.T, format *source.Format, c oneCase) {
	t.Helper()
	sourcetest.Check(t, format, c.text, sourcetest.Want{At: c.at, Body: c.body, Fault: c.fault})
}
