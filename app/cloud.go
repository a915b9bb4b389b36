package app

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"

	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/sensor/eventhubs"
	"tidewaiter/sensor/pubsub"
	"tidewaiter/sensor/s3"
)

// Trail is what the settings of all clouds' trails have.
type Trail struct {
	// Name tells several apart in metrics and marks, and is where they go on
	// after a restart.
	Name string `yaml:"name"`
	// Account is the account, project or subscription that records are from
	// that do not say it.
	Account string `yaml:"account"`
	// Format is the name of a format; told from the content if empty.
	Format string `yaml:"format"`
}

// S3Settings say which objects of Amazon S3 are read.
type S3Settings struct {
	Trail `yaml:",inline"`
	// Queue is the URL of the queue of Amazon SQS that announces them; without
	// one the bucket is listed.
	Queue string `yaml:"queue"`
	// Bucket and Prefix say which are read.
	Bucket string `yaml:"bucket"`
	Prefix string `yaml:"prefix"`
	// Region is the bucket's and the queue's.
	Region string `yaml:"region"`
	// Endpoint is the address of a store that is compatible with S3, AWS if
	// empty.
	Endpoint string `yaml:"endpoint"`
}

// PubSubSettings say which subscription of Google Cloud Pub/Sub is read.
type PubSubSettings struct {
	Trail `yaml:",inline"`
	// Subscription is its full name.
	Subscription string `yaml:"subscription"`
}

// EventHubsSettings say which hub of Azure Event Hubs is read.
type EventHubsSettings struct {
	Trail `yaml:",inline"`
	// Namespace is its host.
	Namespace string `yaml:"namespace"`
	Hub       string `yaml:"hub"`
	// ConsumerGroup is "$Default" if empty.
	ConsumerGroup string `yaml:"consumer_group"`
}

// The forms of names in clouds' settings.
var (
	trailName     = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,40}$`)
	bucketName    = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$`)
	namespaceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*(\.[A-Za-z0-9-]+)+$`)
	hubName       = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
)

// ownNames are those of the sensors that are not named by settings.
var ownNames = []string{"docker", "containerd", "ebpf", "conntrack", "audit", "journald", "kubernetes", "receive", "wire"}

// faults take what is wrong with a setting, and where it stands.
type faults func(err error, path ...any)

// checkClouds checks the trails' settings.
func (s *SensorSettings) checkClouds(formats []string, fault faults) {
	taken := slices.Clone(ownNames)
	for i := range s.Files {
		taken = append(taken, fmt.Sprintf("files-%d", i+1))
	}
	// lists of one kind share their first keys
	common := func(kind string, i int, t Trail) func(key, value string, right bool, want string) {
		check := func(key, value string, right bool, want string) {
			switch {
			case value == "" && !right:
				fault(fmt.Errorf("sensors.%s[%d].%s: missing; want %s", kind, i, key, want), "sensors", kind, i)
			case !right:
				fault(fmt.Errorf("sensors.%s[%d].%s: %q is not %s", kind, i, key, value, want), "sensors", kind, i, key)
			}
		}
		name := cmp.Or(t.Name, kind)
		check("name", name, trailName.MatchString(name), "made of lower-case letters, digits and '-'")
		check("name", name, !slices.Contains(taken, name), "a name of its own")
		taken = append(taken, name)
		check("account", t.Account, t.Account != "", "the account, project or subscription of records that do not say it")
		check("format", t.Format, t.Format == "" || slices.Contains(formats, t.Format), "a format's name")
		return check
	}
	for i, c := range s.S3 {
		check := common("s3", i, c.Trail)
		check("bucket", c.Bucket, bucketName.MatchString(c.Bucket), "a bucket's name")
		check("queue", c.Queue, c.Queue == "" || isURL(c.Queue), "a queue's URL such as https://sqs.eu-central-1.amazonaws.com/111122223333/trail")
		check("endpoint", c.Endpoint, c.Endpoint == "" || isURL(c.Endpoint), "a URL such as https://minio.example:9000")
	}
	for i, c := range s.PubSub {
		check := common("pubsub", i, c.Trail)
		check("subscription", c.Subscription, pubsub.SubscriptionForm.MatchString(c.Subscription), "of the form projects/PROJECT/subscriptions/NAME")
	}
	for i, c := range s.EventHubs {
		check := common("eventhubs", i, c.Trail)
		check("namespace", c.Namespace, namespaceName.MatchString(c.Namespace), "a host such as logs.servicebus.windows.net")
		check("hub", c.Hub, hubName.MatchString(c.Hub), "a hub's name")
	}
}

// isURL reports whether a text is an address to be asked by HTTP, without
// secrets in it.
func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}

// clouds makes the sensors of clouds' trails.
func (s *SensorSettings) clouds() []sensor.Sensor {
	var all []sensor.Sensor
	for _, c := range s.S3 {
		all = append(all, s3.New(s3.Options{
			Name: c.Name, Queue: c.Queue, Bucket: c.Bucket, Prefix: c.Prefix, Region: c.Region, Endpoint: c.Endpoint,
			Place: event.Place{Account: c.Account, Region: c.Region}, Open: Opener(c.Format),
		}))
	}
	for _, c := range s.PubSub {
		all = append(all, pubsub.New(pubsub.Options{Name: c.Name, Subscription: c.Subscription, Place: event.Place{Account: c.Account}, Open: Opener(c.Format)}))
	}
	for _, c := range s.EventHubs {
		all = append(all, eventhubs.New(eventhubs.Options{
			Name: c.Name, Namespace: c.Namespace, Hub: c.Hub, Group: c.ConsumerGroup, Place: event.Place{Account: c.Account}, Open: Opener(c.Format),
		}))
	}
	return all
}
