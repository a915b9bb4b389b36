package evidence

import (
	"tidewaiter/event"
	"tidewaiter/image"
)

// MaxWith bounds the machines of one request that are told of each other.
const MaxWith = 64

// Instance is what is known of a virtual machine of a cloud.
type Instance struct {
	// ID is the instance's id, or the resource where no id is known. Name is
	// what people call it, Resource its path or resource id.
	ID, Name, Resource    string
	Account, Region, Zone string
	// Hosts are the names under which records of its own are known, sorted.
	Hosts []string
	// Type is the machine type, Accelerators its GPUs where they are asked for
	// apart from it.
	Type         string
	Accelerators []string
	Tags         map[string]string
	Subnets      []string // sorted
	Platform     string
	Lifecycle    string // "spot" or the like, "" for on demand
	Profile      string // the identity that it has itself
	// Launched reports that a record tells of its launch. By is who asked for
	// that, Maker who made what launches it, if a service of the cloud launched
	// it: its group or its template.
	Launched  bool
	By, Maker event.Principal
	// Group is what launches it for good, Template what it was launched after,
	// Call the request that it has in common with others.
	Group, Template, Call string
	// Count is how many machines were asked for with it, at least 1 if
	// launched.
	Count int
	// With are the ids of the other machines that the same request launched, as
	// far as they are known, in order; nil if there are more than MaxWith.
	With  []string
	Image VMImage
	// UserData is set when it was given something to run at its boot.
	UserData bool
	// Changed is set when what it runs was changed after its launch.
	Changed bool
	// Unclear is the number of connections after its boots from an address that
	// several machines had then: they are told of none of them.
	Unclear int
}

// VMImage is what is known of an image of virtual machines.
type VMImage struct {
	ID   image.VM
	Name string
	// Owner is the account, project or publisher that it belongs to; "" if no
	// record tells. Alias is the owner's name that the cloud vouches for.
	Owner, Alias string
	Public       bool
	Market       event.MarketImage
	Family       string
	Created      event.Time
	Products     []string
	Tags         map[string]string
	// Allowed is what the account's own settings say of it: "true", "false", "".
	Allowed string
	// Copies are the images that it is a copy of, the nearest first.
	Copies []image.VM
	// Source is the machine, disk or snapshot that it was made of.
	Source string
}
