package document

import (
	"slices"
	"testing"

	"tidewaiter/posture"
)

const cluster = `apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: baseline}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      hostPID: true
      hostUsers: false
      securityContext: {runAsNonRoot: true, runAsUser: 1000}
      volumes:
      - {name: sock, hostPath: {path: /run/containerd/containerd.sock}}
      - {name: conf, configMap: {name: c}}
      initContainers:
      - {name: init, image: busybox, securityContext: {runAsUser: 0, runAsNonRoot: false}}
      containers:
      - name: web
        image: registry.example/web@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        securityContext: {privileged: true, capabilities: {add: [SYS_ADMIN]}}
        volumeMounts: [{name: sock, mountPath: /s, readOnly: true}, {name: conf, mountPath: /c}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: job}
spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: job}}, spec: {containers: [{name: j, image: j}]}}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicyList
items:
- metadata: {name: a, namespace: shop}
  spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress], egress: [{to: [{namespaceSelector: {}}]}]}
- metadata: {name: b, namespace: shop}
  spec: {podSelector: {}, egress: [{}]}
---
apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver-n1, namespace: kube-system}
spec: {hostNetwork: true, containers: [{name: k, image: k, command: [kube-apiserver, --anonymous-auth=false, "--authorization-mode=Node,RBAC"]}]}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}}
readOnlyPort: 10255
`

func TestKubernetesObjects(t *testing.T) {
	f := read(t, map[string]string{"cluster.yaml": cluster})
	if len(f.Gaps) > 0 || len(f.Namespaces) != 1 || len(f.Pods) != 3 || len(f.Containers) != 4 || len(f.NetworkPolicies) != 2 {
		t.Fatalf("%+v", f)
	}
	init, web := f.Containers[0], f.Containers[1]
	if init.NonRoot || init.User.Value != "0" || init.Workload != "deployment web" {
		t.Errorf("init: %+v", init)
	}
	if !web.NonRoot || web.User.Value != "1000" || !web.Privileged || !web.OwnUsers || !slices.Equal(web.HostNamespaces, []string{"pid"}) ||
		!slices.Equal(web.Mounts, []posture.Mount{{Source: "/run/containerd/containerd.sock", Target: "/s", ReadOnly: true}}) || web.Image.Mutable() {
		t.Errorf("web: %+v", web)
	}
	if p := f.Pods[1]; p.Namespace != "default" || p.Labels["app"] != "job" {
		t.Errorf("job: %+v", p)
	}
	a, b := f.NetworkPolicies[0], f.NetworkPolicies[1]
	if !a.Ingress || !a.Egress || a.OpenEgress || !b.Egress || !b.OpenEgress || !b.Ingress {
		t.Errorf("policies: %+v %+v", a, b)
	}
	if s := f.APIServers; len(s) != 1 || s[0].Anonymous.Value || len(s[0].Modes.Value) != 2 {
		t.Errorf("API server: %+v", s)
	}
	if k := f.Kubelets; len(k) != 1 || !k[0].Anonymous.Value || k[0].Authorization.Value != "Webhook" || k[0].ReadOnlyPort.Value != 10255 {
		t.Errorf("kubelet: %+v", k)
	}
}

// A kubelet's flags win over its file, and have other defaults.
func TestKubelets(t *testing.T) {
	flags := KubeletParts{Name: "k", Args: []string{"--v=2"}, ArgsWhere: "args"}.Kubelet()
	if !flags.Anonymous.Value || flags.Authorization.Value != "AlwaysAllow" || flags.ReadOnlyPort.Value != 10255 {
		t.Errorf("%+v", flags)
	}
	both := KubeletParts{Args: []string{"--config", "/k.yaml", "--anonymous-auth=false"}, ArgsWhere: "args", Config: []byte(`{"authentication":{"anonymous":{"enabled":true}}}`), ConfigWhere: "k.yaml"}.Kubelet()
	if both.Anonymous.Value || both.Anonymous.Where != "args" || both.Authorization.Value != "Webhook" {
		t.Errorf("%+v", both)
	}
	unread := KubeletParts{Args: []string{"--config=/k.yaml"}, ArgsWhere: "args"}.Kubelet()
	if unread.Anonymous.Known() || unread.Authorization.Known() {
		t.Errorf("%+v", unread)
	}
}

const vap = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-privileged}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], resources: [pods]}]}
  validations:
  - expression: "!object.spec.containers.exists(c, c.securityContext.privileged)"
  - expression: "!has(object.spec.hostPID)"
`

func bindingOf(action, rest string) string {
	return "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {name: b}\nspec: {policyName: no-privileged, validationActions: [" + action + "]" + rest + "}\n"
}

func kyvernoOf(top, rule string) string {
	return "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: k}\nspec:\n  " + top + "\n  rules:\n  - name: r\n    match: {any: [{resources: {kinds: [Pod]}}]}\n    validate: " + rule + "\n"
}

// Whether a policy refuses anything depends on its binding, or its action.
func TestAdmission(t *testing.T) {
	for name, c := range map[string]struct {
		text     string
		enforces bool
		aspects  int
		bounds   bool
	}{
		"no binding":        {vap, false, 2, false},
		"audits":            {vap + bindingOf("Audit", ""), false, 2, false},
		"denies":            {bindingOf("Deny", "")[4:] + "---\n" + vap, true, 2, false},
		"denies somewhere":  {vap + bindingOf("Deny", ", matchResources: {namespaceSelector: {matchLabels: {a: b}}}"), true, 2, true},
		"kyverno audits":    {kyvernoOf("background: true", "{pattern: {spec: {hostNetwork: false}}}"), false, 1, false},
		"kyverno enforces":  {kyvernoOf("validationFailureAction: Enforce", "{pattern: {spec: {=(volumes): [{X(hostPath): 'null'}]}}}"), true, 1, false},
		"by rule":           {kyvernoOf("background: true", "{failureAction: Enforce, podSecurity: {level: restricted}}"), true, 5, false},
		"of something else": {kyvernoOf("validationFailureAction: enforce", "{pattern: {metadata: {labels: {team: '?*'}}}}"), true, 0, false},
	} {
		f := read(t, map[string]string{"p.yaml": c.text})
		if len(f.Gaps) > 0 || len(f.Admission) != 1 {
			t.Errorf("%s: %+v", name, f)
			continue
		}
		a := f.Admission[0]
		if a.Enforces != c.enforces || len(a.Aspects) != c.aspects || (a.Bounds != "") != c.bounds || !a.Enforces && a.WhyNot == "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
}
