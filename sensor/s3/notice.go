package s3

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// object is one that a message announces.
type object struct {
	bucket, key string
	etag        string // "" if the message does not say it
}

// Errors of messages.
var (
	errNotice = errors.New("no notice of an object: neither S3's, nor CloudTrail's, nor EventBridge's")
	errKey    = errors.New("no key that S3 could have")
)

// message is what S3, SNS, EventBridge and CloudTrail write
// (docs.aws.amazon.com, "Event message structure", "Parsing message formats",
// "Events published by Amazon S3", "Configuring Amazon SNS notifications for
// CloudTrail").
type message struct {
	Records []struct {
		EventName string
		S3        struct {
			Bucket struct{ Name string }
			Object struct{ Key, ETag string }
		}
	}
	Event string // of a test

	Type, Message string // SNS

	DetailType string `json:"detail-type"` // EventBridge
	Source     string
	Detail     struct {
		Bucket struct{ Name string }
		Object struct{ Key, ETag string }
	}

	S3Bucket    string
	S3ObjectKey []string
}

// noticed are the objects that a message announces; none if it tells of
// something else that S3 tells.
func noticed(body string) ([]object, error) { return unwrap(body, true) }

func unwrap(body string, outer bool) ([]object, error) {
	var m message
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotice, err)
	}
	var all []object
	switch {
	case m.Type == "Notification" && m.Message != "" && outer:
		return unwrap(m.Message, false)
	case m.S3Bucket != "":
		for _, key := range m.S3ObjectKey {
			all = append(all, object{bucket: m.S3Bucket, key: key})
		}
	case m.Source == "aws.s3":
		if m.DetailType == "Object Created" {
			all = append(all, object{m.Detail.Bucket.Name, m.Detail.Object.Key, m.Detail.Object.ETag})
		}
	case len(m.Records) > 0:
		for _, r := range m.Records {
			if !strings.HasPrefix(strings.TrimPrefix(r.EventName, "s3:"), "ObjectCreated:") {
				if r.EventName == "" {
					return nil, errNotice
				}
				continue
			}
			// Here keys are escaped as in forms, and nowhere else.
			key, err := url.QueryUnescape(r.S3.Object.Key)
			if err != nil {
				return nil, errKey
			}
			all = append(all, object{r.S3.Bucket.Name, key, r.S3.Object.ETag})
		}
	case m.Event == "s3:TestEvent":
	default:
		return nil, errNotice
	}
	for _, o := range all {
		if o.key == "" || len(o.key) > 1024 || !utf8.ValidString(o.key) || strings.ContainsRune(o.key, 0) {
			return nil, errKey
		}
	}
	return all, nil
}
