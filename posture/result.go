package posture

import "cmp"

// Verdict is the outcome of a check.
type Verdict string

// The verdicts.
const (
	Pass    Verdict = "pass"
	Fail    Verdict = "fail"
	Unknown Verdict = "unknown" // it could not look
)

// Evidence is one thing that was seen.
type Evidence struct {
	// Subject is what it is about, Where is where it was read, What is what
	// stands there.
	Subject string `json:"subject"`
	Where   string `json:"where"`
	What    string `json:"what"`
}

// Result is the outcome of one check.
type Result struct {
	Check   Check
	Verdict Verdict
	// Why is one sentence.
	Why string
	// Failed is what speaks against, Passed what speaks for, Unseen what could
	// not be looked at.
	Failed, Passed []Evidence
	Unseen         []Gap
}

// Effect is what a failing check does to an analytic.
type Effect struct {
	Analytic string `json:"analytic"`
	// Blinds is set when the analytic sees less because of it; else it has more
	// to find, and worse.
	Blinds bool   `json:"blinds"`
	Why    string `json:"why"`
}

// Check is one thing that is looked at.
type Check struct {
	// ID is the mitigation and a number.
	ID    string
	Title string
	// Mitigation is ATT&CK's id.
	Mitigation string
	// Docker and Kubernetes are the numbers of the recommendations in the CIS
	// benchmarks (see Benchmarks) that ask for the same.
	Docker, Kubernetes []string
	Effects            []Effect
	// Mend says what to do.
	Mend string
	// Needs says what to give so that it can look.
	Needs string
	// Topics are those whose gaps keep it from looking.
	Topics []Topic

	look func(*inquiry)
}

// The editions of the CIS benchmarks that the numbers are of. Numbers move
// between editions.
const (
	DockerBenchmark     = "CIS Docker Benchmark 1.6.0"
	KubernetesBenchmark = "CIS Kubernetes Benchmark 1.10"
)

// Mitigations are ATT&CK's names of the mitigations that are checked.
func Mitigations() map[string]string {
	return map[string]string{
		"M1026": "Privileged Account Management",
		"M1030": "Network Segmentation",
		"M1035": "Limit Access to Resource Over Network",
		"M1047": "Audit",
	}
}

// inquiry is one check at work.
type inquiry struct {
	*Facts
	opt     Options
	failed  []Evidence
	passed  []Evidence
	unseen  []Gap
	summary string
}

func (q *inquiry) fail(subject, where, what string) {
	q.failed = append(q.failed, Evidence{subject, where, what})
}

func (q *inquiry) pass(subject, where, what string) {
	q.passed = append(q.passed, Evidence{subject, where, what})
}

func (q *inquiry) unknown(topic Topic, where, why string) {
	q.unseen = append(q.unseen, Gap{topic, where, why})
}

// result draws the conclusion: one failure fails; what could not be looked at
// keeps the rest from passing.
func (q *inquiry) result(c Check) Result {
	for _, g := range q.Gaps {
		for _, t := range c.Topics {
			if g.Topic == t {
				q.unseen = append(q.unseen, g)
			}
		}
	}
	r := Result{Check: c, Failed: q.failed, Passed: q.passed, Unseen: q.unseen}
	switch {
	case len(r.Failed) > 0:
		r.Verdict, r.Why = Fail, q.failed[0].Subject+": "+q.failed[0].What
		if n := len(r.Failed); n > 1 {
			r.Why = counted(n, "case") + ", first " + r.Why
		}
	case len(r.Unseen) > 0:
		r.Verdict, r.Why = Unknown, "could not look: "+r.Unseen[0].Where+": "+r.Unseen[0].Why
	case len(r.Passed) == 0:
		r.Verdict, r.Why = Unknown, "could not look: nothing of the kind was given or found; "+c.Needs
	default:
		r.Verdict, r.Why = Pass, q.passed[0].Subject+": "+q.passed[0].What
		if n := len(r.Passed); n > 1 {
			r.Why = counted(n, "case") + ", first " + r.Why
		}
	}
	r.Why = cmp.Or(q.summary, r.Why)
	return r
}
