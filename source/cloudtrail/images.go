package cloudtrail

import (
	"cmp"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// image begins an event about an image.
func (c *call) image(action event.VMImageAction) *event.VMImage {
	return &event.VMImage{Action: action, Failure: c.failure, DryRun: c.dryRun, By: c.by}
}

// made reads a call about one image.
func made(action event.VMImageAction) func(*call) []event.Body {
	return func(c *call) []event.Body {
		b := c.image(action)
		b.ID = cmp.Or(ami(c.said, "imageId"), ami(c.asked, "imageId"))
		b.Name = c.asked.String("name")
		b.Instance = c.asked.String("instanceId")
		b.Parent, b.Region = ami(c.asked, "sourceImageId"), c.asked.String("sourceRegion")
		b.Platform = c.asked.String("platform")
		b.Call = c.said.String("importTaskId")
		b.Disk = disk(c.asked)
		switch action {
		case event.VMImageCreate, event.VMImageRegister, event.VMImageCopy, event.VMImageImport:
			if c.failure == "" {
				b.Owner = c.account
			}
		}
		for _, spec := range items(c.asked, "tagSpecificationSet") {
			if spec.String("resourceType") == "image" {
				b.Tags = tags(spec.Array("tags"), "key", "value")
			}
		}
		return []event.Body{b}
	}
}

// disk is the snapshot or stored file that an image is made from.
func disk(asked jsonrecord.Value) string {
	if s := asked.String("imageLocation"); s != "" {
		return s
	}
	if bucket := cmp.Or(asked.String("bucket"), asked.String("CreateRestoreImageTaskRequest", "Bucket")); bucket != "" {
		return "s3://" + bucket + "/" + cmp.Or(asked.String("objectKey"), asked.String("CreateRestoreImageTaskRequest", "ObjectKey"))
	}
	for _, d := range items(asked, "blockDeviceMapping") {
		if s := d.String("ebs", "snapshotId"); s != "" {
			return s
		}
	}
	for _, set := range []string{"diskContainerSet", "diskContainers"} {
		for _, d := range append(items(asked, set), asked.Array(set)...) {
			if bucket := d.String("userBucket", "s3Bucket"); bucket != "" {
				return "s3://" + bucket + "/" + d.String("userBucket", "s3Key")
			}
			if s := cmp.Or(d.String("url"), d.String("snapshotId")); s != "" {
				return s
			}
		}
	}
	return ""
}

// shared reads who may launch an image from now on, and who no longer. Other
// attributes of an image, such as its description, are of no interest.
func (c *call) shared() []event.Body {
	var bodies []event.Body
	add := func(action event.VMImageAction, to []string) {
		if len(to) == 0 {
			return
		}
		b := c.image(action)
		b.ID, b.To = ami(c.asked, "imageId"), to
		for _, t := range to {
			b.Public = b.Public || t == "all" && action == event.VMImageShare
		}
		bodies = append(bodies, b)
	}
	permission := c.asked.Get("launchPermission")
	add(event.VMImageShare, grantees(permission.Get("add")))
	add(event.VMImageUnshare, grantees(permission.Get("remove")))
	if c.name == "ResetImageAttribute" && strings.EqualFold(c.asked.String("attribute"), "launchPermission") {
		add(event.VMImageUnshare, []string{"all"})
	}
	return bodies
}

// grantees are who a permission is about.
func grantees(v jsonrecord.Value) []string {
	var out []string
	for _, item := range append(items(v), v.Array()...) {
		for _, key := range []struct{ key, prefix string }{{"group", ""}, {"userId", "account:"}, {"organizationArn", "organization:"}, {"organizationalUnitArn", "organization:"}} {
			if s := item.String(key.key); s != "" {
				out = append(out, key.prefix+s)
			}
		}
	}
	return out
}

// searched reads a search for images: by a name alone it takes anybody's. To
// ask for images by their ids is no search.
func (c *call) searched() []event.Body {
	b := c.image(event.VMImageSearch)
	for _, f := range items(c.asked, "filterSet") {
		for _, v := range items(f, "valueSet") {
			b.Filters = append(b.Filters, f.String("name")+"="+v.String("value"))
		}
	}
	for _, o := range append(items(c.asked, "ownersSet"), items(c.asked, "executableBySet")...) {
		b.Owners = append(b.Owners, cmp.Or(o.String("owner"), o.String("user")))
	}
	if len(b.Filters) == 0 {
		return nil
	}
	return []event.Body{b}
}
