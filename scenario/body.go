package scenario

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"tidewaiter/event"
)

// fieldName is how a field of a Go struct is written: "BytesOut" is bytes_out,
// "ImageID" image_id, "PIDMode" pid_mode.
func fieldName(name string) string {
	r := []rune(name)
	var b strings.Builder
	for i, c := range r {
		if i > 0 && unicode.IsUpper(c) && (!unicode.IsUpper(r[i-1]) || i+1 < len(r) && unicode.IsLower(r[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

// newBody makes a body of a kind with what a line that leaves a field out
// means by it; nil for an unknown kind.
func newBody(kind event.Kind) event.Body {
	all := event.Bodies()
	i := slices.IndexFunc(all, func(b event.Body) bool { return b.Kind() == kind })
	if i < 0 {
		return nil
	}
	switch b := all[i].(type) {
	case *event.Process:
		b.AUID, b.Session = -1, -1
	case *event.FileWrite:
		b.AUID = -1
	case *event.Socket:
		b.AUID, b.Success = -1, true
	case *event.Flow:
		b.BytesOut, b.BytesIn, b.Answered = -1, -1, true
	case *event.HTTP:
		b.BytesOut, b.BytesIn = -1, -1
	case *event.Loss:
		b.Count = -1
	}
	return all[i]
}

// words are the types of which only some texts mean anything.
func words() map[reflect.Type][]string {
	return map[reflect.Type][]string{
		reflect.TypeFor[event.ImageAction](): texts(event.ImagePull, event.ImageLoad, event.ImageImport, event.ImageBuild, event.ImageCommit, event.ImageCreate,
			event.ImageUpdate, event.ImageTag, event.ImageUntag, event.ImagePush, event.ImageSave, event.ImageDelete),
		reflect.TypeFor[event.ContainerAction](): texts(event.ContainerCreate, event.ContainerUpdate, event.ContainerStart, event.ContainerExit, event.ContainerRemove, event.ContainerHealthy),
		reflect.TypeFor[event.TaskAction]():      texts(event.TaskCreate, event.TaskStart, event.TaskExit),
		reflect.TypeFor[event.APIVerb]():         texts(event.VerbCreate, event.VerbUpdate, event.VerbDelete),
		reflect.TypeFor[event.ContainerKind]():   texts(event.MainContainer, event.InitContainer, event.EphemeralContainer),
		reflect.TypeFor[event.InstanceAction](): texts(event.InstanceLaunch, event.InstanceStart, event.InstanceStop, event.InstanceReboot, event.InstanceTerminate, event.InstanceUpdate,
			event.InstanceUserData, event.InstanceCommand, event.InstanceExtension, event.InstanceTag, event.InstanceGroup, event.InstanceTemplate, event.InstanceDescribe),
		reflect.TypeFor[event.VMImageAction](): texts(event.VMImageCreate, event.VMImageRegister, event.VMImageCopy, event.VMImageImport, event.VMImageUpdate, event.VMImageShare,
			event.VMImageUnshare, event.VMImageDeregister, event.VMImageTag, event.VMImageSearch, event.VMImageDescribe),
		reflect.TypeFor[event.GuestStage](): texts(event.GuestBoot, event.GuestStored, event.GuestRun, event.GuestTraced, event.GuestExit, event.GuestDone),
		reflect.TypeFor[event.Source]():     texts(sources()...),
	}
}

// sources are those that an event can be from.
func sources() []event.Source {
	return []event.Source{event.Docker, event.Dockerd, event.DockerAuthz, event.Inspect, event.Containerd, event.Auditd, event.Conntrack, event.Zeek, event.Suricata, event.Hubble, event.CRI,
		event.Kubelet, event.KubeAudit, event.KubeEvents, event.Tetragon, event.Tracee, event.Falco, event.ECS, event.OCSF, event.Kernel, event.Laurel, event.Registry,
		event.CloudTrail, event.EC2, event.GCPAudit, event.Azure, event.VPCFlow, event.GCPFlow, event.AzureFlow, event.NetFlow, event.Route53, event.GCPDNS,
		event.CloudInit, event.UserDump, event.GuestAgent, event.Sysmon, event.Inventory, event.Tidewaiter, event.JSON}
}

func texts[T ~string](list ...T) []string {
	var out []string
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

// decoder puts values into Go's fields.
type decoder struct {
	names names
	start event.Time
	words map[reflect.Type][]string
}

// decode sets v, which can be set, from x. Errors are of type misread.
func (d *decoder) decode(v reflect.Value, x value) error {
	if v.Type() == reflect.TypeFor[event.Time]() {
		return d.time(v, x)
	}
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return d.text(t, x)
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return d.decode(v.Elem(), x)
	case reflect.Struct:
		return d.object(v, x)
	case reflect.Map:
		return d.entries(v, x)
	case reflect.Slice:
		return d.list(v, x)
	case reflect.Interface:
		return d.any(v, x)
	}
	return d.scalar(v, x)
}

func (d *decoder) object(v reflect.Value, x value) error {
	if x.shape != object {
		return misreadAt(x.at, "want an object: {name: value, …}")
	}
	fields := map[string]int{}
	for i := range v.NumField() {
		fields[fieldName(v.Type().Field(i).Name)] = i
	}
	for i, key := range x.keys {
		index, known := fields[key]
		switch {
		case !known:
			return misreadAt(x.parts[i].at, "unknown field %q; want one of %s", key, sortedKeys(fields))
		case slices.Contains(x.keys[:i], key):
			return misreadAt(x.parts[i].at, "field %q stands twice", key)
		}
		if err := d.decode(v.Field(index), x.parts[i]); err != nil {
			return within(err, key)
		}
	}
	return nil
}

// within says of which field an error is.
func within(err error, key string) error {
	var m *misread
	if errors.As(err, &m) {
		return &misread{m.at, fmt.Errorf("%s: %w", key, m.err)}
	}
	return err
}

func sortedKeys(m map[string]int) string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func (d *decoder) entries(v reflect.Value, x value) error {
	if x.shape != object {
		return misreadAt(x.at, "want an object: {name: value, …}")
	}
	v.Set(reflect.MakeMap(v.Type()))
	for i, key := range x.keys {
		if slices.Contains(x.keys[:i], key) {
			return misreadAt(x.parts[i].at, "key %q stands twice", key)
		}
		key, err := d.names.expand(key)
		if err != nil {
			return &misread{x.parts[i].at, err}
		}
		e := reflect.New(v.Type().Elem()).Elem()
		if err := d.decode(e, x.parts[i]); err != nil {
			return within(err, key)
		}
		v.SetMapIndex(reflect.ValueOf(key), e)
	}
	return nil
}

func (d *decoder) list(v reflect.Value, x value) error {
	if x.shape != list {
		return misreadAt(x.at, "want a list: [value, …]")
	}
	v.Set(reflect.MakeSlice(v.Type(), len(x.parts), len(x.parts)))
	for i, p := range x.parts {
		if err := d.decode(v.Index(i), p); err != nil {
			return err
		}
	}
	return nil
}

// any reads a value of no declared type as JSON does; a bare word that is no
// number is a text.
func (d *decoder) any(v reflect.Value, x value) error {
	switch x.shape {
	case list:
		return d.decodeAs(v, x, []any{})
	case object:
		return d.decodeAs(v, x, map[string]any{})
	}
	text, err := d.plain(x)
	if err != nil {
		return err
	}
	var out any = text
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && !x.quoted {
		out = n
	} else if n, err := strconv.ParseFloat(text, 64); err == nil && !x.quoted && !math.IsNaN(n) && !math.IsInf(n, 0) {
		out = n
	} else if b, err := parseBool(text); err == nil && !x.quoted {
		out = b
	}
	v.Set(reflect.ValueOf(out))
	return nil
}

func (d *decoder) decodeAs(v reflect.Value, x value, like any) error {
	out := reflect.New(reflect.TypeOf(like)).Elem()
	if err := d.decode(out, x); err != nil {
		return err
	}
	v.Set(out)
	return nil
}

// plain gives the text of a word or a text, with ids for short names.
func (d *decoder) plain(x value) (string, error) {
	if x.shape != scalar {
		return "", misreadAt(x.at, "want one value, not a list or an object")
	}
	s, err := d.names.expand(x.text)
	if err != nil {
		return "", &misread{x.at, err}
	}
	return s, nil
}

func (d *decoder) text(into encoding.TextUnmarshaler, x value) error {
	s, err := d.plain(x)
	if err != nil {
		return err
	}
	if err := into.UnmarshalText([]byte(s)); err != nil {
		return &misread{x.at, err}
	}
	return nil
}

func (d *decoder) time(v reflect.Value, x value) error {
	s, err := d.plain(x)
	if err != nil {
		return err
	}
	t, err := parseMoment(s, d.start)
	if err != nil {
		return &misread{x.at, err}
	}
	v.Set(reflect.ValueOf(t))
	return nil
}

func (d *decoder) scalar(v reflect.Value, x value) error {
	s, err := d.plain(x)
	if err != nil {
		return err
	}
	switch v.Kind() {
	case reflect.String:
		if allowed := d.words[v.Type()]; allowed != nil && !slices.Contains(allowed, s) {
			return misreadAt(x.at, "%q: want one of %s", clip(s), strings.Join(allowed, ", "))
		}
		v.SetString(s)
	case reflect.Bool:
		b, err := parseBool(s)
		if err != nil {
			return &misread{x.at, err}
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(s, 10, v.Type().Bits())
		if err != nil {
			return misreadAt(x.at, "%q is no whole number", clip(s))
		}
		v.SetInt(n)
	default:
		return misreadAt(x.at, "a field of type %s cannot be written", v.Type())
	}
	return nil
}

func parseBool(s string) (bool, error) {
	if s != "true" && s != "false" {
		return false, fmt.Errorf("%q: want true or false", clip(s))
	}
	return s == "true", nil
}
