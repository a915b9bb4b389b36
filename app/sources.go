// Package app puts the rooms together: it alone imports everything. Commands
// call it; it starts nothing by itself.
//
// In: options. Out: the report of a hunt.
package app

import (
	"tidewaiter/source"
	"tidewaiter/source/auditd"
	"tidewaiter/source/azure"
	"tidewaiter/source/cloudtrail"
	"tidewaiter/source/containerd"
	"tidewaiter/source/cri"
	"tidewaiter/source/dns"
	"tidewaiter/source/docker"
	"tidewaiter/source/ebpf"
	"tidewaiter/source/ecs"
	"tidewaiter/source/falco"
	"tidewaiter/source/flow"
	"tidewaiter/source/gcp"
	"tidewaiter/source/guest"
	"tidewaiter/source/kubernetes"
	"tidewaiter/source/note"
	"tidewaiter/source/ocsf"
	"tidewaiter/source/registry"
	"tidewaiter/source/sysmon"
)

// Formats lists every log format that can be read. A new source is one line
// here. Where two formats are equally sure of an input, the earlier wins.
func Formats() []*source.Format {
	return []*source.Format{
		docker.Events(),
		docker.EventsText(),
		docker.Podman(),
		docker.InspectContainer(),
		docker.InspectImage(),
		docker.InspectNetwork(),
		docker.DaemonLog(),
		docker.Authorization(),
		containerd.Events(),
		containerd.Lookups(),
		cri.ContainerdLog(),
		cri.CRIOLog(),
		cri.Events(),
		auditd.Format(),
		auditd.Laurel(),
		ebpf.Tetragon(),
		ebpf.Tracee(),
		ebpf.Kernel(),
		falco.Alerts(),
		ecs.Events(),
		ocsf.Events(),
		flow.Conntrack(),
		flow.ZeekConn(),
		flow.ZeekConnJSON(),
		flow.ZeekDNS(),
		flow.ZeekDNSJSON(),
		kubernetes.Audit(),
		kubernetes.Events(),
		kubernetes.Kubelet(),
		kubernetes.Nodes(),
		kubernetes.Pods(),
		flow.ZeekHTTP(),
		flow.ZeekHTTPJSON(),
		flow.ZeekSSL(),
		flow.ZeekSSLJSON(),
		flow.Hubble(),
		flow.SuricataEVE(),
		registry.Notifications(),
		cloudtrail.Trail(),
		cloudtrail.Descriptions(),
		flow.VPCFlow(),
		flow.VPCFlowJSON(),
		flow.GCPFlow(),
		flow.AzureFlow(),
		flow.NetFlow(),
		gcp.Audit(),
		azure.Activity(),
		sysmon.XML(),
		sysmon.JSON(),
		guest.CloudInit(),
		guest.Agents(),
		guest.UserData(),
		dns.Route53(),
		dns.GoogleDNS(),
		note.Format(),
	}
}
