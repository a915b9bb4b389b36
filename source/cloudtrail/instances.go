package cloudtrail

import (
	"cmp"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// calls are those that tell something, by service and name. The others are
// skipped.
var calls = map[string]map[string]func(*call) []event.Body{
	"ec2.amazonaws.com": {
		"RunInstances":                  (*call).launched,
		"StartInstances":                changed(event.InstanceStart),
		"StopInstances":                 changed(event.InstanceStop),
		"RebootInstances":               changed(event.InstanceReboot),
		"TerminateInstances":            changed(event.InstanceTerminate),
		"ModifyInstanceAttribute":       (*call).attribute,
		"ResetInstanceAttribute":        (*call).attribute,
		"CreateFleet":                   (*call).group,
		"RequestSpotFleet":              (*call).group,
		"RequestSpotInstances":          (*call).group,
		"CreateLaunchTemplate":          (*call).template,
		"CreateLaunchTemplateVersion":   (*call).template,
		"ModifyLaunchTemplate":          (*call).template,
		"CreateTags":                    (*call).tagged,
		"CreateImage":                   made(event.VMImageCreate),
		"RegisterImage":                 made(event.VMImageRegister),
		"CopyImage":                     made(event.VMImageCopy),
		"ImportImage":                   made(event.VMImageImport),
		"CreateRestoreImageTask":        made(event.VMImageImport),
		"ModifyImageAttribute":          (*call).shared,
		"ResetImageAttribute":           (*call).shared,
		"DeregisterImage":               made(event.VMImageDeregister),
		"DisableImage":                  made(event.VMImageUpdate),
		"EnableImage":                   made(event.VMImageUpdate),
		"DescribeImages":                (*call).searched,
		"AssociateIamInstanceProfile":   changed(event.InstanceUpdate),
		"ModifyInstanceMetadataOptions": changed(event.InstanceUpdate),
	},
	"autoscaling.amazonaws.com": {
		"CreateAutoScalingGroup":    (*call).group,
		"UpdateAutoScalingGroup":    (*call).group,
		"StartInstanceRefresh":      (*call).group,
		"CreateLaunchConfiguration": (*call).template,
	},
	"ssm.amazonaws.com": {"SendCommand": (*call).command},
}

// instance begins an event about a machine.
func (c *call) instance(action event.InstanceAction) *event.Instance {
	return &event.Instance{Action: action, Failure: c.failure, DryRun: c.dryRun, By: c.by}
}

// launched reads RunInstances: one event for each machine that it made, or one
// for what was asked in vain. The answer tells the image also where the request
// names a template.
func (c *call) launched() []event.Body {
	asked := c.requested()
	list := items(c.said, "instancesSet")
	if c.failure != "" || len(list) == 0 {
		return []event.Body{asked}
	}
	bodies := make([]event.Body, len(list))
	for i, item := range list {
		b := c.asInAnswer(item)
		b.Image, b.Type, b.Zone, b.Profile = cmp.Or(b.Image, asked.Image), cmp.Or(b.Type, asked.Type), cmp.Or(b.Zone, asked.Zone), cmp.Or(b.Profile, asked.Profile)
		b.Lifecycle, b.Template, b.Count, b.UserData = cmp.Or(b.Lifecycle, asked.Lifecycle), asked.Template, asked.Count, asked.UserData
		if b.Tags == nil {
			b.Tags = asked.Tags
		}
		named(b)
		bodies[i] = b
	}
	return bodies
}

// asInAnswer reads one machine of the answer.
func (c *call) asInAnswer(item jsonrecord.Value) *event.Instance {
	b := c.instance(event.InstanceLaunch)
	b.ID = strings.ToLower(item.String("instanceId"))
	b.Image = ami(item, "imageId")
	b.Call = c.said.String("reservationId")
	b.Type = item.String("instanceType")
	b.Zone = item.String("placement", "availabilityZone")
	b.Profile = item.String("iamInstanceProfile", "arn")
	b.Platform = item.String("platform")
	b.Lifecycle = item.String("instanceLifecycle")
	b.Launched = millis(item.Get("launchTime"))
	b.Tags = tags(items(item, "tagSet"), "key", "value")
	b.Market.Plan = products(items(item, "productCodes"), "productCode")
	for _, card := range items(item, "networkInterfaceSet") {
		b.Interfaces = append(b.Interfaces, networkCard(card))
	}
	if own := addrs(item.String("privateIpAddress")); len(b.Interfaces) == 0 && len(own) > 0 {
		b.Interfaces = []event.VMInterface{{Network: item.String("vpcId"), Subnet: item.String("subnetId"), Addrs: own}}
	}
	return b
}

// maxAddrs bounds the addresses of one interface that are compared; EC2 gives
// none more than 50 of a kind.
const maxAddrs = 256

func networkCard(v jsonrecord.Value) event.VMInterface {
	card := event.VMInterface{ID: v.String("networkInterfaceId"), MAC: strings.ToLower(v.String("macAddress")), Network: v.String("vpcId"), Subnet: v.String("subnetId")}
	card.Addrs = addrs(v.String("privateIpAddress"))
	for _, a := range items(v, "privateIpAddressesSet") {
		for _, own := range addrs(a.String("privateIpAddress")) {
			if len(card.Addrs) < maxAddrs && !slices.Contains(card.Addrs, own) {
				card.Addrs = append(card.Addrs, own)
			}
		}
		card.Public = append(card.Public, addrs(a.String("association", "publicIp"))...)
	}
	for _, a := range items(v, "ipv6AddressesSet") {
		card.Addrs = append(card.Addrs, addrs(a.String("ipv6Address"))...)
	}
	return card
}

// requested is what was asked for.
func (c *call) requested() *event.Instance {
	b := c.instance(event.InstanceLaunch)
	for _, item := range items(c.asked, "instancesSet") {
		b.Image = cmp.Or(b.Image, ami(item, "imageId"))
		if n, ok := item.Int("maxCount"); ok && n > 0 && b.Count < 1<<20 {
			b.Count += int(min(n, 1<<20))
		}
	}
	b.Type = c.asked.String("instanceType")
	b.Zone = cmp.Or(c.asked.String("availabilityZone"), c.asked.String("placement", "availabilityZone"))
	b.Profile = cmp.Or(c.asked.String("iamInstanceProfile", "arn"), c.asked.String("iamInstanceProfile", "name"))
	b.Lifecycle = c.asked.String("instanceMarketOptions", "marketType")
	b.UserData = userData(c.asked.Get("userData"))
	b.Template = templateName(c.asked.Get("launchTemplate"), "launchTemplateId", "launchTemplateName", "version")
	for _, spec := range items(c.asked, "tagSpecificationSet") {
		if b.Tags == nil && spec.String("resourceType") == "instance" {
			b.Tags = tags(spec.Array("tags"), "key", "value")
		}
	}
	named(b)
	return b
}

// named takes from the tags what AWS itself puts there.
func named(b *event.Instance) {
	b.Name = b.Tags["Name"]
	b.Group = cmp.Or(b.Tags["aws:autoscaling:groupName"], b.Tags["aws:ec2:fleet-id"], b.Tags["aws:ec2spot:fleet-request-id"])
	if id := b.Tags["aws:ec2launchtemplate:id"]; b.Template == "" && id != "" {
		b.Template = id + ":" + b.Tags["aws:ec2launchtemplate:version"]
	}
}

// templateName is ID:VERSION of a launch template.
func templateName(v jsonrecord.Value, id, name, version string) string {
	s := cmp.Or(v.String(id), v.String(name))
	if n := v.Number(version); s != "" && n != "" {
		s += ":" + n
	}
	return s
}

// maxUserData bounds the user data that is kept, in bytes: EC2 takes 16 KiB.
const maxUserData = 64 << 10

// userData reads what the record says of user data: CloudTrail puts a
// placeholder for the text.
func userData(v jsonrecord.Value) event.UserData {
	if v.IsObject() {
		v = v.Get("value")
	}
	s := v.String()
	switch {
	case s == "":
		return event.UserData{}
	case strings.HasPrefix(s, "<") || strings.Contains(s, "HIDDEN"):
		return event.UserData{Present: true, Redacted: true}
	}
	return event.UserData{Present: true, Text: s[:min(len(s), maxUserData)]}
}

func products(list []jsonrecord.Value, key string) string {
	var codes []string
	for _, p := range list {
		if code := p.String(key); code != "" {
			codes = append(codes, code)
		}
	}
	return strings.Join(codes, ",")
}

// machines are those that a call names.
func (c *call) machines() []string {
	var ids []string
	for _, item := range items(c.asked, "instancesSet") {
		ids = append(ids, item.String("instanceId"))
	}
	for _, key := range []string{"instanceId", "InstanceId"} {
		ids = append(ids, c.asked.String(key))
	}
	for _, parent := range []string{"AssociateIamInstanceProfileRequest", "ModifyInstanceMetadataOptionsRequest"} {
		ids = append(ids, c.asked.String(parent, "InstanceId"))
	}
	return slices.DeleteFunc(ids, func(id string) bool { return id == "" })
}

// changed makes one event for each machine that a call names.
func changed(action event.InstanceAction) func(*call) []event.Body {
	return func(c *call) []event.Body {
		var bodies []event.Body
		for _, id := range c.machines() {
			b := c.instance(action)
			b.ID = strings.ToLower(id)
			if action == event.InstanceUpdate {
				b.Changed = []string{c.name}
			}
			bodies = append(bodies, b)
		}
		if len(bodies) == 0 && c.failure != "" {
			bodies = append(bodies, c.instance(action))
		}
		return bodies
	}
}

// attribute reads a change of a machine's attributes: one of them is the user
// data. Older records name the attribute, newer ones write it.
func (c *call) attribute() []event.Body {
	ids := c.machines()
	if len(ids) == 0 {
		return nil
	}
	b := c.instance(event.InstanceUpdate)
	b.ID = strings.ToLower(ids[0])
	c.asked.Each(func(key string, v jsonrecord.Value) {
		switch key {
		case "instanceId":
		case "attribute":
			b.Changed = append(b.Changed, v.String())
		default:
			b.Changed = append(b.Changed, key)
		}
	})
	slices.Sort(b.Changed)
	b.Changed = slices.Compact(b.Changed)
	if slices.Contains(b.Changed, "userData") {
		b.Action = event.InstanceUserData
		b.UserData = userData(c.asked.Get("userData"))
		if !b.UserData.Present && c.name == "ModifyInstanceAttribute" {
			b.UserData = event.UserData{Present: true, Redacted: true}
		}
	}
	return []event.Body{b}
}
