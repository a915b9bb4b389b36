package scenario_test

import "strings"

// Places of the samples.
const (
	falcoTraces  = "k8s_audit/falcosecurity__falco/test/trace_files/"
	tetragonBook = "tetragon/cilium__tetragon/docs/security-observability-with-ebpf/03_chapter/00_four_golden_signals/"
)

// attackSteps is the label of the records of Tetragon's book.
const attackSteps = "book ch.3: labelled attack steps (privileged pod -> host ns -> static pod -> reverse tunnel)"

// What is said, as wordsOf puts it.
const (
	nothing            = ""
	stranger           = "info image-untrusted tag-mutable (image-new)"
	strangerPrivileged = "low image-untrusted privileged tag-mutable (image-new)"
	strangerMount      = "low image-untrusted host-mount tag-mutable (image-new)"
	strangerNew        = "info image-untrusted%s (image-new)"
	strangerKnown      = "info image-untrusted%s"
	strangerCurl       = "low image-untrusted exec-outbound-arg suspicious-exec%s (image-new)"
	strangerConnects   = "high image-untrusted egress-unapproved exec-outbound-arg suspicious-exec%s (egress-new image-new)"
	strangerPython     = "low image-untrusted suspicious-exec%s (image-new)"
	strangerByNewcomer = "medium image-untrusted privileged principal-unexpected tag-mutable (image-new principal-unusual)"
)

// Why labels and findings differ, or agree.
const (
	whyNoObject   = "Only what becomes a container, reaches into one or grants rights is told of the API; this record is counted and skipped, whoever asked."
	whyRole       = "What a role would allow does nothing to a container until somebody has it; the record is skipped."
	whyGrant      = "Who was granted what is read, but no detection asks for it, and no pod stands beside it."
	whyAccess     = "An exec or attach is read, but no signal counts it alone: what was typed, and into which image, the sample does not tell."
	whyTemplate   = "A template is read, but nobody is told of a workload before there is a pod of it."
	whyEnded      = "A deletion ends a story and begins none."
	whyHostSpace  = "A name space of the host weighs 8 points, under the 14 that make a creation risky by itself; only the stranger's image is told."
	whyRisky      = "Agreed where the image is a stranger's; of an allowed image by an expected principal it weighs 14 points, under the 20 of info."
	whySecond     = "As for a first container: each container of a pod is judged as the one that it is about."
	whyRiskyOther = "Agreed where the image is a stranger's; the trusting site allows CentOS from the same place and its creator."
	whyDisallowed = "The label depends on which image the rule allows, and so do we; an image that has done nothing is worth info at most."
	whyQuiet      = "No rule fires on how it was made; that the strict site does not know the image is still worth info."
	whyAnswer     = "The record is a node's reading of the pod: its status is read, but a pod whose creation nobody recorded begins no story."
	whyNamespace  = "That nobody should make pods there is AN1492's business, which wants a miner beside it; only the stranger's image is told."
	whyCapability = "Neither capability is among dangerous_capabilities; the strict site is told of the stranger's image alone."
	whyHardening  = "A rule of hardening: it fires on how most pods are written and tells no attack, so we have no signal for it."
	whyUnmasked   = "An unmasked /proc is read as systempaths=unconfined, but no signal asks for it."
	whyHost       = "These processes run on the host, in no container, and so are nobody's story."
	whyAlert      = "Another program's alerts are skipped; its two flows lead from an address of no known container."
	whyStranger   = "What these programs are says nothing; that neither site knows their images is worth info at most."
	whyTold       = "The record repeats the program that did it, curl with an address outside, shortly after its container began; the connection itself, which would weigh more, is another record."
	whyAgreed     = "Agreed where there is a policy: an image that nobody knows runs curl and connects to where nobody approved."
	whyListens    = "Listening tells nothing that a detection uses, but the record repeats its program, an interpreter that an unknown image began with."
	whyLate       = "What was written lies half an hour after the container began, outside every window, and no signal counts a write alone; only the stranger's image is told."
)

// labelledSamples is the table of TestLabelledSamples. Without a policy, and
// where the image and its creator are trusted, nothing is said of any of them:
// each is one record, of what was asked for and not of what was done. Tetragon's
// are of what was done, in images that neither site knows.
func labelledSamples() []sample {
	var all []sample
	add := func(dir, file, label, strict, why string) {
		all = append(all, sample{dir + file, label, [3]string{nothing, strict, nothing}, why})
	}
	// The sites differ in that one wants its images named by digest.
	done := func(dir, file string, says []string, why string) {
		words := strings.Join(says, "; ")
		strict, trusting := strings.ReplaceAll(words, "%s", " tag-mutable"), strings.ReplaceAll(words, "%s", "")
		all = append(all, sample{dir + file, attackSteps, [3]string{nothing, strict, trusting}, why})
	}
	add("", "k8s_audit/crowdsecurity__hub/.tests/k8s-audit-pod-exec-file/k8s-audit-pod-exec-file.log", "crowdsecurity/k8s-audit-pod-exec", nothing, whyAccess)
	add("", "k8s_audit/crowdsecurity__hub/.tests/k8s-audit-priv-pod-file/k8s-audit-priv-pod-file.log", "crowdsecurity/k8s-audit-privileged-pod-creation", strangerByNewcomer, whyRiskyOther)
	add("", "laurel_json/crowdsecurity__hub/.tests/laurel-base64-exec/laurel-base64-exec.log", "crowdsecurity/auditd-base64-exec-behavior", nothing, whyHost)
	add("", "laurel_json/crowdsecurity__hub/.tests/laurel-logs/laurel-logs.log", "", nothing, whyHost)
	add("", "laurel_json/crowdsecurity__hub/.tests/laurel-suid-crash/laurel-suid-crash.log", "crowdsecurity/auditd-suid-crash", nothing, whyHost)
	add("", "suricata_eve/crowdsecurity__hub/.tests/suricata-eve-detect/suricata-eve-detect.log", "crowdsecurity/suricata-major-severity, crowdsecurity/suricata-high-medium-severity", nothing, whyAlert)
	add("", "suricata_eve/crowdsecurity__hub/.tests/suricata-logs-evelog/suricata-logs-evelog.log", "", nothing, whyAlert)
	done("", "tetragon/cilium__tetragon/testdata/events.json", []string{strangerNew, strangerNew, strangerKnown}, whyStranger)
	add(falcoTraces, "k8s_audit/anonymous_creates_namespace_foo.json", "Anonymous Request Allowed", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/attach_cluster_admin_role.json", "Attach to cluster-admin Role", nothing, whyGrant)
	add(falcoTraces, "k8s_audit/attach_pod.json", "Attach/Exec Pod", nothing, whyAccess)
	add(falcoTraces, "k8s_audit/create_cluster_role_pod_exec.json", "ClusterRole With Pod Exec Created", nothing, whyRole)
	add(falcoTraces, "k8s_audit/create_cluster_role_wildcard_resources.json", "ClusterRole With Wildcard Created", nothing, whyRole)
	add(falcoTraces, "k8s_audit/create_cluster_role_wildcard_verbs.json", "ClusterRole With Wildcard Created", nothing, whyRole)
	add(falcoTraces, "k8s_audit/create_cluster_role_write_privileges.json", "ClusterRole With Write Privileges Created", nothing, whyRole)
	add(falcoTraces, "k8s_audit/create_clusterrole.json", "K8s Role/Clusterrole Created", nothing, whyRole)
	add(falcoTraces, "k8s_audit/create_clusterrolebinding.json", "K8s Role/Clusterrolebinding Created", nothing, whyGrant)
	add(falcoTraces, "k8s_audit/create_configmap.json", "K8s ConfigMap Created", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/create_configmap_no_sensitive_values.json", "", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/create_configmap_sensitive_values.json", "Create/Modify Configmap With Private Credentials", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/create_deployment.json", "K8s Deployment Created", nothing, whyTemplate)
	add(falcoTraces, "k8s_audit/create_kube_system_secret.json", "", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/create_nginx_pod_hostnetwork.json", "Create HostNetwork Pod", stranger, whyHostSpace)
	add(falcoTraces, "k8s_audit/create_nginx_pod_nohostnetwork.json", "", stranger, whyQuiet)
	add(falcoTraces, "k8s_audit/create_nginx_pod_privileged.json", "Create Privileged Pod", strangerPrivileged, whyRisky)
	add(falcoTraces, "k8s_audit/create_nginx_pod_privileged_2nd_container.json", "Create Privileged Pod", strangerPrivileged, whySecond)
	add(falcoTraces, "k8s_audit/create_nginx_pod_sensitive_mount.json", "Create Sensitive Mount Pod", strangerMount, whyRisky)
	add(falcoTraces, "k8s_audit/create_nginx_pod_sensitive_mount_2nd_container.json", "Create Sensitive Mount Pod", strangerMount, whySecond)
	add(falcoTraces, "k8s_audit/create_nginx_pod_unprivileged.json", "Create Disallowed Pod", stranger, whyDisallowed)
	add(falcoTraces, "k8s_audit/create_nginx_pod_unsensitive_mount.json", "", nothing, whyAnswer)
	add(falcoTraces, "k8s_audit/create_nginx_service_nodeport.json", "Create NodePort Service", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/create_nginx_service_nonodeport.json", "", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/create_pod_kube_public_namespace.json", "Pod Created in Kube Namespace", stranger, whyNamespace)
	add(falcoTraces, "k8s_audit/create_pod_kube_system_namespace.json", "Pod Created in Kube Namespace", stranger, whyNamespace)
	add(falcoTraces, "k8s_audit/create_secret.json", "K8s Secret Created", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/create_service.json", "K8s Service Created", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/create_service_account_token_secret.json", "", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/create_serviceaccount.json", "K8s Serviceaccount Created", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/create_serviceaccount_kube_public_namespace.json", "Service Account Created in Kube Namespace", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/create_serviceaccount_kube_system_namespace.json", "Service Account Created in Kube Namespace", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/delete_cluster_role_kube_aggregator.json", "System ClusterRole Modified/Deleted", nothing, whyRole)
	add(falcoTraces, "k8s_audit/delete_clusterrole.json", "K8s Role/Clusterrole Deleted", nothing, whyRole)
	add(falcoTraces, "k8s_audit/delete_clusterrolebinding.json", "K8s Role/Clusterrolebinding Deleted", nothing, whyGrant)
	add(falcoTraces, "k8s_audit/delete_configmap.json", "K8s ConfigMap Deleted", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/delete_deployment.json", "K8s Deployment Deleted", nothing, whyEnded)
	add(falcoTraces, "k8s_audit/delete_namespace_foo.json", "K8s Namespace Deleted", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/delete_secret.json", "K8s Secret Deleted", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/delete_service.json", "K8s Service Deleted", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/delete_serviceaccount.json", "K8s Serviceaccount Deleted", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/exec_pod.json", "Attach/Exec Pod", nothing, whyAccess)
	add(falcoTraces, "k8s_audit/minikube_creates_namespace_foo.json", "", nothing, whyNoObject)
	add(falcoTraces, "k8s_audit/modify_cluster_role_node_problem_detector.json", "System ClusterRole Modified/Deleted", nothing, whyRole)
	add(falcoTraces, "k8s_audit/some-user_creates_namespace_foo.json", "Create Disallowed Namespace, Disallowed K8s User, K8s Namespace Created", nothing, whyNoObject)
	add(falcoTraces, "psp/capability_add_sys_nice.json", "", stranger, whyCapability)
	add(falcoTraces, "psp/capability_add_sys_time.json", "PSP allow_capability_sys_nice Violation (allowedCapabilities)", stranger, whyCapability)
	add(falcoTraces, "psp/create_vanilla_nginx_deployment.json", "PSP fs_group_must_run_as_30 Violation (fsGroup), PSP group_must_run_as_30 Violation (runAsGroup=MustRunAs) K8s Audit, PSP read_only_root_fs Violation (readOnlyRootFilesystem) K8s Audit, PSP supplemental_groups_must_run_as_30 Violation (supplementalGroups=MustRunAs), PSP user_must_run_as_30 Violation (runAsUser=MustRunAs) K8s Audit", stranger, whyHardening)
	add(falcoTraces, "psp/flex_volumes.json", "PSP only_lvm_cifs_flex_volumes Violation (allowedFlexVolumes)", stranger, whyHardening)
	add(falcoTraces, "psp/fs_group.json", "PSP fs_group_may_run_as_30 Violation (fsGroup), PSP fs_group_must_run_as_30 Violation (fsGroup)", stranger, whyHardening)
	add(falcoTraces, "psp/host_ipc.json", "PSP no_host_ipc Violation (hostIPC)", stranger, whyHostSpace)
	add(falcoTraces, "psp/host_network.json", "PSP no_host_network Violation (hostNetwork)", stranger, whyHostSpace)
	add(falcoTraces, "psp/host_network_ports.json", "PSP host_ports_100_200_only Violation (hostPorts)", stranger, whyHardening)
	add(falcoTraces, "psp/host_pid.json", "PSP no_host_pid Violation (hostPID)", stranger, whyHostSpace)
	add(falcoTraces, "psp/mount_etc_using_host_path.json", "PSP only_mount_host_usr Violation (allowedHostPaths), PSP only_secret_volumes Violation (volumes)", strangerMount, whyRisky)
	add(falcoTraces, "psp/privilege_escalation.json", "PSP no_privilege_escalation Violation (allowPrivilegeEscalation)", stranger, whyHardening)
	add(falcoTraces, "psp/privileged.json", "PSP no_privileged Violation (privileged) K8s Audit", strangerPrivileged, whyRisky)
	add(falcoTraces, "psp/proc_mount_type_default.json", "", stranger, whyQuiet)
	add(falcoTraces, "psp/proc_mount_type_unmasked.json", "PSP allow_default_proc_mount_type Violation (allowedProcMountTypes)", stranger, whyUnmasked)
	add(falcoTraces, "psp/read_only_root_fs.json", "", stranger, whyQuiet)
	add(falcoTraces, "psp/run_as_group_1000_container.json", "PSP group_may_run_as_30 Violation (runAsGroup=MayRunAs), PSP group_must_run_as_30 Violation (runAsGroup=MustRunAs) K8s Audit", stranger, whyHardening)
	add(falcoTraces, "psp/run_as_group_1000_sec_ctx.json", "PSP group_may_run_as_30 Violation (runAsGroup=MayRunAs), PSP group_must_run_as_30 Violation (runAsGroup=MustRunAs) K8s Audit", stranger, whyHardening)
	add(falcoTraces, "psp/run_as_group_1000_sec_ctx_30_container.json", "", stranger, whyQuiet)
	add(falcoTraces, "psp/run_as_group_30_container.json", "", stranger, whyQuiet)
	add(falcoTraces, "psp/run_as_group_30_sec_ctx.json", "", stranger, whyQuiet)
	add(falcoTraces, "psp/run_as_group_30_sec_ctx_1000_container.json", "PSP group_may_run_as_30 Violation (runAsGroup=MayRunAs), PSP group_must_run_as_30 Violation (runAsGroup=MustRunAs) K8s Audit", stranger, whyHardening)
	add(falcoTraces, "psp/run_as_user_0_container.json", "PSP user_must_run_as_non_root Violation (runAsUser=MustRunAsNonRoot) K8s Audit", stranger, whyHardening)
	add(falcoTraces, "psp/run_as_user_0_sec_ctx.json", "PSP user_must_run_as_non_root Violation (runAsUser=MustRunAsNonRoot) K8s Audit", stranger, whyHardening)
	add(falcoTraces, "psp/run_as_user_0_sec_ctx_1000_container.json", "", stranger, whyQuiet)
	add(falcoTraces, "psp/run_as_user_1000_container.json", "PSP user_must_run_as_30 Violation (runAsUser=MustRunAs) K8s Audit", stranger, whyHardening)
	add(falcoTraces, "psp/run_as_user_1000_sec_ctx.json", "PSP user_must_run_as_30 Violation (runAsUser=MustRunAs) K8s Audit", stranger, whyHardening)
	add(falcoTraces, "psp/run_as_user_1000_sec_ctx_0_container.json", "PSP user_must_run_as_non_root Violation (runAsUser=MustRunAsNonRoot) K8s Audit", stranger, whyHardening)
	add(falcoTraces, "psp/run_as_user_1000_sec_ctx_30_container.json", "", stranger, whyQuiet)
	add(falcoTraces, "psp/run_as_user_30_container.json", "", stranger, whyQuiet)
	add(falcoTraces, "psp/run_as_user_30_sec_ctx.json", "", stranger, whyQuiet)
	add(falcoTraces, "psp/run_as_user_30_sec_ctx_1000_container.json", "PSP user_must_run_as_30 Violation (runAsUser=MustRunAs) K8s Audit", stranger, whyHardening)
	add(falcoTraces, "psp/supplemental_groups_10_20.json", "PSP supplemental_groups_may_run_as_30 Violation (supplementalGroups=MayRunAs), PSP supplemental_groups_may_run_as_30_10 Violation (supplementalGroups=MayRunAs), PSP supplemental_groups_must_run_as_30 Violation (supplementalGroups=MustRunAs), PSP supplemental_groups_must_run_as_30_10 Violation (supplementalGroups=MustRunAs)", stranger, whyHardening)
	done(tetragonBook, "process_close.json", []string{strangerCurl}, whyTold)
	done(tetragonBook, "process_connect.json", []string{strangerConnects}, whyAgreed)
	done(tetragonBook, "process_exec.json", []string{strangerCurl}, whyTold)
	done(tetragonBook, "process_exit.json", []string{strangerCurl}, whyTold)
	done(tetragonBook, "process_kprobe.json", []string{strangerNew}, whyLate)
	done(tetragonBook, "process_listen.json", []string{strangerPython}, whyListens)
	return all
}
