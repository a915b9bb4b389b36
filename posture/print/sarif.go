package print

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"tidewaiter/posture"
	"tidewaiter/visible"
)

// The parts of SARIF 2.1.0 (OASIS) that a report uses.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID         string          `json:"id"`
		Short      sarifText       `json:"shortDescription"`
		Help       sarifText       `json:"help"`
		Properties sarifProperties `json:"properties"`
	}
	sarifProperties struct {
		Tags []string `json:"tags"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifInvocation struct {
		Success       bool                `json:"executionSuccessful"`
		EndTime       string              `json:"endTimeUtc,omitempty"`
		Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
		Rule    *struct {
			ID string `json:"id"`
		} `json:"associatedRule,omitempty"`
	}
	sarifResult struct {
		Rule         string            `json:"ruleId"`
		Index        int               `json:"ruleIndex"`
		Kind         string            `json:"kind"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations,omitempty"`
		Fingerprints map[string]string `json:"partialFingerprints,omitempty"`
	}
	sarifLocation struct {
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region *sarifRegion `json:"region,omitempty"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
	}
)

// SARIF writes results as a SARIF 2.1.0 log: one result for each case that
// fails or that could not be looked at, one for each check that passes.
func SARIF(w io.Writer, about About, rs []posture.Result) error {
	run := sarifRun{Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "tidewaiter posture", Version: about.Version}
	run.Invocations = []sarifInvocation{{Success: true, EndTime: about.At.UTC().Format("2006-01-02T15:04:05Z")}}
	for i, r := range rs {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRuleOf(r.Check))
		add := func(kind, level, subject, what, where string) {
			out := sarifResult{Rule: r.Check.ID, Index: i, Kind: kind, Level: level, Message: sarifText{visible.Text(subject + ": " + what)}}
			if subject == "" {
				out.Message.Text = visible.Text(what)
			}
			if where != "" {
				out.Locations = []sarifLocation{locate(subject, where)}
			}
			sum := sha256.Sum256([]byte(r.Check.ID + "\x00" + subject + "\x00" + what))
			out.Fingerprints = map[string]string{"tidewaiter/v1": hex.EncodeToString(sum[:16])}
			run.Results = append(run.Results, out)
		}
		for _, e := range r.Failed {
			add("fail", "error", e.Subject, e.What+". To mend: "+r.Check.Mend, e.Where)
		}
		for _, g := range r.Unseen {
			add("open", "none", "", "could not look: "+g.Where+": "+g.Why, g.Where)
		}
		switch {
		case r.Verdict == posture.Pass:
			add("pass", "none", "", r.Why, r.Passed[0].Where)
		case r.Verdict == posture.Unknown && len(r.Unseen) == 0:
			add("open", "none", "", r.Why, "")
		}
	}
	return encode(w, sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

func sarifRuleOf(c posture.Check) sarifRule {
	var help strings.Builder
	help.WriteString("To mend: " + c.Mend + ".\n")
	tags := []string{"security", "attack:" + c.Mitigation}
	for _, e := range c.Effects {
		word := " has more to find: "
		if e.Blinds {
			word = " sees less: "
		}
		help.WriteString(e.Analytic + word + e.Why + ".\n")
		tags = append(tags, "attack:"+e.Analytic)
	}
	for _, n := range c.Docker {
		tags = append(tags, posture.DockerBenchmark+" "+n)
	}
	for _, n := range c.Kubernetes {
		tags = append(tags, posture.KubernetesBenchmark+" "+n)
	}
	return sarifRule{ID: c.ID, Short: sarifText{c.Title}, Help: sarifText{help.String()}, Properties: sarifProperties{tags}}
}

var fileLine = regexp.MustCompile(`^(.+):(\d+)$`)

// locate says where something was read: a file if it is one, else by name.
func locate(subject, where string) sarifLocation {
	l := sarifLocation{Logical: []sarifLogical{{Name: visible.Text(cutEmpty(subject, where))}}}
	for part := range strings.SplitSeq(where, "; ") {
		part, _, _ = strings.Cut(part, " (")
		part, _, _ = strings.Cut(part, ", layer ")
		part, _, _ = strings.Cut(part, ", history ")
		line := 0
		if m := fileLine.FindStringSubmatch(part); m != nil {
			part = m[1]
			line, _ = strconv.Atoi(m[2]) // digits; 0 if too many
		}
		if info, err := os.Stat(part); err != nil || info.IsDir() {
			continue
		}
		u := url.URL{Path: filepath.ToSlash(part)}
		if filepath.IsAbs(part) {
			u.Scheme = "file"
		}
		l.Physical = &sarifPhysical{}
		l.Physical.Artifact.URI = u.String()
		if line > 0 {
			l.Physical.Region = &sarifRegion{line}
		}
		break
	}
	return l
}

func cutEmpty(subject, where string) string {
	if subject == "" {
		return where
	}
	return subject
}
