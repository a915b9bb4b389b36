package analytic

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"cel.dev/cel-go/cel"
)

// scoring is a compiled scoringFile: how signals add up to a severity.
type scoring struct {
	scoringFile
	limits  []limit
	nothing tally // what no hits add up to
}

type limit struct {
	when            condition
	atMost, atLeast Severity
}

func (l *Library) compileScoring(comp *compiler, c *content) error {
	l.scoring.scoringFile = c.scoring
	var faults []error
	groups := map[string]bool{}
	l.scoring.nothing.points = map[string]float64{}
	for _, g := range c.scoring.Groups {
		groups[g.Name] = true
		l.scoring.nothing.points[g.Name] = 0
	}
	for name, s := range c.signals.Signals {
		if !groups[s.Group] && s.Points > 0 {
			faults = append(faults, c.signals.fault(fmt.Errorf("signal %s is of group %q, which has no cap", name, s.Group), "signals", name))
		}
	}
	for _, d := range c.scoring.Limits {
		d.When.File = c.scoring.file
		cond, err := comp.compile(d.When, "", cel.BoolType)
		faults = append(faults, err)
		l.scoring.limits = append(l.scoring.limits, limit{cond, d.AtMost, d.AtLeast})
	}
	if m := c.scoring.Multiplier; m != "" {
		if _, ok := c.signals.Settings[m]; !ok {
			faults = append(faults, c.scoring.fault(fmt.Errorf("multiplier: no setting is called %q", m), "multiplier"))
		}
	}
	return errors.Join(faults...)
}

// tally is what a set of signals adds up to.
type tally struct {
	score   float64
	points  map[string]float64 // by group; all of them
	groups  []string           // with positive points, in declared order
	signals []string           // that count, sorted
	hard    bool
}

// add works out the score: in each group the strongest signal counts fully and
// the others by a share, up to the group's cap; several groups together add a
// bonus; what speaks against is subtracted, within a floor.
func (s *scoring) add(hits []Hit) tally {
	if len(hits) == 0 {
		return s.nothing
	}
	t := tally{points: map[string]float64{}}
	against := 0.0
	for _, h := range hits {
		if h.Learning {
			continue
		}
		t.signals = append(t.signals, h.Signal)
		t.hard = t.hard || h.Hard
		against += min(h.Points, 0)
	}
	slices.Sort(t.signals)
	for _, g := range s.Groups {
		points := s.group(hits, g.Name, g.Cap)
		if t.points[g.Name] = points; points > 0 {
			t.groups = append(t.groups, g.Name)
			t.score += points
		}
	}
	if n := len(t.groups); n > 0 && len(s.ChainBonus) > 0 {
		t.score += s.ChainBonus[min(n, len(s.ChainBonus))-1]
	}
	floor := s.Negative
	if t.hard {
		floor = s.NegativeHard
	}
	t.score += max(against, floor)
	return t
}

func (s *scoring) group(hits []Hit, name string, limit float64) float64 {
	sum, best := 0.0, 0.0
	for _, h := range hits {
		if h.Group == name && h.Points > 0 && !h.Learning {
			sum += h.Points
			best = max(best, h.Points)
		}
	}
	return min(best+(sum-best)*s.Further, limit)
}

// severity turns a tally into a severity: by threshold, then held within the
// limits that apply. A floor beats a ceiling: it rests on stronger evidence.
func (s *scoring) severity(t tally, vars activation) (Severity, error) {
	sev := None
	for candidate := Info; candidate <= Critical; candidate++ {
		if at, ok := s.Thresholds[candidate]; ok && t.score >= at-1e-9 {
			sev = candidate
		}
	}
	floor := None
	for _, l := range s.limits {
		holds, err := l.when.holds(vars)
		if err != nil {
			return sev, err
		}
		if !holds {
			continue
		}
		if l.atMost != None {
			sev = min(sev, l.atMost)
		}
		floor = max(floor, l.atLeast)
	}
	return max(sev, floor), nil
}

// confidence says how complete the story is: each leg that is missing lowers
// it, less when none could have told it, and so does what was only inferred.
func (s *scoring) confidence(legs []Leg, chain int, inferred bool) float64 {
	c := 1.0
	for _, l := range legs {
		switch {
		case l.State == Seen || l.Optional:
		case l.State == Blind || l.State == Untied:
			c *= s.Confidence.Blind
		default:
			c *= s.Confidence.Absent
		}
	}
	if chain > 0 && s.Confidence.OtherChain > 0 {
		c *= s.Confidence.OtherChain
	}
	if inferred && s.Confidence.Inferred > 0 {
		c *= s.Confidence.Inferred
	}
	if s.Confidence.Cap > 0 {
		c = min(c, s.Confidence.Cap)
	}
	return math.Round(c*100) / 100
}
