package containerd

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// sharedFiles are the samples of ctr events below the shared folder.
func sharedFiles(t *testing.T) []string {
	root := sourcetest.Shared(t)
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if entry.Name() == "containerd-events.log" || (strings.Contains(path, "/data/containerd_events/") && strings.HasSuffix(path, ".log")) {
			files = append(files, path)
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
func readShared(t *testing.T, path string) []event.Event {
	in, events := sourcetest.ReadFile(t, path, Events())
	tally := in.Tallies()[0].Tally
	t.Logf("%s: %d records, %d events, %d skipped, %d unreadable", path, tally.Records, tally.Events, tally.Skipped, tally.Unreadable)
	for _, f := range tally.Faults {
		t.Errorf("%v", f)
	}
	return events
}

// TestSharedSamples reads every recorded sample beside the repository, if
// there are any, and checks what must be in them.
func TestSharedSamples(t *testing.T) {
	byFile := map[string][]event.Event{}
	for _, path := range sharedFiles(t) {
		events := readShared(t, path)
		_, short, _ := strings.Cut(filepath.ToSlash(path), "shared/")
		byFile[short] = events
		checkTasks(t, path, events)
	}
	const k8s, web = "captures/k8s/containerd-events.log", "46773a08c610d6af8d7a9d3cc327bcd5feb67399bad66da37e5aa7c0287f95f3"
	sourcetest.Require(t, byFile[k8s], func(b *event.Image) bool {
		return b.Action == event.ImageUpdate && b.CRI && b.Namespace == "k8s.io" && b.Digest.Short() == "fd6ed55ab3c8" && b.Reference.IsZero()
	})
	sourcetest.Require(t, byFile[k8s], func(b *event.Image) bool {
		return b.Reference.Repository() == "198.51.100.30:5000/tools/helper" && b.Reference.Digest().Short() == "a450384de76a"
	})
	sourcetest.Require(t, byFile[k8s], func(b *event.Container) bool {
		return b.Labels["io.kubernetes.pod.name"] == "web" && b.Labels["io.cri-containerd.kind"] == "sandbox"
	})
	sourcetest.Require(t, byFile[k8s], func(b *event.Task) bool {
		return b.Action == event.TaskStart && b.Container == web && b.ExecID == "" && b.PID == 6749
	})
	sourcetest.Require(t, byFile[k8s], func(b *event.Task) bool {
		return b.Action == event.TaskExit && b.Container == web && strings.HasPrefix(b.ExecID, "2340ae71") && b.PID == 6825
	})
	sourcetest.Require(t, byFile[k8s], func(b *event.Task) bool {
		return b.Action == event.TaskExit && b.ExecID == "" && b.ExitCode == 137
	})
	sourcetest.Require(t, byFile["captures/scenario-e-debug-exec/containerd-events.log"], func(b *event.ExecStarted) bool {
		return b.Namespace == "moby" && b.ExecID != "" && b.Command == ""
	})
	sourcetest.Require(t, byFile["data/containerd_events/containerd__containerd/2017-preJSON.log"], func(b *event.Container) bool {
		return b.Action == event.ContainerCreate && b.ID == "registry" && b.Image.Repository() == "docker.io/library/registry"
	})
}

// checkTasks: in a whole recording, a container's first process has the same
// id when it is created, started and ended.
func checkTasks(t *testing.T, path string, events []event.Event) {
	t.Helper()
	pids := map[string]int{}
	for _, e := range events {
		task, ok := e.Body.(*event.Task)
		if !ok || task.ExecID != "" || strings.Contains(path, "preJSON") {
			continue
		}
		id := task.Namespace + "/" + task.Container
		switch {
		case task.PID == 0:
			t.Errorf("%s:%d: no process id", path, e.Origin.Line())
		case pids[id] == 0 || task.Action == event.TaskCreate:
			pids[id] = task.PID
		case pids[id] != task.PID:
			t.Errorf("%s:%d: process %d, was %d", path, e.Origin.Line(), task.PID, pids[id])
		}
	}
}
