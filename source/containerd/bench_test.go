package containerd

import (
	"fmt"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// life is what the n-th container of a Kubernetes node leaves in the stream:
// ids and times differ each time, images repeat.
func life(n int64) string {
	var b strings.Builder
	id := fmt.Sprintf("%064x", n)
	line := func(topic, format string, args ...any) {
		b.WriteString(event.Unix(nano + n*1e9).Format("2006-01-02 15:04:05.999999999 -0700 MST"))
		fmt.Fprintf(&b, " k8s.io "+topic+" "+format+"\n", args...)
	}
	const shop = "registry.acme.example/team/shop"
	const managed = `"labels":{"io.cri-containerd.image":"managed"}}`
	line("/images/create", `{"name":"%s:3",`+managed, shop)
	line("/images/create", `{"name":"%s",`+managed, idImage)
	line("/images/create", `{"name":"%s@%s",`+managed, shop, idImage)
	line("/snapshot/prepare", `{"key":"%s","parent":"%s"}`, id, idImage)
	line("/containers/create", `{"id":"%s","image":"%s:3","runtime":{"name":"io.containerd.runc.v2","options":{"type_url":"containerd.runc.v1.Options"}}}`, id, shop)
	line("/containers/update", `{"id":"%s","image":"%s:3","labels":{"io.cri-containerd.kind":"container","io.kubernetes.pod.name":"shop-%d","io.kubernetes.pod.namespace":"prod"},"snapshot_key":"%s"}`, id, shop, n, id)
	line("/tasks/create", `{"container_id":"%s","bundle":"/run/containerd/io.containerd.runtime.v2.task/k8s.io/%s","rootfs":[{"type":"overlay","source":"overlay","options":["index=off","workdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/10/work"]}],"io":{},"pid":%d}`, id, id, 1000+n)
	line("/tasks/start", `{"container_id":"%s","pid":%d}`, id, 1000+n)
	line("/tasks/exit", `{"container_id":"%s","id":"%s","pid":%d,"exit_status":1,"exited_at":{"seconds":1777882150,"nanos":5}}`, id, id, 1000+n)
	line("/tasks/delete", `{"container_id":"%s","pid":%d,"exit_status":1}`, id, 1000+n)
	return b.String()
}

func BenchmarkEvents(b *testing.B) { sourcetest.Bench(b, Events(), sourcetest.Fill("", life)) }
