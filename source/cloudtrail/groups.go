package cloudtrail

import (
	"cmp"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// group reads a call for something that launches machines: a fleet, a spot
// request, an auto scaling group. Each launch of theirs is a RunInstances of
// its own, by the service.
func (c *call) group() []event.Body {
	b := c.instance(event.InstanceGroup)
	asked := unfolded(c.asked, c.name+"Request")
	said := unfolded(c.said, c.name+"Response")
	b.Group = cmp.Or(said.String("fleetId"), said.String("spotFleetRequestId"), asked.String("autoScalingGroupName"))
	for _, r := range items(said, "spotInstanceRequestSet") {
		b.Call = cmp.Or(b.Call, r.String("spotInstanceRequestId"))
	}
	spec := launchSpec(asked)
	b.Image = ami(spec, "imageId")
	b.Type = spec.String("instanceType")
	b.UserData = userData(spec.Get("userData"))
	b.Template = templateOf(asked)
	for _, count := range [][]string{{"TargetCapacitySpecification", "TotalTargetCapacity"}, {"spotFleetRequestConfig", "targetCapacity"}, {"instanceCount"}, {"desiredCapacity"}, {"maxSize"}} {
		if n, ok := asked.Int(count...); ok && n > 0 {
			b.Count = int(min(n, 1<<20))
			break
		}
	}
	b.Tags = tags(asked.Array("tags"), "key", "value")
	return []event.Body{b}
}

// unfolded is v, or what v holds under key: newer calls are recorded so.
func unfolded(v jsonrecord.Value, key string) jsonrecord.Value {
	if inner := v.Get(key); inner.IsObject() {
		return inner
	}
	return v
}

// launchSpec is what a group launches, where it says so without a template.
func launchSpec(asked jsonrecord.Value) jsonrecord.Value {
	if spec := asked.Get("launchSpecification"); spec.IsObject() {
		return spec
	}
	for _, spec := range items(asked, "spotFleetRequestConfig", "launchSpecifications") {
		return spec
	}
	return asked
}

// templateOf is the launch template that a group launches from.
func templateOf(asked jsonrecord.Value) string {
	for _, path := range [][]string{{"launchTemplate"}, {"mixedInstancesPolicy", "launchTemplate", "launchTemplateSpecification"}, {"desiredConfiguration", "launchTemplate"}} {
		if name := templateName(asked.Get(path...), "launchTemplateId", "launchTemplateName", "version"); name != "" {
			return name
		}
	}
	configs := asked.Get("LaunchTemplateConfigs")
	list := append(configs.Array(), configs) // one stands alone, several in a list
	for _, config := range append(list, items(asked, "spotFleetRequestConfig", "launchTemplateConfigs")...) {
		for _, key := range []string{"LaunchTemplateSpecification", "launchTemplateSpecification"} {
			v := config.Get(key)
			if name := templateName(v, "LaunchTemplateId", "LaunchTemplateName", "Version"); name != "" {
				return name
			}
			if name := templateName(v, "launchTemplateId", "launchTemplateName", "version"); name != "" {
				return name
			}
		}
	}
	return asked.String("launchConfigurationName")
}

// template reads the writing of a launch template, of a version of one, or of
// a launch configuration.
func (c *call) template() []event.Body {
	b := c.instance(event.InstanceTemplate)
	asked, said := unfolded(c.asked, c.name+"Request"), unfolded(c.said, c.name+"Response")
	data := asked.Get("LaunchTemplateData")
	if !data.IsObject() {
		data = asked.Get("launchTemplateData")
	}
	if c.name == "CreateLaunchConfiguration" {
		data = asked
		b.Template = asked.String("launchConfigurationName")
	}
	b.Image = cmp.Or(ami(data, "ImageId"), ami(data, "imageId"))
	b.Type = cmp.Or(data.String("InstanceType"), data.String("instanceType"))
	b.UserData = userData(data.Get("UserData"))
	if !b.UserData.Present {
		b.UserData = userData(data.Get("userData"))
	}
	for _, path := range []struct{ key, version string }{{"launchTemplateVersion", "versionNumber"}, {"launchTemplate", "latestVersionNumber"}} {
		b.Template = cmp.Or(b.Template, templateName(said.Get(path.key), "launchTemplateId", "launchTemplateName", path.version))
	}
	b.Template = cmp.Or(b.Template, asked.String("LaunchTemplateId"), asked.String("LaunchTemplateName"))
	if v := asked.Number("SetDefaultVersion"); v != "" {
		b.Changed = []string{"default version " + v}
	}
	return []event.Body{b}
}

// tagged reads tags that machines and images got.
func (c *call) tagged() []event.Body {
	var bodies []event.Body
	set := tags(items(c.asked, "tagSet"), "key", "value")
	for _, item := range items(c.asked, "resourcesSet") {
		switch id := strings.ToLower(item.String("resourceId")); {
		case strings.HasPrefix(id, "i-"):
			b := c.instance(event.InstanceTag)
			b.ID, b.Tags, b.Name = id, set, set["Name"]
			bodies = append(bodies, b)
		case strings.HasPrefix(id, "ami-"):
			b := c.image(event.VMImageTag)
			b.ID, b.Tags = ami(item, "resourceId"), set
			bodies = append(bodies, b)
		}
	}
	return bodies
}

// command reads what Systems Manager was asked to run in machines. Its
// parameters are hidden.
func (c *call) command() []event.Body {
	ids := c.asked.Strings("instanceIds")
	for _, t := range c.asked.Array("targets") {
		if strings.EqualFold(t.String("key"), "InstanceIds") {
			ids = append(ids, t.Strings("values")...)
		}
	}
	if len(ids) == 0 {
		ids = []string{""} // by tags, or in vain
	}
	var bodies []event.Body
	for _, id := range ids {
		b := c.instance(event.InstanceCommand)
		b.ID = strings.ToLower(id)
		b.Extension = c.asked.String("documentName")
		b.Command = c.asked.Strings("parameters", "commands")
		b.Call = c.said.String("command", "commandId")
		bodies = append(bodies, b)
	}
	return bodies
}
