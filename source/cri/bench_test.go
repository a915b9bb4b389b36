package cri

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// lines makes the lines of the n-th container on a node, under a prefix.
func lines(n int64, program string, msgs ...string) string {
	var b strings.Builder
	at := event.Unix(nano + n*1e9)
	for _, m := range msgs {
		msg, pairs, _ := strings.Cut(m, "\t")
		b.WriteString("May 04 08:09:10 node-1 " + program + `[812]: time="` + at.Format("2006-01-02T15:04:05.000000000Z") + `" level=info msg=` + strconv.Quote(msg))
		if pairs != "" {
			b.WriteString(" " + pairs)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// containerdLife is what one pod leaves in the log, with what says nothing.
func containerdLife(n int64) string {
	id, sandbox := fmt.Sprintf("%064x", n), fmt.Sprintf("%064x", n+1<<40)
	const managed = `"  labels:{key:"io.cri-containerd.image"  value:"managed"}`
	const container = `name:"web"  attempt:1`
	return lines(n, "containerd",
		"RunPodSandbox for "+textPod,
		"RunPodSandbox for "+textPod+` returns sandbox id "`+sandbox+`"`,
		`PullImage "`+shop+`:3"`,
		`ImageCreate event name:"`+shop+`:3`+managed,
		"stop pulling image "+shop+":3: active requests=0, bytes read=5",
		`ImageCreate event name:"`+idConfig+managed,
		`Pulled image "`+shop+`:3" with image id "`+idConfig+`", repo tag "`+shop+`:3", repo digest "`+shop+"@"+idManifest+`", size "5" in 1.5s`,
		`PullImage "`+shop+`:3" returns image reference "`+idConfig+`"`,
		`CreateContainer within sandbox "`+sandbox+`" for container `+container,
		`CreateContainer within sandbox "`+sandbox+`" for `+container+` returns container id "`+id+`"`,
		`StartContainer for "`+id+`"`,
		"connecting to shim "+id+"\taddress=\"unix:///run/containerd/s/1\" namespace=k8s.io protocol=ttrpc version=3",
		`StartContainer for "`+id+`" returns successfully`,
		`received container exit event container_id:"`+id+`"  id:"`+id+`"  pid:4711  exit_status:143  exited_at:{seconds:1777882150  nanos:5}`,
		"shim disconnected\tid="+id+" namespace=k8s.io",
		`RemoveContainer for "`+id+`" returns successfully`,
	)
}

func crioLife(n int64) string {
	id, sandbox := fmt.Sprintf("%064x", n), fmt.Sprintf("%064x", n+1<<40)
	call := fmt.Sprintf("\tid=%08x-0001 name=/runtime.v1.RuntimeService/", n)
	return lines(n, "crio",
		"Running pod sandbox: prod/shop-7f9-x1/POD"+call+"RunPodSandbox",
		"Got pod network &{Name:shop-7f9-x1 Namespace:prod ID:"+sandbox+" UID:0b1c-2 NetNS:/var/run/netns/1 Networks:[]}"+call+"RunPodSandbox",
		"Ran pod sandbox "+sandbox+" with infra container: prod/shop-7f9-x1/POD"+call+"RunPodSandbox",
		"Checking image status: "+shop+":3"+call+"ImageStatus",
		"Pulling image: "+shop+":3"+call+"PullImage",
		`Trying to access "`+shop+`:3"`,
		"Pulled image: "+shop+"@"+idManifest+call+"PullImage",
		"Creating container: "+web+call+"CreateContainer",
		"Created container "+id+": "+web+call+"CreateContainer",
		"Starting container: "+id+call+"StartContainer",
		"Started container\tPID=4711 containerID="+id+" description="+web+" "+call[1:]+"StartContainer sandboxID="+sandbox,
		"Stopped container "+id+": "+web+call+"StopContainer",
		"Removed container "+id+": "+web+call+"RemoveContainer",
	)
}

func BenchmarkContainerdLog(b *testing.B) {
	sourcetest.Bench(b, ContainerdLog(), sourcetest.Fill("", containerdLife))
}

func BenchmarkCRIOLog(b *testing.B) { sourcetest.Bench(b, CRIOLog(), sourcetest.Fill("", crioLife)) }
