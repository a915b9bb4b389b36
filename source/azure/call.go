package azure

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/jsonrecord"
)

// Steps of an act.
const (
	started  = "start"
	accepted = "accept"
	finished = "end"
)

// call is one record of an act.
type call struct {
	fields
	operation   string // in lower case
	resource    string // in lower case
	correlation string
	at          event.Time
	place       event.Place
	step        string
	failure     string
	created     bool
	claims      jsonrecord.Value
	props       jsonrecord.Value
	said, asked jsonrecord.Value // responseBody, requestbody
}

const compute = "microsoft.compute/"

// operations are those that tell something. The others are skipped.
var operations = map[string]func(*call) event.Body{
	compute + "virtualmachines/write":                                     (*call).written,
	compute + "virtualmachines/start/action":                              changed(event.InstanceStart),
	compute + "virtualmachines/poweroff/action":                           changed(event.InstanceStop),
	compute + "virtualmachines/deallocate/action":                         changed(event.InstanceStop),
	compute + "virtualmachines/restart/action":                            changed(event.InstanceReboot),
	compute + "virtualmachines/reimage/action":                            changed(event.InstanceUpdate),
	compute + "virtualmachines/delete":                                    changed(event.InstanceTerminate),
	compute + "virtualmachines/runcommand/action":                         (*call).command,
	compute + "virtualmachines/runcommands/write":                         (*call).command,
	compute + "virtualmachines/extensions/write":                          (*call).extension,
	compute + "virtualmachinescalesets/write":                             (*call).scaleSet,
	compute + "virtualmachinescalesets/extensions/write":                  (*call).extension,
	compute + "virtualmachinescalesets/virtualmachines/write":             (*call).written,
	compute + "virtualmachinescalesets/virtualmachines/start/action":      changed(event.InstanceStart),
	compute + "virtualmachinescalesets/virtualmachines/poweroff/action":   changed(event.InstanceStop),
	compute + "virtualmachinescalesets/virtualmachines/deallocate/action": changed(event.InstanceStop),
	compute + "virtualmachinescalesets/virtualmachines/restart/action":    changed(event.InstanceReboot),
	compute + "virtualmachinescalesets/virtualmachines/delete":            changed(event.InstanceTerminate),
	compute + "virtualmachinescalesets/virtualmachines/runcommand/action": (*call).command,
	compute + "virtualmachinescalesets/virtualmachines/runcommands/write": (*call).command,
	compute + "virtualmachinescalesets/virtualmachines/extensions/write":  (*call).extension,
	compute + "images/write":                                              made(event.VMImageCreate),
	compute + "images/delete":                                             made(event.VMImageDeregister),
	compute + "galleries/images/write":                                    made(event.VMImageUpdate),
	compute + "galleries/images/versions/write":                           made(event.VMImageCreate),
	compute + "galleries/images/versions/delete":                          made(event.VMImageDeregister),
	compute + "galleries/share/action":                                    made(event.VMImageShare),
	"microsoft.network/networkinterfaces/write":                           (*call).networkInterface,
}

// find gives what reads this operation, nil if it is of no interest.
func (c *call) find() func(*call) event.Body {
	c.operation = strings.ToLower(c.text("operationnamevalue", "operationname"))
	return operations[c.operation]
}

// read takes what all records have in common.
func (c *call) read(d *decoder) (err error) {
	when := c.text("time", "eventtimestamp", "timegenerated", "eventtime", "timestamp")
	if when == "" {
		return errNoTime
	}
	if c.at, err = event.ParseRFC3339(when); err != nil {
		return err
	}
	if c.props, err = d.object(c.get("properties", "propertiesd"), 0); err != nil {
		return err
	}
	if c.said, err = d.object(fold(c.props, "responseBody"), 1); err != nil {
		return err
	}
	if c.asked, err = d.object(fold(c.props, "requestbody"), 2); err != nil {
		return err
	}
	c.claims = c.get("claims")
	c.resource = strings.TrimRight(strings.ToLower(cmp.Or(c.text("resourceid"), c.get("authorization").String("scope"), c.props.String("entity"))), "/")
	c.correlation = c.text("correlationid")
	c.place = event.Place{Account: part(c.resource, "subscriptions"), Region: strings.ToLower(cmp.Or(c.text("location"), c.said.String("location")))}
	c.state()
	return nil
}

// state tells which record of its act this is, and how it went.
func (c *call) state() {
	status := strings.ToLower(cmp.Or(c.text("activitystatusvalue", "resulttype", "status", "activitystatus"), "success"))
	code := cmp.Or(fold(c.props, "statusCode").String(), c.text("substatus", "activitysubstatusvalue"), c.text("resultsignature"))
	c.created = strings.HasSuffix(strings.TrimRight(code, "."), "Created") || c.text("resultsignature") == "Accepted.Created" || c.text("resultsignature") == "201"
	switch {
	case strings.HasPrefix(status, "start"):
		c.step = started
	case strings.HasPrefix(status, "accept"):
		c.step = accepted
	case strings.HasPrefix(status, "fail"):
		c.step = finished
		c.failure = cmp.Or(c.said.String("error", "code"), strings.TrimPrefix(strings.TrimRight(code, "."), "Failed."), "Failed")
	default:
		c.step = finished
	}
}

// part is the name behind a type in a resource id.
func part(id, typ string) string {
	_, rest, ok := strings.Cut(id, "/"+typ+"/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// upTo is a resource id up to the name behind a type.
func upTo(id, typ string) string {
	before, rest, ok := strings.Cut(id, "/"+typ+"/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return before + "/" + typ + "/" + name
}

// instance begins an event about a machine, or one of a scale set.
func (c *call) instance(action event.InstanceAction) *event.Instance {
	b := &event.Instance{Action: action, Failure: c.failure, Pending: c.step != finished, Call: c.correlation, By: c.principal()}
	b.Group = upTo(c.resource, "virtualmachinescalesets")
	if b.Resource = upTo(c.resource, "virtualmachines"); b.Resource != "" {
		b.Name = part(c.resource, "virtualmachines")
	}
	return b
}

func changed(action event.InstanceAction) func(*call) event.Body {
	return func(c *call) event.Body {
		b := c.instance(action)
		if action == event.InstanceUpdate {
			b.Changed = []string{"reimage"}
		}
		return b
	}
}

// written reads the write of a machine: a launch if it was created.
func (c *call) written() event.Body {
	b := c.instance(event.InstanceUpdate)
	if c.created {
		b.Action = event.InstanceLaunch
	}
	c.machine(b, c.asked)
	c.machine(b, c.said)
	return b
}

// scaleSet reads the write of a scale set. Machines of a uniform one have no
// record of their own.
func (c *call) scaleSet() event.Body {
	b := c.instance(event.InstanceGroup)
	c.machine(b, c.asked)
	c.machine(b, c.said)
	b.ID = ""
	return b
}

// machine fills in what a body says of a machine, or of those of a scale set.
func (c *call) machine(b *event.Instance, body jsonrecord.Value) {
	p := body.Get("properties")
	b.ID = cmp.Or(strings.ToLower(p.String("vmId")), b.ID)
	b.Type = cmp.Or(p.String("hardwareProfile", "vmSize"), body.String("sku", "name"), b.Type)
	if n, ok := body.Int("sku", "capacity"); ok && n > 0 {
		b.Count = int(min(n, 1<<20))
	}
	b.Group = cmp.Or(b.Group, strings.ToLower(p.String("virtualMachineScaleSet", "id")))
	if profile := p.Get("virtualMachineProfile"); profile.IsObject() {
		p = profile
	}
	if tags := body.Map("tags"); tags != nil {
		b.Tags = tags
	}
	for _, z := range body.Strings("zones") {
		b.Zone = z
		break
	}
	disk := p.Get("storageProfile", "osDisk")
	b.From = cmp.Or(b.From, strings.ToLower(disk.String("managedDisk", "id")))
	if windows := disk.String("osType"); strings.EqualFold(windows, "Windows") {
		b.Platform = "windows"
	}
	if ref := p.Get("storageProfile", "imageReference"); ref.IsObject() {
		b.Image, b.Owner, b.Market = imageOf(ref)
	}
	if plan := body.Get("plan"); plan.IsObject() {
		b.Market.Plan = plan.String("publisher") + "/" + plan.String("product") + "/" + plan.String("name")
	}
	for _, n := range p.Array("networkProfile", "networkInterfaces") {
		id := strings.ToLower(n.String("id"))
		if id != "" && len(b.Interfaces) < maxInterfaces && !slices.ContainsFunc(b.Interfaces, func(i event.VMInterface) bool { return i.ID == id }) {
			b.Interfaces = append(b.Interfaces, event.VMInterface{ID: id})
		}
	}
	if p.String("userData") != "" || p.String("osProfile", "customData") != "" {
		b.UserData = event.UserData{Present: true, Text: cmp.Or(p.String("userData"), p.String("osProfile", "customData"))}
		b.UserData.Text = b.UserData.Text[:min(len(b.UserData.Text), maxText)]
	}
	if strings.EqualFold(p.String("priority"), "Spot") {
		b.Lifecycle = "spot"
	}
}

// maxInterfaces bounds the interfaces of one machine; Azure gives none more
// than 8.
const maxInterfaces = 64

// maxText bounds a text that is kept, in bytes.
const maxText = 64 << 10

// imageOf reads an image reference, which has one of four forms.
func imageOf(ref jsonrecord.Value) (image.VM, string, event.MarketImage) {
	for _, key := range []string{"communityGalleryImageId", "sharedGalleryImageId", "id"} {
		if id := image.ParseAzure(ref.String(key)); id != "" {
			s := string(id)
			return id, cmp.Or(part(s, "subscriptions"), part(s, "communitygalleries"), part(s, "sharedgalleries")), event.MarketImage{}
		}
	}
	m := event.MarketImage{Publisher: ref.String("publisher"), Offer: ref.String("offer"), SKU: ref.String("sku"), Version: ref.String("version")}
	return image.AzureMarket(m.Publisher, m.Offer, m.SKU, cmp.Or(ref.String("exactVersion"), m.Version)), m.Publisher, m
}

// command reads what Azure was asked to run in a machine.
func (c *call) command() event.Body {
	b := c.instance(event.InstanceCommand)
	for _, body := range []jsonrecord.Value{c.asked, c.said.Get("properties"), c.asked.Get("properties")} {
		b.Extension = cmp.Or(b.Extension, body.String("commandId"), body.String("source", "commandId"))
		if b.Command == nil {
			b.Command = body.Strings("script")
		}
		if script := cmp.Or(body.String("source", "script"), body.String("source", "scriptUri")); b.Command == nil && script != "" {
			b.Command = []string{script}
		}
	}
	b.Extension = cmp.Or(b.Extension, part(c.resource, "runcommands"))
	return b
}

// extension reads the writing of an extension, which the machine's agent then
// runs. What it runs is told only where it is no secret.
func (c *call) extension() event.Body {
	b := c.instance(event.InstanceExtension)
	b.Extension = part(c.resource, "extensions")
	for _, body := range []jsonrecord.Value{c.said.Get("properties"), c.asked.Get("properties")} {
		if typ := body.String("type"); typ != "" && !strings.Contains(b.Extension, "/") {
			b.Extension = body.String("publisher") + "/" + typ
		}
		settings := body.Get("settings")
		if s := cmp.Or(settings.String("commandToExecute"), settings.String("script")); s != "" && b.Command == nil {
			b.Command = append([]string{s}, settings.Strings("fileUris")...)
		}
	}
	return b
}

// networkInterface reads an interface's addresses, which a machine's own
// record leaves out.
func (c *call) networkInterface() event.Body {
	p := c.said.Get("properties")
	card := event.VMInterface{ID: c.resource, MAC: strings.ToLower(strings.ReplaceAll(p.String("macAddress"), "-", ":"))}
	for _, ip := range p.Array("ipConfigurations") {
		if a, err := netip.ParseAddr(ip.String("properties", "privateIPAddress")); err == nil {
			card.Addrs = append(card.Addrs, a.Unmap().WithZone(""))
		}
		card.Subnet = cmp.Or(card.Subnet, strings.ToLower(ip.String("properties", "subnet", "id")))
	}
	card.Network = upTo(card.Subnet, "virtualnetworks")
	b := c.instance(event.InstanceUpdate)
	b.Changed, b.Interfaces = []string{"networkInterfaces"}, []event.VMInterface{card}
	if vm := strings.ToLower(p.String("virtualMachine", "id")); vm != "" {
		b.Resource, b.Name = vm, part(vm, "virtualmachines")
	}
	return b
}

// made reads an act on an image.
func made(action event.VMImageAction) func(*call) event.Body {
	return func(c *call) event.Body {
		b := &event.VMImage{Action: action, Failure: c.failure, Pending: c.step != finished, Call: c.correlation, By: c.principal(), ID: image.ParseAzure(c.resource)}
		b.Owner = part(c.resource, "subscriptions")
		b.Name = part(c.resource, "images")
		if version := part(c.resource, "versions"); version != "" {
			b.Family, b.Name = b.Name, version
		}
		for _, body := range []jsonrecord.Value{c.said, c.asked} {
			p := body.Get("properties")
			b.Instance = cmp.Or(b.Instance, strings.ToLower(p.String("sourceVirtualMachine", "id")))
			disk := p.Get("storageProfile", "osDisk")
			b.Disk = cmp.Or(b.Disk, strings.ToLower(disk.String("managedDisk", "id")), strings.ToLower(disk.String("snapshot", "id")), disk.String("blobUri"))
			if source := cmp.Or(p.String("storageProfile", "source", "id"), p.String("storageProfile", "source", "virtualMachineId")); source != "" {
				if id := image.ParseAzure(source); strings.Contains(source, "virtualMachines") {
					b.Instance = string(id)
				} else {
					b.Parent = id
				}
			}
			b.State = cmp.Or(b.State, p.String("provisioningState"))
			if b.Tags == nil {
				b.Tags = body.Map("tags")
			}
		}
		return b
	}
}

// merge takes what a further record of an act says into the first.
func merge(into, from event.Body) {
	switch b := into.(type) {
	case *event.Instance:
		f, ok := from.(*event.Instance)
		if !ok {
			return
		}
		if f.Action == event.InstanceLaunch {
			b.Action = f.Action
		}
		b.Pending = b.Pending && f.Pending
		b.Failure = cmp.Or(b.Failure, f.Failure)
		b.ID, b.Type, b.Zone = cmp.Or(b.ID, f.ID), cmp.Or(b.Type, f.Type), cmp.Or(b.Zone, f.Zone)
		b.From, b.Group, b.Platform, b.Lifecycle = cmp.Or(b.From, f.From), cmp.Or(b.Group, f.Group), cmp.Or(b.Platform, f.Platform), cmp.Or(b.Lifecycle, f.Lifecycle)
		b.Count = max(b.Count, f.Count)
		if b.Image == "" || f.Image != "" && b.Market.Version == "latest" {
			b.Image, b.Owner = cmp.Or(f.Image, b.Image), cmp.Or(f.Owner, b.Owner)
		}
		if b.Market == (event.MarketImage{}) {
			b.Market = f.Market
		}
		if len(f.Extension) > len(b.Extension) {
			b.Extension = f.Extension
		}
		if b.Command == nil {
			b.Command = f.Command
		}
		if b.Tags == nil {
			b.Tags = f.Tags
		}
		if !b.UserData.Present {
			b.UserData = f.UserData
		}
		b.Resource, b.Name = cmp.Or(b.Resource, f.Resource), cmp.Or(b.Name, f.Name)
		if b.Interfaces == nil || len(f.Interfaces) > 0 && len(f.Interfaces[0].Addrs) > len(b.Interfaces[0].Addrs) {
			b.Interfaces = f.Interfaces
		}
	case *event.VMImage:
		if f, ok := from.(*event.VMImage); ok {
			b.Pending = b.Pending && f.Pending
			b.Failure = cmp.Or(b.Failure, f.Failure)
			b.Parent, b.Instance, b.Disk, b.State = cmp.Or(b.Parent, f.Parent), cmp.Or(b.Instance, f.Instance), cmp.Or(b.Disk, f.Disk), cmp.Or(b.State, f.State)
			if b.Tags == nil {
				b.Tags = f.Tags
			}
		}
	}
}
