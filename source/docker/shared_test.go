package docker

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// sharedFiles are the samples of this package's formats below the shared
// folder, by the format that each must be recognised as.
func sharedFiles(t *testing.T) map[string]string {
	root := sourcetest.Shared(t)
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name := entry.Name()
		switch {
		case strings.Contains(path, "/data/docker_events/") && !strings.Contains(name, "MANIFEST"), name == "docker-events.log":
			files[path] = "docker-events"
		case name == "dockerd.log", name == "dockerd-debug.log":
			files[path] = "dockerd-log"
		case name == "authz.jsonl", name == "authz-tls.jsonl":
			files[path] = "docker-authz"
		case name == "inspect-container.json", name == "docker-inspect.json":
			files[path] = "docker-inspect"
		case name == "inspect-image.json", name == "docker-image-inspect.json":
			files[path] = "docker-image-inspect"
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// readShared decodes one sample. All of them are whole, so that a record that
// cannot be read is a mistake of the decoder's.
func readShared(t *testing.T, path, want string) []event.Event {
	in, events := sourcetest.ReadFile(t, path, Events(), EventsText(), InspectContainer(), InspectImage(), DaemonLog(), Authorization())
	tally := in.Tallies()[0]
	if tally.Format.Name != want {
		t.Errorf("%s: recognised as %s, want %s", path, tally.Format.Name, want)
	}
	for _, e := range events {
		if (e.Time.IsZero()) != (e.Origin.Source == event.Inspect) {
			t.Errorf("%s:%d: time %v", path, e.Origin.Line(), e.Time)
		}
	}
	t.Logf("%s: %d records, %d events, %d skipped, %d unreadable", path, tally.Records, tally.Events, tally.Skipped, tally.Unreadable)
	for _, f := range tally.Faults {
		t.Errorf("%v", f)
	}
	return events
}

// TestSharedSamples reads every recorded sample beside the repository, if
// there are any, and checks what must be in them.
func TestSharedSamples(t *testing.T) {
	kinds := map[event.Kind]int{}
	byFile := map[string][]event.Event{}
	for path, format := range sharedFiles(t) {
		events := readShared(t, path, format)
		_, short, _ := strings.Cut(filepath.ToSlash(path), "shared/")
		byFile[short] = events
		for _, e := range events {
			kinds[e.Body.Kind()]++
		}
	}
	t.Logf("events by kind: %v", kinds)
	for _, kind := range []event.Kind{
		event.KindImage, event.KindImageResolved, event.KindImageDescription, event.KindContainer, event.KindExecStarted,
		event.KindNetworkAttachment, event.KindContainerDescription, event.KindAPIRequest, event.KindBuildStep,
	} {
		if kinds[kind] == 0 {
			t.Errorf("no %s event in any sample", kind)
		}
	}
	checkCaptures(t, byFile)
	checkScenarios(t, byFile)
}

// checkCaptures looks for what the recordings' descriptions say is in them.
func checkCaptures(t *testing.T, files map[string][]event.Event) {
	sourcetest.Require(t, files["captures/scenario-b-malicious-image/docker-events.log"], func(b *event.Image) bool {
		return b.Action == event.ImagePull && b.Reference.Repository() == "registry.untrusted.example:5000/tools/helper" && b.Digest.IsZero()
	})
	sourcetest.Require(t, files["captures/scenario-b-malicious-image/dockerd-debug.log"], func(b *event.ImageResolved) bool {
		return b.Digest.Short() == "a450384de76a" && b.Reference.Tag() == "latest"
	})
	sourcetest.Require(t, files["captures/scenario-b-malicious-image/dockerd-debug.log"], func(b *event.APIRequest) bool {
		return b.Create != nil && b.Create.Name == "helper" && b.Create.Image.Repository() == "registry.untrusted.example:5000/tools/helper" &&
			b.Create.Risk.NetworkMode == "default"
	})
	sourcetest.Require(t, files["captures/scenario-e-debug-exec/docker-events.log"], func(b *event.ExecStarted) bool {
		return strings.HasPrefix(b.Command, "sh -c id; ps; ls /www") && len(b.ExecID) == 64
	})
	sourcetest.Require(t, files["captures/scenario-c-build-on-host-classic/docker-events.log"], func(b *event.Container) bool {
		return b.Action == event.ContainerStart && b.Name == "kind_galileo" && !b.Image.Digest().IsZero()
	})
	sourcetest.Require(t, files["captures/scenario-c-build-on-host-classic/dockerd-debug.log"], func(b *event.APIRequest) bool {
		return b.Path == "/build" && b.Version == "1.41" && b.Query.Get("t") == "sys-update:latest" && b.Query.Get("buildargs") == redacted
	})
	sourcetest.Require(t, files["captures/scenario-d-benign-ci-build/dockerd-debug.log"], func(b *event.BuildStep) bool {
		return b.ID == "bh2hos487gwh0h62z6bi9pgn7" && len(b.Command) == 3 && strings.HasPrefix(b.Command[2], "mkdir -p /pkg")
	})
	sourcetest.Require(t, files["captures/scenario-a-benign-web/inspect-container.json"], func(b *event.ContainerDescription) bool {
		return b.Name == "web" && b.PID == 3120 && len(b.HealthCheck) == 3 && len(b.Networks) == 1 &&
			b.Networks[0].Addrs[0].String() == "172.17.0.2" && b.ImageID.Short() == "fd6ed55ab3c8"
	})
	sourcetest.Require(t, files["captures/scenario-b-malicious-image/inspect-image.json"], func(b *event.ImageDescription) bool {
		return len(b.RepoDigests) == 1 && b.RepoDigests[0].Digest().Short() == "a450384de76a" && b.ID.Short() == "16ce3dccd8c1"
	})
}

func checkScenarios(t *testing.T, files map[string][]event.Event) {
	sourcetest.Require(t, files["scenarios/A26/dockerd.log"], func(b *event.APIRequest) bool {
		return b.Path == "/containers/create" && b.Version == "1.24" && b.Create != nil && b.Create.Risk.Privileged &&
			len(b.Create.Risk.Mounts) == 1 && b.Create.Risk.Mounts[0].Source == "/" && b.Create.Command[0] == "chroot"
	})
	sourcetest.Require(t, files["scenarios/A26/enrich/docker-inspect.json"], func(b *event.ContainerDescription) bool {
		return b.Risk.Privileged && len(b.Risk.Mounts) == 1 && b.Risk.Mounts[0].Destination == "/mnt" && b.PID == 386056
	})
	sourcetest.Require(t, files["scenarios/A23/dockerd.log"], func(b *event.APIRequest) bool { return b.Path == "/grpc" && b.Method == "POST" })
	sourcetest.Require(t, files["scenarios/A25/alice-laptop/docker-events.log"], func(b *event.Image) bool {
		return b.Action == event.ImageCommit && b.Container != "" && !b.Digest.IsZero() && !b.Reference.IsZero()
	})
}
