package scenario_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/app"
	"tidewaiter/detections"
	"tidewaiter/policy"
	"tidewaiter/source/sourcetest"
)

// peersTopics are the rules of a peer whose labels are about images of machines,
// launches, or what machines run at their boot.
var peersTopics = []string{
	"aws_ami_modified_for_public_access", "aws_ec2_download_instance_user_data", "aws_ec2_vulnerable_xz_image_launched",
	"aws_modify_cloud_compute_infrastructure", "aws_ec2_stopinstances", "aws_snapshot_made_public",
	"gcp_computeinstances_create_privilege_escalation", "azure_vm_command_executed",
}

// peersDiffer says, by rule and label, why we say otherwise. An entry that is
// not needed any more fails the test.
var peersDiffer = map[string]string{
	"azure_vm_command_executed: VM RunCommand Executed Successfully":   callAlone,
	"azure_vm_command_executed: VM RunCommand Case Insensitive":        callAlone,
	"azure_vm_command_executed: VM Extension Write (CustomScript/DSC)": callAlone,
	"azure_vm_command_executed: VMSS RunCommand Executed":              callAlone,
	"azure_vm_command_executed: Gallery Application Version Write":     "an application of a gallery is no image, and no machine is named",
	"azure_vm_command_executed: AKS RunCommand Executed":               "a cluster's own command channel, and no machine is named",
	"azure_vm_command_executed: Serial Console Connect":                "somebody connected; nothing of an image or a boot",

	"aws_ami_modified_for_public_access: AMI Not Made Public": "the rule alerts on everybody and on strangers of its own list; ours holds nobody to share with",
	"aws_ami_modified_for_public_access: AMI Added to User":   "the same",

	"aws_ec2_download_instance_user_data: Unsuccessful Attempt": "user data were read, which gives away what is in them and starts nothing",
	"aws_ec2_download_instance_user_data: Successful Attempt":   "the same",

	"aws_ec2_stopinstances: CloudTrail Instances Were Stopped": "a machine that is stopped runs nothing; what it is started with is looked at",

	"aws_ec2_vulnerable_xz_image_launched: Single vulnerable AMI Launched":    "the rule knows ids of vulnerable images; a launch of an image whose owner no record tells has done nothing yet",
	"aws_ec2_vulnerable_xz_image_launched: Multiple vulnerable AMIs Launched": "the same",

	"aws_modify_cloud_compute_infrastructure: Terminate Instance from AssumedRole":            "a machine's end is no matter of images",
	"aws_modify_cloud_compute_infrastructure: Terminate instance From WebUI with assumedRole": "the same",

	"aws_snapshot_made_public: Snapshot Made Publicly Accessible":         "a snapshot is no image until one is registered from it; its sharing is not read",
	"aws_snapshot_made_public: Snapshot Mader Available to Single Person": "the same",

	"gcp_computeinstances_create_privilege_escalation: GCP compute.instances - Potential Privilege Escalation": "the rule is about the permissions that a caller had, and the machine does nothing",
}

// callAlone is why a call that has a machine run something is no finding by
// itself.
const callAlone = "what the call had the machine run, and what came of it, is looked at; a call alone is administration"

// peersCut are rules whose samples lack what every record of their format has.
var peersCut = map[string]string{
	"aws_dns_crypto_domain": "no time",
	"aws_s3_bucket_deleted": "no event source, and no time",
}

// peersPolicy knows of one factory and one owner, so that what others do is seen.
const peersPolicy = `version: 1
learning: 1h
settings:
  vm_images: ["owner:amazon"]
  image_factories: ["arn:aws:iam::*:role/packer"]
`

// TestPeersLabels hunts through every record that a peer labelled, each by
// itself: all are read without loss, and where the label is about our matter we
// say the same, or it stands here why not.
func TestPeersLabels(t *testing.T) {
	root := sourcetest.Shared(t, "data")
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	pol, err := policy.Read(strings.NewReader(peersPolicy), "peers", lib.Vocabulary())
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "*", "panther-labs__panther-analysis", "rules", "*", "*.ndjson"))
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	var rows []string
	records := 0
	for _, file := range files {
		if kind := strings.Split(strings.TrimPrefix(file, root+"/"), "/")[0]; !slices.Contains([]string{"cloudtrail", "gcp_audit", "azure_activity", "aws_vpcflow"}, kind) {
			continue
		}
		rule := strings.TrimSuffix(filepath.Base(file), ".ndjson")
		labels := readPeersLabels(t, strings.TrimSuffix(file, ".ndjson")+".labels.json")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
			records++
			said := huntOne(t, lib, pol, rule, line)
			if !slices.Contains(peersTopics, rule) || i >= len(labels) {
				continue
			}
			l := labels[i]
			rows = append(rows, fmt.Sprintf("%-50s %-50s alert %-5t  we: %s", rule, l.Test, l.Alert, said))
			why, known := peersDiffer[rule+": "+l.Test]
			switch differs := l.Alert != (said != "nothing"); {
			case differs && !known:
				t.Errorf("%s: %s: the label says %t, we say %s", rule, l.Test, l.Alert, said)
			case !differs && known:
				t.Errorf("%s: %s: does not differ any more: %s", rule, l.Test, why)
			}
		}
	}
	t.Logf("%d records\n%s", records, strings.Join(rows, "\n"))
}

type peersLabel struct {
	Test  string `json:"test"`
	Alert bool   `json:"expected_alert"`
}

func readPeersLabels(t *testing.T, file string) (labels []peersLabel) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &labels); err != nil {
		t.Fatal(file, err)
	}
	return labels
}

// huntOne hunts through one record and says what is found.
func huntOne(t *testing.T, lib *analytic.Library, pol *policy.Policy, rule, line string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), rule+".json")
	if err := os.WriteFile(file, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := app.Hunt(app.HuntOptions{Paths: []string{file}, Library: lib, Policy: pol, Now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, in := range r.Inputs {
		for _, f := range in.Formats {
			if f.Unreadable > 0 && peersCut[rule] == "" {
				t.Errorf("%s: %d records cannot be read: %v", rule, f.Unreadable, f.Faults)
			}
		}
		if in.Err != nil && peersCut[rule] == "" {
			t.Errorf("%s: %v", rule, in.Err)
		}
	}
	var out []string
	for _, f := range r.Findings {
		var signals []string
		for _, s := range f.Signals {
			signals = append(signals, s.Name)
		}
		out = append(out, fmt.Sprintf("%s %s %s", f.Severity, f.Family, strings.Join(signals, "+")))
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, "; ")
}
