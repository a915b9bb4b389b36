// Package s3 reads the log files that AWS puts into a bucket of Amazon S3, or
// into one that is compatible: as a queue of Amazon SQS announces them, or by
// listing the bucket where there is no queue.
//
// A message is deleted only after all that it announced was recorded, or if it
// announced nothing of ours; so nothing is lost, and what comes twice has the
// same ids. What cannot be read stays in the queue, for its redrive policy.
//
// In: a queue's messages, a bucket's objects. Out: their records, one to a line.
package s3

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go/logging"

	"tidewaiter/event"
	"tidewaiter/sensor"
)

// Options say what is read.
type Options struct {
	// Name tells several of them apart; "s3" if empty.
	Name string
	// Queue is the URL of the queue that announces objects. If it is empty, the
	// bucket is listed.
	Queue string
	// Bucket is the one whose objects are read: what names another is refused,
	// as whoever may write to the queue would choose what we read.
	Bucket string
	// Prefix is how the keys begin that are read; what lies elsewhere in the
	// bucket is passed over.
	Prefix string
	// Region is where bucket and queue are; "" for what the queue's address
	// or the environment says.
	Region string
	// Endpoint is the address of a store that is compatible with S3, "" for
	// AWS. Its buckets are named in the path.
	Endpoint string
	// Place is where the records are from, as far as neither they nor the
	// objects' keys say it.
	Place event.Place
	// Open opens an object.
	Open sensor.Opener
	// Tries is after how many deliveries a message is left alone; 5 if 0.
	Tries int
	// Visibility is for how long a message that we have is hidden from others,
	// again and again while it is read; 2 minutes if 0, at least 2 s.
	Visibility time.Duration
	// Timeout bounds the reading of one object; 15 minutes if 0.
	Timeout time.Duration
	// Every is how often a bucket without a queue is listed; 1 minute if 0.
	Every time.Duration
}

// Sensor reads one bucket.
type Sensor struct{ opt Options }

// New makes a sensor. It does not connect yet.
func New(o Options) *Sensor {
	o.Name = cmp.Or(o.Name, "s3")
	o.Tries = cmp.Or(o.Tries, 5)
	o.Visibility = max(cmp.Or(o.Visibility, 2*time.Minute), 2*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 15*time.Minute)
	o.Every = cmp.Or(o.Every, time.Minute)
	o.Region = cmp.Or(o.Region, regionOf(o.Queue))
	return &Sensor{o}
}

// Name implements sensor.Sensor.
func (s *Sensor) Name() string { return s.opt.Name }

// regionOf is the region in a queue's address, "" if it names none.
func regionOf(queue string) string {
	u, err := url.Parse(queue)
	if err != nil {
		return ""
	}
	parts := strings.Split(u.Hostname(), ".")
	if len(parts) >= 4 && parts[0] == "sqs" && parts[2] == "amazonaws" {
		return parts[1]
	}
	return ""
}

// watch is one Watch.
type watch struct {
	opt    Options
	out    sensor.Recorder
	once   *sensor.Once
	lanes  *sensor.Lanes
	bucket *s3.Client
	queue  *sqs.Client

	mu    sync.Mutex
	done  map[string]bool // objects, in their versions, that were recorded or never will be: true if recorded
	reads int             // how many objects were had
}

// Watch implements sensor.Sensor.
func (s *Sensor) Watch(ctx context.Context, out sensor.Recorder) error {
	w := &watch{opt: s.opt, out: out, once: &sensor.Once{Out: out}, lanes: sensor.NewLanes(s.opt.Name, s.opt.Place), done: map[string]bool{}}
	err := w.connect(ctx)
	switch {
	case err != nil:
	case s.opt.Queue != "":
		err = w.poll(ctx)
	default:
		err = w.list(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// connectTime bounds the search for credentials: outside of AWS nobody answers
// for an instance.
const connectTime = 30 * time.Second

// connect finds credentials, as every program of AWS does.
func (w *watch) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	cfg, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(client()), config.WithLogger(logging.Nop{}), func(o *config.LoadOptions) error {
		o.Region = w.opt.Region
		return nil
	})
	if err != nil {
		return &sensor.Lack{What: "the configuration of AWS cannot be read", Mend: "mend what AWS_CONFIG_FILE and the AWS_ variables say", Err: err}
	}
	if cfg.Region == "" {
		return &sensor.Lack{What: "no region of AWS", Mend: "set region"}
	}
	if cfg.Credentials == nil {
		return lackCredentials(nil)
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return lackCredentials(err)
	}
	w.bucket = s3.NewFromConfig(cfg, func(o *s3.Options) {
		if w.opt.Endpoint != "" {
			o.BaseEndpoint, o.UsePathStyle = aws.String(w.opt.Endpoint), true
		}
	})
	if w.opt.Queue == "" {
		return nil
	}
	u, err := url.Parse(w.opt.Queue)
	if err != nil || u.Host == "" {
		return &sensor.Lack{What: "no address of a queue: " + w.opt.Queue, Mend: "give it as https://sqs.REGION.amazonaws.com/ACCOUNT/NAME"}
	}
	// The queue's own address is asked, so that a private endpoint or another
	// implementation needs no further setting.
	w.queue = sqs.NewFromConfig(cfg, func(o *sqs.Options) { o.BaseEndpoint = aws.String(u.Scheme + "://" + u.Host) })
	return nil
}

// client bounds what can keep one waiting; a queue is asked to wait 20 s. It is
// the SDK's own kind, as it alone takes the certificates of AWS_CA_BUNDLE.
func client() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.ResponseHeaderTimeout = time.Minute
		t.DisableCompression = true // objects are unpacked by content, not as a header says
	})
}

func lackCredentials(err error) error {
	return &sensor.Lack{
		What: "no credentials of AWS", Err: err,
		Mend: "give this host an instance profile, or set AWS_PROFILE or AWS_ACCESS_KEY_ID; docs/formats/cloud.md has the policy",
	}
}

// errTimeout is that an object takes too long.
var errTimeout = errors.New("it takes too long to read")
