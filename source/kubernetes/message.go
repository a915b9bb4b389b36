package kubernetes

import (
	"strconv"
	"strings"

	"tidewaiter/image"
)

// maxMessage is the longest message that the API takes, in bytes.
const maxMessage = 1024

func shorten(s string) string {
	if len(s) > maxMessage {
		s = s[:maxMessage]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// imageMessages are how the kubelet's messages that name an image begin, before
// the name in quotes (k8s.io/kubernetes, pkg/kubelet/images). Their first
// letter was small once.
var imageMessages = []string{
	"ulling image ",
	"uccessfully pulled image ",
	"ontainer image ",
	"ailed to pull image ",
	"ack-off pulling image ",
	"ailed to inspect image ",
	"ailed to apply default image tag ",
}

// messageImage is the image that a message names, and whether it says that the
// image was there already.
func messageImage(reason, message string, refs *image.Parser) (ref image.Reference, present bool) {
	if message == "" {
		return image.Reference{}, false
	}
	for _, begin := range imageMessages {
		rest, ok := strings.CutPrefix(message[1:], begin)
		if !ok {
			continue
		}
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return image.Reference{}, false
		}
		name, err := strconv.Unquote(quoted)
		if err != nil {
			return image.Reference{}, false
		}
		present = reason == "Pulled" && strings.HasPrefix(rest[len(quoted):], " already present on machine")
		return refs.Parse(name), present
	}
	return image.Reference{}, false
}
