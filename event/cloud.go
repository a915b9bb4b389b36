package event

import (
	"net/netip"

	"tidewaiter/image"
)

// Kinds of what clouds tell of their virtual machines, and of what a machine
// runs when it boots.
const (
	KindInstance    Kind = "instance"
	KindVMImage     Kind = "vm-image"
	KindGuestScript Kind = "guest-script"
)

// CloudIdentity is what a cloud tells of a principal beside its name.
type CloudIdentity struct {
	// Type is the cloud's own word: "IAMUser", "AssumedRole", "Root",
	// "AWSService", "User", "ServicePrincipal", "serviceAccount".
	Type string
	// Account is the principal's own account, project or tenant: it may be
	// another one than that of what was acted on.
	Account string
	// Issuer is the role whose session it is (an ARN), or "".
	Issuer string
	// Federation is the identity provider that a session began at, or "".
	Federation string
	// Key is the id of the access key, or of a service account's key. It is no
	// secret, and new for each session of a role.
	Key string
	// Service is the cloud's service that acted in the principal's name, such
	// as "autoscaling.amazonaws.com", or "".
	Service string
	// App is the id of the client program that Azure knows, or "".
	App string
	// Role is what gave the right, as Azure tells it: "Contributor".
	Role string
	// Console is set when somebody acted in the cloud's web console, MFA when
	// the session began with a second factor.
	Console, MFA bool
}

// VMRef is what a record says of a machine beside its address. Addresses in a
// network of a cloud are given again; these names are not, or not soon.
type VMRef struct {
	// ID is the instance: "i-…", or a number.
	ID string
	// Name is the machine's name in its zone or resource group.
	Name string
	// Resource is its path or id in lower case, where the record tells it.
	Resource string
	// Interface is the network interface ("eni-…"), MAC its address in lower
	// case with colons.
	Interface, MAC string
	// Project is the account, project or subscription that it is in, Zone the
	// zone or region, Network the VPC and Subnet the part of it. In Azure the
	// interface and the networks are resource ids in lower case.
	Project, Zone, Network, Subnet string
}

// IsZero reports whether nothing is known.
func (r VMRef) IsZero() bool { return r == VMRef{} }

// InstanceAction is what was done to a virtual machine.
type InstanceAction string

// Instance actions.
const (
	InstanceLaunch    InstanceAction = "launch" // made, and started
	InstanceStart     InstanceAction = "start"  // a stopped one
	InstanceStop      InstanceAction = "stop"
	InstanceReboot    InstanceAction = "reboot"
	InstanceTerminate InstanceAction = "terminate"
	InstanceUpdate    InstanceAction = "update"    // written again; the record does not say what is new
	InstanceUserData  InstanceAction = "user-data" // what it runs at a boot was changed
	InstanceCommand   InstanceAction = "command"   // the cloud was asked to run something in it
	InstanceExtension InstanceAction = "extension" // the same, by an extension that its agent runs
	InstanceTag       InstanceAction = "tag"
	InstanceGroup     InstanceAction = "group"    // something that launches machines was made or changed: a fleet, a scale set
	InstanceTemplate  InstanceAction = "template" // a template for launches was written; there is no instance yet
	InstanceDescribe  InstanceAction = "describe" // a look-up: timeless
)

// Instance says that somebody did something to one virtual machine, or asked
// for machines in vain. A call for several machines gives several events.
type Instance struct {
	Action InstanceAction
	// Failure is why nothing was done, in the cloud's words; "" when it was.
	// An attempt may name no ID. DryRun is set when nothing was meant to be.
	Failure string
	DryRun  bool
	// Pending is set when the record says that the call was taken, and not yet
	// how it ended.
	Pending bool
	// ID is the instance's id, which is never given again: "i-…", a number in
	// Google Cloud, a virtual machine id in Azure. Name is what people call it,
	// Resource its path or resource id, in lower case in Azure.
	ID, Name, Resource string
	// Image is what it was made from; "" if the record does not tell, as when a
	// template does. Market is set for an image from a marketplace, Owner to
	// the image's owner where its name tells it (Google Cloud).
	Image  image.VM
	Owner  string
	Market MarketImage
	// From is a disk, snapshot or machine image that it was made from instead
	// of an image, or beside one.
	From string
	// Template is the launch template, with its version, or instance template.
	Template string
	// Call is the request that several instances have in common: reservation,
	// operation or correlation id. Group is what launches them for good: an
	// auto scaling group, a fleet, a managed instance group, a scale set.
	Call, Group string
	// Type is the machine type. Accelerators are its GPUs, where they are
	// asked for apart from the type.
	Type         string
	Accelerators []string
	// Count is how many instances the call asked for, 0 if not told.
	Count int
	Zone  string
	Tags  map[string]string
	// Interfaces are its network interfaces as made.
	Interfaces []VMInterface
	UserData   UserData
	// Extension is the name of an extension or of a stored command, with its
	// publisher where that is told; Command what the cloud was asked to run.
	Extension string
	Command   []string
	// Changed are the attributes that an update wrote, by their names.
	Changed []string
	// Profile is the identity that the machine itself has: an instance profile,
	// a service account.
	Profile string
	// Platform is "windows" where the record says so.
	Platform string
	// Lifecycle is "spot" or the like, "" for on demand.
	Lifecycle string
	// Launched is when it was launched, by a record about later things.
	Launched Time
	By       Principal
}

// Kind implements Body.
func (*Instance) Kind() Kind { return KindInstance }

// VMInterface is one network interface of a virtual machine.
type VMInterface struct {
	ID, MAC         string
	Network, Subnet string
	// Addrs are its private addresses, Public those by which the Internet
	// knows it, where the record tells them already.
	Addrs, Public []netip.Addr
}

// UserData is what a cloud's record says of what a machine shall run at a
// boot. Most clouds leave the text out.
type UserData struct {
	// Present is set when there is some, Redacted when the text is left out.
	Present, Redacted bool
	// Text is what the record shows of it, bounded.
	Text string
	// Keys are the metadata keys that run something, or say where to fetch it:
	// "startup-script", "startup-script-url", "user-data" (Google Cloud).
	Keys []string
}

// MarketImage is an image as a marketplace knows it. Version is what was asked
// for, which may be "latest".
type MarketImage struct {
	Publisher, Offer, SKU, Version string
	// Plan is what was agreed to: "publisher/product/name".
	Plan string
}

// VMImageAction is what was done to an image of virtual machines.
type VMImageAction string

// VM image actions. The first four bring an image into an account.
const (
	VMImageCreate     VMImageAction = "create"   // made of a machine or a disk
	VMImageRegister   VMImageAction = "register" // made of a snapshot or a stored file
	VMImageCopy       VMImageAction = "copy"
	VMImageImport     VMImageAction = "import"
	VMImageUpdate     VMImageAction = "update"
	VMImageShare      VMImageAction = "share"   // others may launch it from now on
	VMImageUnshare    VMImageAction = "unshare" // others may no longer
	VMImageDeregister VMImageAction = "deregister"
	VMImageTag        VMImageAction = "tag"
	VMImageSearch     VMImageAction = "search"   // somebody looked for images
	VMImageDescribe   VMImageAction = "describe" // a look-up: timeless
)

// VMImage says that somebody did something to an image of virtual machines, or
// what a look-up tells of it.
type VMImage struct {
	Action  VMImageAction
	Failure string // as Instance.Failure
	DryRun  bool
	Pending bool
	// ID is "" when the record does not tell it yet (an import), and in
	// attempts.
	ID   image.VM
	Name string
	// Owner is the account, project or publisher that it belongs to, Alias the
	// name of the owner that the cloud vouches for: "amazon",
	// "aws-marketplace", "self".
	Owner, Alias string
	Market       MarketImage
	// Family is the image family (Google Cloud) or image definition (Azure) it
	// is a version of.
	Family string
	// Created is when it was made, by the record's own statement.
	Created Time
	// Public is set when everybody may launch it. To are those who may, from
	// now on, or no longer may: "all", "account:…", "organization:…", "user:…".
	Public bool
	To     []string
	// Parent is the image that it was made from, Region where that is; Instance
	// the machine, Disk the snapshot, disk, or stored file.
	Parent   image.VM
	Region   string
	Instance string
	Disk     string
	// Products are the marketplace's product codes.
	Products []string
	Platform string
	State    string
	// Allowed is what the account's own settings say of it: "true", "false", ""
	// when they say nothing (AWS Allowed AMIs).
	Allowed string
	Tags    map[string]string
	// Owners and Filters are what somebody looked for, as NAME=VALUE. To look
	// for a name without an owner is to take anybody's image.
	Owners, Filters []string
	Call            string
	By              Principal
}

// Kind implements Body.
func (*VMImage) Kind() Kind { return KindVMImage }

// GuestStage says what a guest's own record is about.
type GuestStage string

// Guest stages.
const (
	GuestBoot   GuestStage = "boot"   // a boot began, as the agent saw it
	GuestStored GuestStage = "stored" // what lies there to be run: user data. Timeless
	GuestRun    GuestStage = "run"    // the agent ran something
	GuestTraced GuestStage = "traced" // a script that the agent ran showed a command of its own
	GuestExit   GuestStage = "exit"   // what it ran has ended
	GuestDone   GuestStage = "done"   // the agent is through with this boot
)

// GuestScript says what a guest's boot agent (cloud-init, the metadata script
// runner, an extension) runs, or shall run. Values that look like secrets
// are replaced in it.
type GuestScript struct {
	Stage GuestStage
	// Agent is the program: "cloud-init", "google-metadata-script-runner",
	// "azure-custom-script", "waagent".
	Agent string
	// Name is the script, part, module or extension: "part-001", "runcmd",
	// "startup-script".
	Name string
	// Type is the part's media type, "" if it has none.
	Type string
	// Instance is the instance's id where the agent tells it, PID the process
	// that ran it.
	Instance string
	PID      int
	// Text is the script, bounded; Truncated is set when it was cut, Size is
	// its whole length in bytes, SHA256 the hash of the whole in lower-case
	// hex, so that equal scripts of a fleet are known as equal.
	Text      string
	Truncated bool
	Size      int64
	SHA256    string
	// Commands are what it runs, a line each, Downloads the addresses that the
	// agent itself fetches from, Writes the files that it writes, Packages what
	// it installs.
	Commands  []string
	Downloads []string
	Writes    []string
	Packages  []string
	// Boot is when the machine came up, where the record tells it.
	Boot Time
	// Addrs and Ethernet are the machine's own addresses, as the agent found
	// them; the latter with colons, in lower case.
	Addrs    []netip.Addr
	Ethernet []string
	// ExitCode is set for exit.
	ExitCode int
}

// Kind implements Body.
func (*GuestScript) Kind() Kind { return KindGuestScript }
