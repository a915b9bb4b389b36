package receive

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"path"

	logs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"tidewaiter/event"
)

// The attributes of OpenTelemetry's conventions that are read, of resources and
// of records.
const (
	hostName    = "host.name"
	nodeName    = "k8s.node.name"
	clusterName = "k8s.cluster.name"
	accountID   = "cloud.account.id"
	regionName  = "cloud.region"
	fileName    = "log.file.name"
	filePath    = "log.file.path"
	// formatName is our own: the name of the format.
	formatName = "tidewaiter.format"
)

// attributes are those that are read, by their names.
type attributes map[string]string

// set keeps an attribute if it is read.
func (a attributes) set(key, value string) {
	switch key {
	case hostName, nodeName, clusterName, accountID, regionName, fileName, filePath, formatName:
		if len(value) <= 4096 {
			a[key] = value
		}
	}
}

func (a attributes) place() event.Place {
	p := event.Place{Account: a[accountID], Region: a[regionName], Cluster: a[clusterName], Host: a[hostName]}
	if p.Host == "" {
		p.Host = a[nodeName]
	}
	return p
}

// maxStructured bounds, in bytes, a body that is more than text: taking it
// apart costs many times its size.
const maxStructured = 1 << 20

// maxNested bounds how deep a body is nested.
const maxNested = 64

var (
	errNotOTLP    = errors.New("the body is no ExportLogsServiceRequest of OTLP")
	errStructured = &refusal{http.StatusRequestEntityTooLarge, "the body of a log record is too large or nested too deep for one that is no text"}
)

// otlp takes log records of OpenTelemetry (OTLP/HTTP, opentelemetry.io). Each
// record's body is one record of a format. Those of no format that is taken are
// rejected, as the protocol has it, and the others recorded.
func (r *receiver) otlp(q *http.Request, body []byte) (reply, error) {
	kind, _, err := mime.ParseMediaType(q.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	e := &export{b: r.newBatch(), formats: map[string]string{}}
	switch kind {
	case "application/x-protobuf":
		err = e.binary(body)
	case "application/json":
		err = e.text(body)
	default:
		return reply{}, refuse(http.StatusUnsupportedMediaType, "content types are application/x-protobuf and application/json")
	}
	if err != nil {
		return reply{}, err
	}
	e.b.record()
	return e.reply(kind)
}

// export is one request.
type export struct {
	b        *batch
	formats  map[string]string // by file: what its records were told as
	rejected int64
}

// reply says how many records were rejected.
func (e *export) reply(kind string) (reply, error) {
	var m logs.ExportLogsServiceResponse
	if e.rejected > 0 {
		m.PartialSuccess = &logs.ExportLogsPartialSuccess{RejectedLogRecords: e.rejected, ErrorMessage: "of no format that is taken, or from a place that is none"}
	}
	var err error
	a := reply{kind: kind}
	if kind == "application/json" {
		a.body, err = protojson.Marshal(&m)
	} else {
		a.body, err = proto.Marshal(&m)
	}
	return a, err
}

// take takes one log record.
func (e *export) take(resource, own attributes, body []byte) error {
	at := resource.place()
	f, ok := e.format(resource, own, body)
	if !ok || !namesPlace(at) {
		e.rejected++
		return nil
	}
	if !f.JSON {
		return e.b.add(f, at, body)
	}
	into, err := e.b.into(f.Name, at)
	if err != nil {
		return err
	}
	before := into.Len()
	if err := objects(body, into); err != nil {
		into.Truncate(before)
		e.rejected++
	}
	return nil
}

// format tells what a record is: by what its sender says, by what is configured
// for its file, by its content. All records of a file are what the first was
// that could be told.
func (e *export) format(resource, own attributes, body []byte) (Format, bool) {
	said := func(key string) string {
		if s := own[key]; s != "" {
			return s
		}
		return resource[key]
	}
	r := e.b.r
	if name := said(formatName); name != "" {
		f, ok := r.formats[name]
		return f, ok
	}
	file := said(filePath)
	base := said(fileName)
	if base == "" {
		base = path.Base(file)
	}
	for _, name := range []string{file, base} {
		if f, ok := r.formats[r.opt.Files[name]]; ok {
			return f, true
		}
	}
	key := resource[hostName] + "\x00" + file + "\x00" + base
	name, known := e.formats[key]
	if !known || file == "" && own[fileName] == "" {
		name = r.detect(body)
		if name != "" && len(e.formats) < MaxLanes {
			e.formats[key] = name
		}
	}
	f, ok := r.formats[name]
	return f, ok
}

func (r *receiver) detect(record []byte) string {
	if r.opt.Detect == nil {
		return ""
	}
	return r.opt.Detect(record[:min(len(record), 64<<10)])
}

// written is a body as a record: text as it is, all else as JSON.
func written(v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []byte(v), nil
	case []byte:
		return v, nil
	}
	var b bytes.Buffer
	j := json.NewEncoder(&b)
	j.SetEscapeHTML(false)
	if err := j.Encode(v); err != nil { // a number that JSON has not
		return nil, errNotOTLP
	}
	return b.Bytes(), nil
}
