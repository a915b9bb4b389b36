package analytic

import "fmt"

// Severity says how bad a finding is if it is true. It follows the evidence
// and may fall again. The order is the order of the numbers.
type Severity int

// The severities. None means that there is nothing to tell.
const (
	None Severity = iota
	Info
	Low
	Medium
	High
	Critical
)

var severityNames = [...]string{"none", "info", "low", "medium", "high", "critical"}

// String is the severity's name in lower case.
func (s Severity) String() string {
	if s < None || s > Critical {
		return fmt.Sprintf("severity %d", int(s))
	}
	return severityNames[s]
}

// ParseSeverity reads a severity's name.
func ParseSeverity(s string) (Severity, error) {
	for i, name := range severityNames {
		if s == name {
			return Severity(i), nil
		}
	}
	return None, fmt.Errorf("%q is no severity; want info, low, medium, high or critical", s)
}

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Severity) UnmarshalText(b []byte) error {
	v, err := ParseSeverity(string(b))
	if err == nil {
		*s = v
	}
	return err
}
