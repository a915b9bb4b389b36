package kubernetes

import (
	"fmt"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// What one pod leaves in each log. Names and ids differ each time; images
// repeat.

func benchAudit(n int64) string {
	meta := strings.ReplaceAll(podMeta, "p-1", fmt.Sprintf("p-%d", n))
	whole := aPod + meta + `,"spec":` + podSpec + `,"status":{"phase":"Running","podIP":"10.1.2.3","containerStatuses":[{"name":"app","containerID":"containerd://` +
		idWeb + `","image":"reg.example/web:1","imageID":"reg.example/web@` + digWeb + `","state":{"running":{"startedAt":"2026-11-03T10:00:00Z"}}}]}}`
	text := audited("create", podURI, onPods, code("201")+sent(whole)+answered(whole)) + "\n" +
		audited("patch", podURI+"/web-1/status", onPod+`,"subresource":"status"`, code("200")+sent(`{"status":{}}`)+answered(whole)) + "\n" +
		audited("create", podURI+"/web-1/exec?command=id&container=app", onPod+`,"subresource":"exec"`, code("101")) + "\n"
	skipped := audited("update", "/apis/coordination.k8s.io/v1/leases/x", `"resource":"leases","apiGroup":"coordination.k8s.io","name":"x"`, code("200")) + "\n"
	return strings.ReplaceAll(text+strings.Repeat(skipped, 9), `"a-1"`, fmt.Sprintf(`"a-%d"`, n))
}

func benchEvents(n int64) string {
	text := anEvent("Pulling", `Pulling image "reg.example/web:1"`) + "\n" + anEvent("Started", "Started container app") + "\n"
	return strings.ReplaceAll(text, `"e-1"`, fmt.Sprintf(`"e-%d"`, n))
}

func benchPods(n int64) string {
	return strings.ReplaceAll(printedPod(""), "p-1", fmt.Sprintf("p-%d", n)) + "\n"
}

// benchKubelet has the mix of a log at its usual verbosity.
func benchKubelet(n int64) string {
	at := event.Unix(received.At + n*1e9)
	head := at.Format("2006-01-02T15:04:05Z07:00") + " node-a kubelet[1234]: " + at.Format("I0102 15:04:05.000000") + "    1234 x.go:1] "
	other := head + `"Probe failed" probeType="Readiness" pod="prod/web-1" podUID="` + aUID + `" containerName="app" probeResult="failure" output="HTTP probe failed with statuscode: 503"` + "\n"
	return head + plegNew + "\n" + head + anAccess0 + "\n" + strings.Repeat(other, 10)
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		format *source.Format
		life   func(int64) string
	}{{Audit(), benchAudit}, {Events(), benchEvents}, {Pods(), benchPods}, {Kubelet(), benchKubelet}} {
		sourcetest.Bench(b, c.format, sourcetest.Fill("", c.life))
	}
}

// TestManyContainers checks that a hostile specification costs no more than its
// size: what the pod says for all containers is read once.
func TestManyContainers(t *testing.T) {
	many := func(n int, one string) string { return strings.TrimSuffix(strings.Repeat(one, n), ",") }
	spec := func(n int) string {
		var annotations strings.Builder
		for i := range n {
			fmt.Fprintf(&annotations, `"a%d":"",`, i)
		}
		return audited("create", podURI, onPod, code("422")+sent(`{"metadata":{"annotations":{`+annotations.String()+`"z":""}},"spec":{"securityContext":{`+
			annotations.String()+`"z":""},"containers":[`+many(n, `{"name":"a"},`)+`]}}`))
	}
	const n = 20_000
	events, tally := sourcetest.Feed(Audit(), [][]byte{[]byte(spec(n))})
	if len(events) != 1 || len(events[0].Body.(*event.Pod).Spec.Containers) != n {
		t.Fatalf("%d events, %v", len(events), tally.Faults)
	}
}
