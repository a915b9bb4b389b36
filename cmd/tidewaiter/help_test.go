package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// everyCommand lists the commands of the program, but for what the command
// line library adds.
func everyCommand(t *testing.T) []*cobra.Command {
	t.Helper()
	var out []*cobra.Command
	var add func(*cobra.Command)
	add = func(c *cobra.Command) {
		out = append(out, c)
		for _, sub := range c.Commands() {
			if sub.Name() != "completion" && sub.Name() != "help" {
				add(sub)
			}
		}
	}
	add(newRoot())
	if len(out) < 12 {
		t.Fatalf("only %d commands", len(out))
	}
	return out
}

// The help of each command teaches: a paragraph, and examples that name it.
func TestEveryCommandTeaches(t *testing.T) {
	for _, c := range everyCommand(t) {
		if c.Long == "" || c.Short == "" {
			t.Errorf("%s says nothing of itself", c.CommandPath())
		}
		if !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for line := range strings.Lines(c.Long + "\n" + c.Example) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 84 {
				t.Errorf("%s: a line of %d characters: %s", c.CommandPath(), n, line)
			}
		}
	}
}

// An example in a help is a command line that the program understands.
func TestExamplesAreCommandLines(t *testing.T) {
	for _, c := range everyCommand(t) {
		for line := range strings.Lines(c.Example) {
			for _, part := range strings.FieldsFunc(line, func(r rune) bool { return r == '|' || r == '&' || r == '>' }) {
				words := strings.Fields(part)
				if len(words) == 0 || words[0] != "tidewaiter" {
					continue
				}
				root := newRoot()
				sub, rest, err := root.Find(words[1:])
				if err != nil || sub == root {
					t.Errorf("%s: %q: %v", c.CommandPath(), part, err)
					continue
				}
				if err := sub.ParseFlags(rest); err != nil {
					t.Errorf("%s: %q: %v", c.CommandPath(), part, err)
				}
			}
		}
	}
}

// Each command has a manual page.
func TestEveryCommandHasAManualPage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "man1")
	var stdout, stderr bytes.Buffer
	if status := run([]string{"man", dir}, nil, &stdout, &stderr); status != exitOK {
		t.Fatalf("status %d: %s", status, stderr.String())
	}
	for _, c := range everyCommand(t) {
		page, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, part := range []string{".TH", "SYNOPSIS", "EXAMPLE", c.Short} {
			if !strings.Contains(strings.ReplaceAll(string(page), "\\-", "-"), part) {
				t.Errorf("the page of %s has no %s", c.CommandPath(), part)
			}
		}
	}
	if _, err := os.ReadFile(filepath.Join(dir, "tidewaiter.1")); err != nil {
		t.Error(err)
	}
	if status := run([]string{"man", "/dev/null/x"}, nil, &stdout, &stderr); status != exitError {
		t.Errorf("status %d for a folder that cannot be", status)
	}
}

// A shell completes flags' values and detections.
func TestCompletion(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"hunt", "-o", ""}, outputs},
		{[]string{"hunt", "--output", "h"}, []string{"html"}},
		{[]string{"hunt", "--fail-on", ""}, severities},
		{[]string{"hunt", "--min-severity", "c"}, []string{"critical"}},
		{[]string{"hunt", "--color", ""}, colors},
		{[]string{"findings", "list", "--severity", ""}, severities},
		{[]string{"findings", "list", "--analytic", "AN14"}, []string{"AN1492"}},
		{[]string{"findings", "show", "-o", ""}, shownAs},
		{[]string{"detections", "show", ""}, []string{"AN0691", "AN0693", "AN1317", "AN1492"}},
		{[]string{"findings", ""}, []string{"list", "show"}},
	} {
		var stdout, stderr bytes.Buffer
		run(append([]string{cobra.ShellCompNoDescRequestCmd}, c.args...), nil, &stdout, &stderr)
		got, _, _ := strings.Cut(stdout.String(), ":")
		for _, w := range c.want {
			if !strings.Contains("\n"+got, "\n"+w+"\n") {
				t.Errorf("%v completes to %q, want %v", c.args, got, c.want)
			}
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		var stdout, stderr bytes.Buffer
		if status := run([]string{"completion", shell}, nil, &stdout, &stderr); status != exitOK || stdout.Len() == 0 {
			t.Errorf("completion %s: status %d", shell, status)
		}
	}
}

// Colour is a matter of --color, then of NO_COLOR, then of the terminal.
func TestWhenToColour(t *testing.T) {
	for _, c := range []struct {
		flag          string
		tty           bool
		noColor, term string
		want          bool
	}{
		{"auto", true, "", "xterm", true},
		{"auto", false, "", "xterm", false},
		{"auto", true, "1", "xterm", false},
		{"auto", true, "", "dumb", false},
		{"always", false, "1", "dumb", true},
		{"never", true, "", "xterm", false},
	} {
		got := colored(c.flag, c.tty, func(name string) string { return map[string]string{"NO_COLOR": c.noColor, "TERM": c.term}[name] })
		if got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
