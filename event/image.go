package event

import "tidewaiter/image"

// Kinds of image events.
const (
	KindImage            Kind = "image"
	KindImageResolved    Kind = "image.resolved"
	KindImageDescription Kind = "image.description"
)

// ImageAction says what was done to an image on a host.
type ImageAction string

// Image actions. The first six bring an image to a host (arrival).
const (
	ImagePull   ImageAction = "pull"   // fetched from a registry
	ImageLoad   ImageAction = "load"   // read from an archive
	ImageImport ImageAction = "import" // made from a file system archive
	ImageBuild  ImageAction = "build"  // built on this host
	ImageCommit ImageAction = "commit" // made from a container's changes
	ImageCreate ImageAction = "create" // appeared in an image store; the record does not say how
	ImageUpdate ImageAction = "update" // a name in an image store was moved or written again
	ImageTag    ImageAction = "tag"    // got a further name
	ImageUntag  ImageAction = "untag"
	ImagePush   ImageAction = "push"
	ImageSave   ImageAction = "save"
	ImageDelete ImageAction = "delete"
)

// Image says that something was done to an image in one host's image store.
type Image struct {
	Action ImageAction
	// Reference is the name in the record; zero when it carries only an id.
	Reference image.Reference
	// Digest is the id in the record: a config, manifest or index digest,
	// whichever the runtime uses for it. Zero when it carries only a name.
	Digest image.Digest
	// Namespace is containerd's namespace ("k8s.io", "moby", "buildkit"), or "".
	Namespace string
	// Container is the container that a commit was made from, or "".
	Container string
	// CRI is set when the store's label says that the kubelet's runtime
	// interface manages this name.
	CRI bool
}

// Kind implements Body.
func (*Image) Kind() Kind { return KindImage }

// ImageResolved says which manifest a registry named for a reference, at that
// moment: dockerd's log tells it during a pull.
type ImageResolved struct {
	Reference image.Reference
	Digest    image.Digest
}

// Kind implements Body.
func (*ImageResolved) Kind() Kind { return KindImageResolved }

// ImageDescription is a look-up (docker image inspect): a timeless fact about
// an image's identities, never a sighting.
type ImageDescription struct {
	// ID is the image id: the config digest, or the target digest with a
	// containerd image store.
	ID image.Digest
	// RepoDigests are the names by digest under which it was pulled or pushed.
	RepoDigests []image.Reference
	// RepoTags are the tags that point to it now.
	RepoTags []image.Reference
	// Architecture and OS, such as "amd64" and "linux"; may be "".
	Architecture, OS string
}

// Kind implements Body.
func (*ImageDescription) Kind() Kind { return KindImageDescription }
