package cri

import (
	"strings"
	"testing"

	"tidewaiter/source/docker"
	"tidewaiter/source/sourcetest"
)

// What a log is, is told by what stands in it: dockerd, containerd and CRI-O
// all log with logrus.
func TestSniff(t *testing.T) {
	plugin := info(`loading plugin "io.containerd.grpc.v1.cri"...`, "type=io.containerd.grpc.v1") + "\n"
	pull := info(`PullImage "`+shop+`:3"`) + "\n"
	call := info("Calling POST /v1.41/images/create?fromImage=x") + "\n"
	started := info("Started container", "PID=1 containerID=a") + "\n"
	kubelet := "May 04 08:09:10 node-1 kubelet[1]: I0504 08:09:10.1 1 kubelet.go:1] x\n"
	for _, c := range []struct {
		name, text string
		want       string
	}{
		{"containerd under the kubelet", pull, "containerd-log"},
		{"it has just begun", strings.Repeat(plugin, 60), "containerd-log"},
		{"under its name", "May 04 08:09:10 node-1 containerd[1]: " + info("anything") + "\n", "containerd-log"},
		{"as JSON", `{"level":"info","msg":"PullImage \"x\"","time":"` + stamp + `"}` + "\n", "containerd-log"},
		{"among others' lines", kubelet + kubelet + "May 04 08:09:10 node-1 containerd[1]: " + pull, "containerd-log"},
		{"dockerd", call, "dockerd-log"},
		{"dockerd that runs containerd", info("Starting up") + "\n" + plugin + plugin, "dockerd-log"},
		{"dockerd and containerd in one journal", "May 04 08:09:10 h containerd[1]: " + plugin + "May 04 08:09:10 h dockerd[2]: " + call, "dockerd-log"},
		{"CRI-O", started, "crio-log"},
		{"CRI-O under its name", "May 04 08:09:10 node-1 crio[1]: " + info("anything") + "\n", "crio-log"},
		{"CRI-O by the call", info("anything", "id=1 name=/runtime.v1.RuntimeService/Version") + "\n", "crio-log"},
		{"another program that logs with logrus", info("anything") + "\n", "dockerd-log"},
		{"another program's JSON", `{"level":"info","msg":"anything","time":"` + stamp + `"}` + "\n", ""},
		{"a node's journal without either", kubelet, ""},
		{"nothing", "", ""},
		{"binary", "\x00\x01\x02", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			best, sure := "", 0
			for name, n := range map[string]int{
				"dockerd-log":    sourcetest.Sniff(docker.DaemonLog(), c.text),
				"containerd-log": sourcetest.Sniff(ContainerdLog(), c.text),
				"crio-log":       sourcetest.Sniff(CRIOLog(), c.text),
			} {
				switch {
				case n > 100 || n < 0:
					t.Errorf("%s is %d sure", name, n)
				case n == sure && n > 0:
					t.Errorf("%s and %s are equally sure", name, best)
				case n > sure:
					best, sure = name, n
				}
			}
			if best != c.want {
				t.Errorf("recognised as %q, want %q", best, c.want)
			}
		})
	}
}
