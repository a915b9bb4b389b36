//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// program is the built binary.
func program(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../tidewaiter")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; run make build", err)
	}
	return path
}

// run runs the program and gives what it wrote and its exit status.
func run(t *testing.T, stdin []byte, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t), args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// found is what these tests read of a finding's JSON.
type found struct {
	Severity    string `json:"severity"`
	FindingInfo struct {
		UID   string `json:"uid"`
		Title string `json:"title"`
	} `json:"finding_info"`
	Evidences []struct {
		Data struct {
			File, Leg, Record, Source string
			Line                      int
		} `json:"data"`
	} `json:"evidences"`
	Unmapped struct {
		Entities []struct {
			ContainerID string `json:"container_id"`
		} `json:"entities"`
		State     string
		Analytics []struct{ Analytic string }
		Legs      []struct{ Leg, State string } `json:"legs"`
	} `json:"unmapped"`
}

func findings(t *testing.T, stdout string) []found {
	t.Helper()
	var out []found
	if err := json.Unmarshal([]byte(stdout), &out); err != nil {
		t.Fatalf("%v in %.400s", err, stdout)
	}
	return out
}

// The bundled example, by the program as users run it, as a file and through a
// pipe.
func TestTheExample(t *testing.T) {
	stdout, stderr, status := run(t, nil, "hunt", "-o", "json", "--fail-on", "critical", "--policy", "../examples/policy.yaml", "../examples/recording")
	if status != 3 {
		t.Fatalf("exit status %d, want 3\n%s", status, stderr)
	}
	fs := findings(t, stdout)
	if len(fs) != 1 || fs[0].Severity != "Critical" {
		t.Errorf("findings %+v", fs)
	}
	again, _, _ := run(t, nil, "hunt", "-o", "json", "--policy", "../examples/policy.yaml", "../examples/recording")
	if again != stdout {
		t.Error("the same hunt printed something else the second time")
	}
	log, err := os.ReadFile("../examples/recording/docker-events.log")
	if err != nil {
		t.Fatal(err)
	}
	piped, stderr, status := run(t, log, "hunt", "--min-severity", "info", "-o", "json", "--host", "shop-1", "--policy", "../examples/policy.yaml", "-",
		"../examples/recording/audit.log", "../examples/recording/containerd-events.log")
	if status != 0 || len(findings(t, piped)) != 1 {
		t.Errorf("through a pipe: exit status %d\n%s%s", status, piped, stderr)
	}
}

// A reader that goes away, such as head, ends the program without a panic.
func TestAClosedPipeIsNoPanic(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program(t), "hunt", "--policy", "../examples/policy.yaml", "../examples/recording")
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &errs
	if err := cmd.Run(); err == nil {
		t.Error("no error, although nothing could be written")
	}
	if bytes.Contains(errs.Bytes(), []byte("panic")) {
		t.Errorf("%s", errs.String())
	}
}
