// Package detections holds the detections that are built in: what is notable
// (signals.yaml), how it adds up (scoring.yaml), and one file per analytic.
//
// In: nothing. Out: a file system of YAML files, readable by people, that
// analytic.Load compiles.
package detections

import "embed"

//go:embed *.yaml
var files embed.FS

// Files gives the built-in detections.
func Files() embed.FS { return files }
