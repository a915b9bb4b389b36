package entity

import (
	"path"
	"strings"
)

// maxAncestors bounds the walk from a process to the agent that started it.
const maxAncestors = 16

// agentOf names the boot agent that started a program on a machine, directly or
// not, "" for none. The agents run whatever the cloud hands them, so what they
// start is told apart from what the machine's own programs do.
func agentOf(a *act) string {
	for n := 0; a != nil && n < maxAncestors; n++ {
		p := a.process()
		if p == nil {
			return ""
		}
		if agent := bootAgent(p.Exe, p.Script, strings.Join(p.Args, " ")); agent != "" {
			return agent
		}
		if agent := bootAgent(p.ParentExe, "", p.ParentCommand); agent != "" {
			return agent
		}
		a = a.site.parentOf(a)
	}
	return ""
}

// bootAgents are the programs that run what a cloud hands a machine at its
// boot or later, by what their paths hold, in lower case. Sources: cloud-init's
// documentation (instance data layout), Google's guest-agent, Azure's Linux
// agent and its custom script extension, Amazon's EC2Launch and Systems Manager
// agents.
func bootAgents() [][2]string {
	return [][2]string{
		{"/var/lib/cloud/instance", "cloud-init"}, {"cloud-init", "cloud-init"},
		{"google_metadata_script_runner", "google-metadata-script-runner"}, {"gcemetadatascripts", "google-metadata-script-runner"}, {"/metadata-scripts", "google-metadata-script-runner"},
		{"custom-script-extension", "azure-custom-script"}, {"/var/lib/waagent/custom-script", "azure-custom-script"}, {"customscripthandler", "azure-custom-script"},
		{"waagent", "waagent"}, {"windowsazureguestagent", "waagent"},
		{"ec2launch", "ec2launch"}, {"ec2config", "ec2config"},
		{"ssm-document-worker", "amazon-ssm-agent"}, {"amazon-ssm-agent", "amazon-ssm-agent"},
	}
}

// bootAgent names the agent that a program is, or is a script of.
func bootAgent(exe, script, line string) string {
	first, _, _ := strings.Cut(line, " ")
	for _, text := range []string{exe, script, first, path.Dir(exe)} {
		text = strings.ToLower(strings.ReplaceAll(text, `\`, "/"))
		for _, known := range bootAgents() {
			if text != "" && strings.Contains(text, known[0]) {
				return known[1]
			}
		}
	}
	return ""
}
