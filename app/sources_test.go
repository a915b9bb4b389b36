package app_test

import (
	"path"
	"strings"
	"testing"

	"tidewaiter/app"
	"tidewaiter/source/sourcetest"
)

// recognised says as which format the files of a folder outside the repository
// must be told, among all that there are.
var recognised = []struct{ folder, file, format string }{
	{"data/cloudtrail", "*.ndjson", "cloudtrail"},
	{"data/gcp_audit", "*.ndjson", "gcp-audit"},
	{"data/azure_activity", "*.ndjson", "azure-activity"},
	{"data/azure_flow", "*.json", "azure-flow"},
	{"data/netflow_json", "*.json", "netflow-json"},
	{"data/aws_vpcflow", "aws_vpc_*.ndjson", "aws-vpcflow-json"},
	{"data/aws_vpcflow", "aws_dns_*.ndjson", "route53-resolver"},
	{"data/sysmon_windows", "*.json", "sysmon-json"},
	{"data/sysmon_linux", "*.json", "sysmon-json"},
	{"data/k8s_audit", "*.json", "k8s-audit"},
	{"data/suricata_eve", "suricata-*.log", "suricata-eve"},
	{"data/hubble", "*.json", "hubble"},
	{"data/docker_events", "*.ndjson", "docker-events"},
	{"scenarios", "*_CloudTrail_*", "cloudtrail"},
	{"scenarios", "describe-images.json", "ec2-describe"},
	{"scenarios", "gcp-audit.log", "gcp-audit"},
	{"scenarios", "azure-activity.log", "azure-activity"},
	{"scenarios", "azure-flow.log", "azure-flow"},
	{"scenarios", "gcp-vpcflow.log", "gcp-vpcflow"},
	{"scenarios", "vpcflow.log", "aws-vpcflow"},
	{"scenarios", "cloud-init-output.log", "cloud-init"},
	{"scenarios", "user-data.txt", "user-data"},
	{"scenarios", "sysmon-linux.log", "sysmon-xml"},
	{"scenarios", "k8s-audit.log", "k8s-audit"},
	{"scenarios", "k8s-events.log", "k8s-events"},
	{"scenarios", "audit.log", "auditd"},
	{"scenarios", "conn.log", "zeek-conn"},
	{"scenarios", "registry-events.log", "registry-notifications"},
	{"scenarios", "containerd-events.log", "containerd-events"},
}

// TestSharedFilesAreToldApart: with every format to choose from, each recording
// is read as what it is.
func TestSharedFilesAreToldApart(t *testing.T) {
	for _, r := range recognised {
		n := 0
		for _, file := range sourcetest.SharedFiles(t, r.folder, func(p string) bool {
			ok, err := path.Match(r.file, path.Base(p))
			return err == nil && ok && !strings.Contains(p, "labels") && !strings.Contains(p, "bad_") && !strings.Contains(p, "/info.")
		}) {
			in, _ := sourcetest.ReadFile(t, file, app.Formats()...)
			if got := in.Tallies()[0].Format.Name; got != r.format && got != r.format+"-json" {
				t.Errorf("%s: told as %s, want %s", file, got, r.format)
			}
			n++
		}
		if n == 0 {
			t.Errorf("no %s in %s", r.file, r.folder)
		}
		t.Logf("%4d files %s/%s", n, r.folder, r.file)
	}
}
