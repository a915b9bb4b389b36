package envelope

import (
	"encoding/base64"
	"strings"

	"tidewaiter/source/jsonrecord"
)

// Text is the record that an envelope holds as text: a log shipper's message,
// or what Google's Pub/Sub carries in base64. "" if there is none.
func Text(v jsonrecord.Value) string {
	for _, path := range [][]string{{"message"}, {"@message"}, {"log"}, {"event", "original"}, {"textPayload"}} {
		if s := strings.TrimSpace(v.String(path...)); strings.HasPrefix(s, "{") {
			return s
		}
	}
	for _, path := range [][]string{{"message", "data"}, {"data"}} {
		b, err := base64.StdEncoding.DecodeString(v.String(path...))
		if s := strings.TrimSpace(string(b)); err == nil && strings.HasPrefix(s, "{") {
			return s
		}
	}
	return ""
}
