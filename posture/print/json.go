package print

import (
	"encoding/json"
	"io"
	"time"

	"tidewaiter/posture"
)

// document is the report as JSON.
type document struct {
	Version  string                  `json:"version"`
	Time     time.Time               `json:"time"`
	Host     string                  `json:"host,omitempty"`
	Editions map[string]string       `json:"benchmarks"`
	Summary  map[posture.Verdict]int `json:"summary"`
	Results  []result                `json:"results"`
	Images   []inspectedImage        `json:"images,omitempty"`
}

type result struct {
	ID         string             `json:"id"`
	Title      string             `json:"title"`
	Verdict    posture.Verdict    `json:"verdict"`
	Why        string             `json:"why"`
	Mitigation mitigation         `json:"mitigation"`
	Docker     []string           `json:"cis_docker,omitempty"`
	Kubernetes []string           `json:"cis_kubernetes,omitempty"`
	Effects    []posture.Effect   `json:"analytics"`
	Mend       string             `json:"mend"`
	Failed     []posture.Evidence `json:"failed,omitempty"`
	Passed     []posture.Evidence `json:"passed,omitempty"`
	Unseen     []posture.Gap      `json:"could_not_look,omitempty"`
}

type mitigation struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type inspectedImage struct {
	Name    string     `json:"name"`
	Where   string     `json:"where"`
	Digests []string   `json:"digests,omitempty"`
	Origins []string   `json:"origins,omitempty"`
	Created *time.Time `json:"created,omitempty"`
	Layers  int        `json:"layers,omitempty"`
	Files   int        `json:"files,omitempty"`
	Bytes   int64      `json:"bytes_unpacked,omitempty"`
}

// About says what a report is about.
type About struct {
	// Version is the program's, Host the host's name or "", At when the facts
	// were gathered.
	Version, Host string
	At            time.Time
	Images        []posture.Image
}

// JSON writes results as one JSON object.
func JSON(w io.Writer, about About, rs []posture.Result) error {
	d := document{Version: about.Version, Time: about.At.UTC(), Host: about.Host, Summary: Count(rs),
		Editions: map[string]string{"cis_docker": posture.DockerBenchmark, "cis_kubernetes": posture.KubernetesBenchmark}}
	for _, r := range rs {
		c := r.Check
		d.Results = append(d.Results, result{
			ID: c.ID, Title: c.Title, Verdict: r.Verdict, Why: r.Why, Mitigation: mitigation{c.Mitigation, posture.Mitigations()[c.Mitigation]},
			Docker: c.Docker, Kubernetes: c.Kubernetes, Effects: c.Effects, Mend: c.Mend, Failed: r.Failed, Passed: r.Passed, Unseen: r.Unseen,
		})
	}
	for _, im := range about.Images {
		out := inspectedImage{Name: im.Name, Where: im.Where}
		for _, g := range im.Digests {
			out.Digests = append(out.Digests, g.String())
		}
		for _, o := range im.Origins {
			out.Origins = append(out.Origins, o.String())
		}
		if !im.Created.IsZero() {
			at := im.Created.UTC()
			out.Created = &at
		}
		if im.Content != nil {
			out.Layers, out.Files, out.Bytes = im.Content.Layers, im.Content.Files, im.Content.Bytes
		}
		d.Images = append(d.Images, out)
	}
	return encode(w, d)
}

func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
