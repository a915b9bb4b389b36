package image

import "testing"

func TestVMNamesHaveOneForm(t *testing.T) {
	for got, want := range map[VM]VM{
		ParseAMI("AMI-0AbC"):                                    "ami-0abc",
		ParseAMI("resolve:ssm:/x"):                              "",
		ParseGCP("projects/a/global/images/b", "p"):             "projects/a/global/images/b",
		ParseGCP("global/images/family/b", "p"):                 "projects/p/global/images/family/b",
		ParseGCP("global/images/only-here", ""):                 "",
		ParseAzure("/Subscriptions/S/x/IMAGES/I/"):              "/subscriptions/s/x/images/i",
		ParseAzure("no path"):                                   "",
		AzureMarket("Canonical", "ubuntu", "Server", "24.04.1"): "canonical:ubuntu:server:24.04.1",
		AzureMarket("", "ubuntu", "server", "latest"):           "",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, s := range []string{"https://www.googleapis.com/compute/v1/projects/a/global/images/b", "//compute.googleapis.com/projects/a/global/images/b", "https://compute.googleapis.com/compute/beta/projects/a/global/images/b/"} {
		if got := ParseGCP(s, ""); got != "projects/a/global/images/b" || ParseGCP(string(got), "") != got {
			t.Errorf("%s: %q", s, got)
		}
	}
	f := ParseGCP("projects/cos-cloud/global/images/family/cos-121", "")
	if f.Project() != "cos-cloud" || f.Family() != "cos-121" || VM("ami-1").Project() != "" {
		t.Errorf("%q: project %q, family %q", f, f.Project(), f.Family())
	}
}
