package cloudtrail

import (
	"bytes"
	"cmp"
	"errors"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/envelope"
	"tidewaiter/source/jsonrecord"
)

// Descriptions is what the AWS command line prints for describe-images,
// describe-instances and describe-instance-image-metadata: timeless facts.
func Descriptions() *source.Format {
	return &source.Format{
		Name:    "ec2-describe",
		Title:   "aws ec2 describe-images, describe-instances, describe-instance-image-metadata (JSON)",
		Source:  event.EC2,
		Framing: source.JSONLists,
		Sniff:   sniffDescriptions,
		New:     func(out *source.Output) source.Decoder { return &describer{out: out} },
	}
}

var errNotDescribed = errors.New("no answer of EC2: neither Images, Reservations nor InstanceImageMetadata, nor an element of them")

type describer struct {
	out    *source.Output
	opener envelope.Opener
}

// Flush implements source.Decoder; nothing is held back.
func (d *describer) Flush() {}

// Decode implements source.Decoder.
func (d *describer) Decode(rec source.Record) { d.open(rec, "", 0) }

// open reads an answer, or an element of its list. account is the owner of the
// reservation that an instance is in.
func (d *describer) open(rec source.Record, account string, depth int) {
	e, ok := d.opener.Open(d.out, rec, depth)
	if !ok {
		return
	}
	for _, key := range []string{"Images", "Reservations", "Instances", "InstanceImageMetadata"} {
		if e.Get(key).IsArray() {
			owner := cmp.Or(e.String("OwnerId"), account)
			if e.Parser.Fault() != nil {
				break
			}
			envelope.Spread(d.out, rec, func(r source.Record) { d.open(r, owner, depth+1) }, key)
			return
		}
	}
	d.tell(e, account)
}

// tell reads one image or instance.
func (d *describer) tell(e envelope.Opened, account string) {
	var bodies []event.Body
	place := event.Place{Account: account}
	switch meta := e.Get("ImageMetadata"); {
	case meta.IsObject():
		place.Account = e.String("OwnerId")
		bodies = []event.Body{describedImage(meta), describedInstance(e.Value, ami(meta, "ImageId"))}
	case e.Get("InstanceId").IsString():
		bodies = []event.Body{describedInstance(e.Value, ami(e.Value, "ImageId"))}
	case e.Get("ImageId").IsString():
		bodies = []event.Body{describedImage(e.Value)}
	}
	if zone := cmp.Or(e.String("Placement", "AvailabilityZone"), e.String("AvailabilityZone")); zone != "" {
		place.Region = strings.TrimRight(zone, "abcdefghijklmnopqrstuvwxyz")
	}
	err := e.Parser.Fault()
	if err == nil && len(bodies) == 0 {
		err = errNotDescribed
	}
	if err != nil {
		d.out.Unreadable(e.Rec, err)
		return
	}
	for i, body := range bodies {
		if i == 0 {
			d.out.Event(event.Event{Place: place, Body: body}, e.Rec.Data, e.Rec.Span)
		} else {
			d.out.Beside(event.Event{Place: place, Body: body}, []byte("2"+string(e.Rec.Data)), e.Rec.Span)
		}
	}
}

// describedImage reads an image as API_Image and API_ImageMetadata document it.
func describedImage(v jsonrecord.Value) *event.VMImage {
	b := &event.VMImage{
		Action: event.VMImageDescribe, ID: ami(v, "ImageId"), Name: v.String("Name"), Owner: v.String("OwnerId"), Alias: v.String("ImageOwnerAlias"),
		Created: millis(v.Get("CreationDate")), Public: flag(v.Get("Public")) || flag(v.Get("IsPublic")),
		Parent: ami(v, "SourceImageId"), Region: v.String("SourceImageRegion"), Instance: v.String("SourceInstanceId"),
		Platform: v.String("Platform"), State: v.String("State"), Tags: tags(v.Array("Tags"), "Key", "Value"),
	}
	if allowed := v.Get("ImageAllowed"); allowed.Exists() && !allowed.IsNull() {
		b.Allowed = map[bool]string{true: "true", false: "false"}[flag(allowed)]
	}
	for _, p := range v.Array("ProductCodes") {
		if code := p.String("ProductCodeId"); code != "" {
			b.Products = append(b.Products, code)
		}
	}
	for _, m := range v.Array("BlockDeviceMappings") {
		b.Disk = cmp.Or(b.Disk, m.String("Ebs", "SnapshotId"))
	}
	return b
}

// describedInstance reads an instance as API_Instance documents it.
func describedInstance(v jsonrecord.Value, of image.VM) *event.Instance {
	b := &event.Instance{
		Action: event.InstanceDescribe, ID: strings.ToLower(v.String("InstanceId")), Image: of, Type: v.String("InstanceType"),
		Zone: cmp.Or(v.String("Placement", "AvailabilityZone"), v.String("AvailabilityZone")), Platform: v.String("Platform"), Lifecycle: v.String("InstanceLifecycle"),
		Profile: v.String("IamInstanceProfile", "Arn"), Launched: millis(v.Get("LaunchTime")), Tags: tags(v.Array("Tags"), "Key", "Value"),
	}
	for _, n := range v.Array("NetworkInterfaces") {
		card := event.VMInterface{ID: n.String("NetworkInterfaceId"), MAC: strings.ToLower(n.String("MacAddress")), Network: n.String("VpcId"), Subnet: n.String("SubnetId")}
		for _, a := range n.Array("PrivateIpAddresses") {
			card.Addrs = append(card.Addrs, addrs(a.String("PrivateIpAddress"))...)
			card.Public = append(card.Public, addrs(a.String("Association", "PublicIp"))...)
		}
		if len(card.Addrs) == 0 {
			card.Addrs = addrs(n.String("PrivateIpAddress"))
		}
		for _, a := range n.Array("Ipv6Addresses") {
			card.Addrs = append(card.Addrs, addrs(a.String("Ipv6Address"))...)
		}
		b.Interfaces = append(b.Interfaces, card)
	}
	if own := addrs(v.String("PrivateIpAddress")); len(b.Interfaces) == 0 && len(own) > 0 {
		b.Interfaces = []event.VMInterface{{Network: v.String("VpcId"), Subnet: v.String("SubnetId"), Addrs: own, Public: addrs(v.String("PublicIpAddress"))}}
	}
	named(b)
	return b
}

// sniffDescriptions knows an answer by its list and what stands in it.
func sniffDescriptions(head source.Sample) int {
	has := func(s string) bool { return bytes.Contains(head.Data, []byte(s)) }
	switch {
	case head.HasKeys("Images") && has(`"ImageId"`), head.HasKeys("Reservations") && has(`"InstanceId"`), head.HasKeys("InstanceImageMetadata"):
		return 92
	case head.HasKeys("ImageId", "OwnerId") || head.HasKeys("InstanceId", "ImageId"):
		return 80
	case (head.HasKeys("Images") || head.HasKeys("Reservations")) && len(head.Data) < 200:
		return 40 // nothing was found
	}
	return 0
}
