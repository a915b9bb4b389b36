package document

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"tidewaiter/posture"
)

// fieldsOf are the fields of a pod that a rule must name to be about an aspect.
var fieldsOf = []struct {
	aspect posture.Aspect
	fields []string
}{
	{posture.Privileged, []string{"privileged"}},
	{posture.HostNamespaces, []string{"hostPID", "hostIPC", "hostNetwork"}},
	{posture.HostPaths, []string{"hostPath"}},
	{posture.Capabilities, []string{"capabilities"}},
	{posture.RootUser, []string{"runAsNonRoot", "runAsUser"}},
}

// aspects tells what rules are about, by the fields that they name.
func aspects(rules string) []posture.Aspect {
	var out []posture.Aspect
	for _, f := range fieldsOf {
		if slices.ContainsFunc(f.fields, func(name string) bool { return strings.Contains(rules, name) }) {
			out = append(out, f.aspect)
		}
	}
	return out
}

// admission reads a policy of the admission controllers.
func (r *Reader) admission(where string, data []byte, m meta) error {
	switch {
	case m.Kind == "ValidatingAdmissionPolicy":
		return r.validating(where, data, m)
	case m.Kind == "ValidatingAdmissionPolicyBinding":
		return r.binding(where, data, m)
	case m.Kind == "ValidatingPolicy" && strings.HasPrefix(m.APIVersion, "policies.kyverno.io/"):
		return r.validating(where, data, m)
	case strings.HasPrefix(m.APIVersion, "kyverno.io/"):
		return r.kyverno(where, data, m)
	}
	return nil // another controller's kind of the same name
}

// validating reads a ValidatingAdmissionPolicy (admissionregistration.k8s.io),
// or the ValidatingPolicy of Kyverno that is written like it.
func (r *Reader) validating(where string, data []byte, m meta) error {
	var in struct {
		Spec struct {
			FailurePolicy     string
			ValidationActions []string
			Validations       []struct{ Expression string }
			Variables         []struct{ Expression string }
			MatchConstraints  struct {
				ResourceRules []struct{ Resources []string }
			}
		}
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	var text strings.Builder
	for _, e := range slices.Concat(in.Spec.Validations, in.Spec.Variables) {
		text.WriteString(e.Expression + "\n")
	}
	a := posture.Admission{Kind: m.Kind, Name: m.Metadata.Name, Where: where}
	pods := slices.ContainsFunc(in.Spec.MatchConstraints.ResourceRules, func(rule struct{ Resources []string }) bool {
		return slices.Contains(rule.Resources, "pods") || slices.Contains(rule.Resources, "*")
	})
	if pods {
		a.Aspects = aspects(text.String())
	}
	switch {
	case m.Kind == "ValidatingPolicy":
		a.Enforces = slices.Contains(in.Spec.ValidationActions, "Deny") || len(in.Spec.ValidationActions) == 0
		a.WhyNot = "its validationActions are " + strings.Join(in.Spec.ValidationActions, ", ")
	case in.Spec.FailurePolicy == "Ignore":
		a.WhyNot = "its failurePolicy is Ignore"
	default:
		a.WhyNot = "no binding with validationActions: [Deny] was given"
	}
	r.Facts.Admission = append(r.Facts.Admission, a)
	return nil
}

// binding is a ValidatingAdmissionPolicyBinding, kept until all policies are
// read.
type binding struct {
	policy, name, bounds string
	denies               bool
	actions              []string
}

func (r *Reader) binding(_ string, data []byte, m meta) error {
	var in struct {
		Spec struct {
			PolicyName        string
			ValidationActions []string
			MatchResources    struct {
				NamespaceSelector *posture.Selector
				ObjectSelector    *posture.Selector
			}
		}
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	b := binding{policy: in.Spec.PolicyName, name: m.Metadata.Name, actions: in.Spec.ValidationActions, denies: slices.Contains(in.Spec.ValidationActions, "Deny")}
	for _, s := range []*posture.Selector{in.Spec.MatchResources.NamespaceSelector, in.Spec.MatchResources.ObjectSelector} {
		if s != nil && len(s.MatchLabels)+len(s.MatchExpressions) > 0 {
			b.bounds = " (where the selectors of binding " + b.name + " match)"
		}
	}
	r.bindings = append(r.bindings, b)
	return nil
}

// bind tells each policy whether a binding makes it refuse anything.
func (r *Reader) bind() {
	for i := range r.Facts.Admission {
		a := &r.Facts.Admission[i]
		if a.Kind != "ValidatingAdmissionPolicy" {
			continue
		}
		for _, b := range r.bindings {
			switch {
			case b.policy != a.Name:
			case !b.denies && !a.Enforces:
				a.WhyNot = fmt.Sprintf("its binding %s has validationActions %s", b.name, strings.Join(b.actions, ", "))
			case b.denies && !strings.Contains(a.WhyNot, "failurePolicy"):
				a.Enforces, a.Bounds = true, b.bounds
			}
		}
	}
}

// kyverno reads a ClusterPolicy or a Policy of Kyverno (kyverno.io/v1).
func (r *Reader) kyverno(where string, data []byte, m meta) error {
	var in struct {
		Spec struct {
			ValidationFailureAction string
			Rules                   []struct {
				Name     string
				Match    json.RawMessage
				Validate *struct {
					FailureAction string
					Pattern       json.RawMessage
					AnyPattern    json.RawMessage
					Deny          json.RawMessage
					Foreach       json.RawMessage
					CEL           json.RawMessage
					PodSecurity   *struct{ Level string }
				}
			}
		}
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	a := posture.Admission{Kind: "Kyverno " + m.Kind, Name: m.Metadata.Name, Where: where, WhyNot: "its failureAction is Audit"}
	if m.Kind == "Policy" {
		a.Namespace = m.Metadata.Namespace
	}
	for _, rule := range in.Spec.Rules {
		v := rule.Validate
		if v == nil || !strings.Contains(string(rule.Match), "Pod") {
			continue
		}
		action := v.FailureAction
		if action == "" {
			action = in.Spec.ValidationFailureAction
		}
		enforces := strings.EqualFold(action, "enforce")
		about := aspects(string(slices.Concat(v.Pattern, v.AnyPattern, v.Deny, v.Foreach, v.CEL)))
		if v.PodSecurity != nil {
			about = posture.RefusedBy(v.PodSecurity.Level)
		}
		if enforces && !a.Enforces {
			a.Enforces, a.Aspects = true, nil // those that only warn do not count beside it
		}
		if enforces == a.Enforces {
			a.Aspects = append(a.Aspects, about...)
		}
	}
	r.Facts.Admission = append(r.Facts.Admission, a)
	return nil
}
