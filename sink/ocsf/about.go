package ocsf

import (
	"strings"

	"tidewaiter/finding"
)

// Techniques lists the ATT&CK techniques of a finding, and its sub-techniques.
func Techniques(o finding.OCSF) (techniques, subs []string) {
	seen := map[string]bool{}
	for _, a := range o.FindingInfo.Attacks {
		if id := a.Technique.UID; !seen[id] {
			seen[id] = true
			techniques = append(techniques, id)
		}
		if a.SubTechnique != nil && !seen[a.SubTechnique.UID] {
			seen[a.SubTechnique.UID] = true
			subs = append(subs, a.SubTechnique.UID)
		}
	}
	return techniques, subs
}

// Entity is what the finding is about first; zero if it names nothing.
func Entity(o finding.OCSF) finding.Entity {
	if len(o.Unmapped.Entities) == 0 {
		return finding.Entity{}
	}
	return o.Unmapped.Entities[0]
}

// SplitImage splits an image's reference into name and tag; either can be "".
func SplitImage(reference string) (name, tag string) {
	name, _, _ = strings.Cut(reference, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// Closed reports whether the telling takes the finding back.
func Closed(o finding.OCSF) bool {
	return o.Unmapped.State == finding.Withdrawn || o.Unmapped.State == finding.Superseded
}
