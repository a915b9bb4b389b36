package image

import "strings"

// VM names an image of virtual machines in one form each, so that equal images
// have equal names: an id is no digest, it says who the image belongs to or
// where it lies, not what is in it. "" is unknown. The forms are
//
//	ami-0123456789abcdef0                          Amazon EC2
//	projects/PROJECT/global/images/NAME            Google Compute Engine
//	projects/PROJECT/global/images/family/FAMILY   whatever is the family's newest, like a tag
//	/subscriptions/…/images/NAME                   Azure, also of galleries; in lower case
//	/communitygalleries/…  /sharedgalleries/…      Azure, of somebody else's gallery
//	publisher:offer:sku:version                    Azure Marketplace and platform images
type VM string

// ParseAMI reads the id of an Amazon machine image, in whatever case; "" if it
// is none.
func ParseAMI(s string) VM {
	s = strings.ToLower(strings.TrimSpace(s))
	if len(s) > maxVM || len(s) < 5 || s[:4] != "ami-" {
		return ""
	}
	return VM(s)
}

// maxVM bounds an id, in bytes. Azure's resource ids are the longest.
const maxVM = 1024

// ParseGCP reads the name of a Compute Engine image: a URL of any version of
// the API, a path, or a path relative to a project ("global/images/x"), which
// is in project then. "" if it is none of these.
func ParseGCP(s, project string) VM {
	s = GCPPath(s)
	if strings.HasPrefix(s, "global/images/") && project != "" {
		s = "projects/" + project + "/" + s
	}
	parts := strings.Split(s, "/")
	if len(s) > maxVM || len(parts) < 5 || parts[0] != "projects" || parts[2] != "global" || parts[3] != "images" || parts[len(parts)-1] == "" {
		return ""
	}
	return VM(s)
}

// GCPPath is a Compute Engine resource without the address of the API before
// it: "projects/p/zones/z/instances/n".
func GCPPath(s string) string {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	if i := strings.Index(s, "projects/"); i >= 0 && (i == 0 || s[i-1] == '/') {
		s = s[i:]
	}
	return strings.Trim(s, "/")
}

// ParseAzure reads the resource id of an image, of a gallery or not. Azure
// compares ids without regard to case. "" if it is none.
func ParseAzure(s string) VM {
	s = strings.ToLower(strings.TrimRight(strings.TrimSpace(s), "/"))
	if len(s) > maxVM || len(s) < 2 || s[0] != '/' {
		return ""
	}
	return VM(s)
}

// AzureMarket names an image of Azure's Marketplace. The version is the exact
// one where it is known: "latest" is like a tag. "" without a publisher.
func AzureMarket(publisher, offer, sku, version string) VM {
	s := strings.ToLower(publisher + ":" + offer + ":" + sku + ":" + version)
	if publisher == "" || len(s) > maxVM {
		return ""
	}
	return VM(s)
}

// Project is the Google Cloud project that owns the image, "" if it is of
// another cloud.
func (v VM) Project() string {
	rest, ok := strings.CutPrefix(string(v), "projects/")
	if !ok {
		return ""
	}
	project, _, _ := strings.Cut(rest, "/")
	return project
}

// Gallery is the Azure compute gallery that the image is a version in, as its
// resource id and by its name; "" for what is in none, and for community and shared
// galleries, which are somebody else's.
func (v VM) Gallery() (id, name string) {
	const before = "/providers/microsoft.compute/galleries/"
	at := strings.Index(string(v), before)
	if at < 0 || !strings.HasPrefix(string(v), "/subscriptions/") {
		return "", ""
	}
	name, _, _ = strings.Cut(string(v)[at+len(before):], "/")
	return string(v)[:at+len(before)+len(name)], name
}

// Family is the image family that the name stands for, "" if it names one
// image.
func (v VM) Family() string {
	_, family, _ := strings.Cut(string(v), "/global/images/family/")
	return family
}
