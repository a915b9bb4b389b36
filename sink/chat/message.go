package chat

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"tidewaiter/finding"
	"tidewaiter/sink"
	"tidewaiter/sink/ocsf"
	"tidewaiter/visible"
)

// Bounds of a message in characters: Discord takes 2000, PagerDuty 1024, from
// the beginning.
const (
	maxMessage = 1500
	maxTitle   = 350
	maxReason  = 160
	maxName    = 120
	maxHeading = 70 // a line of a mail has 998 bytes, and a character up to twelve

	maxReasons = 4
)

// message says what, where and why now, in a few lines.
func message(n sink.Notice, o finding.OCSF) string {
	var lines []string
	line := func(label, text string) {
		if text != "" {
			lines = append(lines, label+text)
		}
	}
	line(mark(o)+" · ", safe(o.FindingInfo.Title, maxTitle))
	// What is cut off at the end must not be by what the finding is looked up.
	line("finding ", fmt.Sprintf("%s, %s, score %d of 100, confidence %d %%", safe(o.FindingInfo.UID, maxName), safe(string(o.Unmapped.State), maxName), o.RiskScore, o.ConfidenceScore))
	e := ocsf.Entity(o)
	for i, s := range o.Unmapped.Signals {
		if i < maxReasons && s.Points > 0 {
			line("– ", safe(s.Says, maxReason))
		}
	}
	line("container: ", safe(strings.TrimSpace(e.ContainerName+" "+short(e.ContainerID)), maxName))
	line("pod: ", safe(strings.Trim(e.Namespace+"/"+e.Pod, "/"), maxName))
	line("machine: ", safe(e.InstanceID, maxName))
	line("image: ", safe(cmp.Or(e.Image, e.ImageID), maxName))
	line("host: ", safe(e.Host, maxName))
	techniques, subs := ocsf.Techniques(o)
	line("ATT&CK: ", safe(strings.Join(append(subs, techniques...), ", "), maxName))
	if o.EndTime > 0 {
		line("last record: ", time.UnixMilli(o.EndTime).UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	line("told by: ", safe(n.Host, maxName))
	return cut(strings.Join(lines, "\n"), maxMessage)
}

// heading is one line for a subject.
func heading(o finding.OCSF) string { return mark(o) + ": " + safe(o.FindingInfo.Title, maxHeading) }

// mark is the severity, or that the finding is taken back.
func mark(o finding.OCSF) string {
	if ocsf.Closed(o) {
		return strings.ToUpper(safe(string(o.Unmapped.State), maxName))
	}
	return strings.ToUpper(safe(o.Severity, maxName))
}

func short(id string) string {
	if len(id) == 64 {
		return id[:12]
	}
	return id
}

// What chats act on, in any of their dialects: mentions, HTML and Slack's
// angle brackets, code, emphasis, spoilers, links. Each sign becomes one that
// looks like it, and means nothing.
var lookalikes = strings.NewReplacer(
	"@", "＠", "<", "‹", ">", "›", "&", "＆", "`", "ˋ", "*", "∗", "~", "∼", "|", "¦",
	"](", "] (", "://", "[:]//", "mailto:", "mailto[:]", "www.", "www[.]",
)

// safe is text from a log as a chat may show it: at most so many characters of
// one line.
func safe(s string, most int) string {
	if len(s) > 8*most {
		s = s[:8*most] // what follows is cut off in any case
	}
	return cut(lookalikes.Replace(visible.Text(s)), most)
}

func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
