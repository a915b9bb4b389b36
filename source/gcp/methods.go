package gcp

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/jsonrecord"
)

// methods are those that tell something. The others are skipped.
var methods = map[string]func(*call) event.Body{
	"instances.insert":                        (*call).launched,
	"instances.bulkInsert":                    (*call).bulk,
	"regionInstances.bulkInsert":              (*call).bulk,
	"instances.start":                         changed(event.InstanceStart),
	"instances.startWithEncryptionKey":        changed(event.InstanceStart),
	"instances.resume":                        changed(event.InstanceStart),
	"instances.stop":                          changed(event.InstanceStop),
	"instances.suspend":                       changed(event.InstanceStop),
	"instances.reset":                         changed(event.InstanceReboot),
	"instances.delete":                        changed(event.InstanceTerminate),
	"instances.setLabels":                     changed(event.InstanceTag),
	"instances.setMetadata":                   (*call).setMetadata,
	"projects.setCommonInstanceMetadata":      (*call).setMetadata,
	"instances.update":                        changed(event.InstanceUpdate),
	"instances.setServiceAccount":             changed(event.InstanceUpdate),
	"instances.attachDisk":                    changed(event.InstanceUpdate),
	"instanceTemplates.insert":                (*call).template,
	"regionInstanceTemplates.insert":          (*call).template,
	"instanceGroupManagers.insert":            (*call).group,
	"instanceGroupManagers.patch":             (*call).group,
	"instanceGroupManagers.resize":            (*call).group,
	"regionInstanceGroupManagers.insert":      (*call).group,
	"regionInstanceGroupManagers.patch":       (*call).group,
	"regionInstanceGroupManagers.resize":      (*call).group,
	"images.insert":                           made(event.VMImageCreate),
	"images.patch":                            made(event.VMImageUpdate),
	"images.deprecate":                        made(event.VMImageUpdate),
	"images.delete":                           made(event.VMImageDeregister),
	"images.setLabels":                        made(event.VMImageTag),
	"images.setIamPolicy":                     (*call).shared,
	"machineImages.insert":                    made(event.VMImageCreate),
	"machineImages.setIamPolicy":              (*call).shared,
	"machineImages.delete":                    made(event.VMImageDeregister),
	"instanceGroupManagers.recreateInstances": (*call).group,
}

// instance begins an event about a machine.
func (c *call) instance(action event.InstanceAction) *event.Instance {
	return &event.Instance{
		Action: action, Failure: c.failure, Pending: c.first && !c.last && c.failure == "", Call: c.operation, By: c.by, Zone: c.zone,
		ID:   cmp.Or(c.entry.String("resource", "labels", "instance_id"), c.said.Number("targetId")),
		Name: part(c.resource, "instances"), Resource: c.resource,
	}
}

func changed(action event.InstanceAction) func(*call) event.Body {
	return func(c *call) event.Body {
		b := c.instance(action)
		switch action {
		case event.InstanceTag:
			b.Tags = pairs(c.asked.Get("labels"))
		case event.InstanceUpdate:
			b.Changed = []string{methodOf(c.payload.String("methodName"))}
		}
		return b
	}
}

// launched reads instances.insert.
func (c *call) launched() event.Body {
	b := c.instance(event.InstanceLaunch)
	b.Name = cmp.Or(b.Name, c.asked.String("name"))
	c.properties(b, c.asked)
	return b
}

// bulk reads bulkInsert: each of its machines is an insert of its own, under
// the same group of operations.
func (c *call) bulk() event.Body {
	b := c.instance(event.InstanceGroup)
	b.Resource, b.Name = "", ""
	c.properties(b, c.asked.Get("instanceProperties"))
	b.Template = cmp.Or(b.Template, image.GCPPath(c.asked.String("sourceInstanceTemplate")))
	if n, ok := c.asked.Int("count"); ok && n > 0 {
		b.Count = int(min(n, 1<<20))
	}
	b.Group = c.said.String("operationGroupId")
	return b
}

// properties reads what a machine is to be.
func (c *call) properties(b *event.Instance, v jsonrecord.Value) {
	b.Type = last(v.String("machineType"))
	b.Template = image.GCPPath(v.String("sourceInstanceTemplate"))
	b.From = image.GCPPath(v.String("sourceMachineImage"))
	for _, d := range v.Array("disks") {
		if len(v.Array("disks")) > 1 && d.Get("boot").Exists() && !d.Bool("boot") {
			continue
		}
		p := d.Get("initializeParams")
		b.Image = cmp.Or(b.Image, image.ParseGCP(p.String("sourceImage"), c.project))
		b.From = cmp.Or(b.From, image.GCPPath(cmp.Or(p.String("sourceSnapshot"), d.String("source"))))
	}
	b.Owner = b.Image.Project()
	for _, g := range v.Array("guestAccelerators") {
		b.Accelerators = append(b.Accelerators, last(g.String("acceleratorType")))
	}
	for _, s := range v.Array("serviceAccounts") {
		b.Profile = cmp.Or(b.Profile, s.String("email"))
	}
	b.Tags = pairs(v.Get("labels"))
	for _, n := range v.Array("networkInterfaces") {
		card := event.VMInterface{Network: last(n.String("network")), Subnet: last(n.String("subnetwork")), Addrs: addrs(n.String("networkIP"))}
		for _, a := range n.Array("accessConfigs") {
			card.Public = append(card.Public, addrs(a.String("natIP"))...)
		}
		b.Interfaces = append(b.Interfaces, card)
	}
	if scheduling := v.Get("scheduling"); scheduling.Bool("preemptible") || scheduling.String("provisioningModel") == "SPOT" {
		b.Lifecycle = "spot"
	}
	b.UserData, _, b.Group = c.metadata(v.Array("metadata", "items"))
}

func addrs(s string) []netip.Addr {
	if a, err := netip.ParseAddr(s); err == nil {
		return []netip.Addr{a.Unmap().WithZone("")}
	}
	return nil
}

// setMetadata reads a change of metadata. Where the log leaves out the request
// and the names of the keys, what was changed is not known.
func (c *call) setMetadata() event.Body {
	b := c.instance(event.InstanceUpdate)
	items := append(c.asked.Array("items"), c.asked.Array("metadata", "items")...)
	b.UserData, b.Changed, _ = c.metadata(items)
	if b.UserData.Present {
		b.Action = event.InstanceUserData
	}
	b.Changed = append(slices.Clone(b.UserData.Keys), b.Changed...)
	return b
}

func (c *call) template() event.Body {
	b := c.instance(event.InstanceTemplate)
	c.properties(b, c.asked.Get("properties"))
	b.Template, b.ID = c.resource, ""
	return b
}

// group reads what was done to a managed instance group. Its launches are
// inserts of their own, by the service.
func (c *call) group() event.Body {
	b := c.instance(event.InstanceGroup)
	b.ID, b.Resource, b.Group = "", "", c.resource
	b.Template = image.GCPPath(c.asked.String("instanceTemplate"))
	for _, v := range c.asked.Array("versions") {
		b.Template = cmp.Or(b.Template, image.GCPPath(v.String("instanceTemplate")))
	}
	for _, key := range []string{"targetSize", "size"} {
		if n, ok := c.asked.Int(key); ok && n > 0 {
			b.Count = int(min(n, 1<<20))
		}
	}
	return b
}

// image begins an event about an image.
func (c *call) image(action event.VMImageAction) *event.VMImage {
	b := &event.VMImage{Action: action, Failure: c.failure, Pending: c.first && !c.last && c.failure == "", Call: c.operation, By: c.by, Owner: c.project}
	b.ID = image.ParseGCP(c.resource, c.project)
	b.Name = cmp.Or(part(c.resource, "images"), part(c.resource, "machineImages"), c.asked.String("name"))
	return b
}

func made(action event.VMImageAction) func(*call) event.Body {
	return func(c *call) event.Body {
		b := c.image(action)
		b.Family = c.asked.String("family")
		b.Parent = image.ParseGCP(c.asked.String("sourceImage"), c.project)
		b.Disk = cmp.Or(c.asked.String("rawDisk", "source"), image.GCPPath(cmp.Or(c.asked.String("sourceDisk"), c.asked.String("sourceSnapshot"))))
		b.Instance = image.GCPPath(c.asked.String("sourceInstance"))
		b.Tags = pairs(c.asked.Get("labels"))
		b.State = c.asked.String("deprecationStatus", "state")
		if action == event.VMImageCreate && c.asked.Get("rawDisk").IsObject() {
			b.Action = event.VMImageImport
		}
		return b
	}
}

// shared reads who may use an image from now on. What the log tells of the
// difference counts; else the whole new policy.
func (c *call) shared() event.Body {
	b := c.image(event.VMImageShare)
	deltas := append(c.payload.Array("serviceData", "policyDelta", "bindingDeltas"), c.payload.Array("metadata", "policyDelta", "bindingDeltas")...)
	var removed []string
	for _, delta := range deltas {
		if delta.String("action") == "REMOVE" {
			removed = append(removed, member(delta.String("member")))
		} else {
			b.To = append(b.To, member(delta.String("member")))
		}
	}
	if len(b.To) == 0 && len(removed) > 0 {
		b.Action, b.To = event.VMImageUnshare, removed
	}
	if len(deltas) == 0 {
		for _, binding := range c.asked.Array("policy", "bindings") {
			for _, m := range binding.Strings("members") {
				b.To = append(b.To, member(m))
			}
		}
	}
	b.Public = b.Action == event.VMImageShare && slices.Contains(b.To, "all")
	return b
}

// member is who a policy names; the two names for everybody are one.
func member(s string) string {
	if strings.EqualFold(s, "allUsers") || strings.EqualFold(s, "allAuthenticatedUsers") {
		return "all"
	}
	return s
}
