package guest

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"tidewaiter/event"
)

// maxConfig bounds the YAML that is read: EC2 takes 16 KiB, Google 256.
const maxConfig = 1 << 20

// cloudConfig reads what a cloud-config runs, fetches, writes and installs
// (docs.cloud-init.io, "Module reference").
func cloudConfig(b *event.GuestScript, text []byte) error {
	if len(text) > maxConfig {
		return fmt.Errorf("cloud-config of %d bytes, at most %d are read", len(text), maxConfig)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("cloud-config: %w", err)
	}
	for _, key := range []string{"bootcmd", "runcmd"} {
		for _, c := range list(doc[key]) {
			b.Commands = addCommand(b.Commands, commandOf(c))
		}
	}
	if snap, ok := doc["snap"].(map[string]any); ok {
		for _, c := range values(snap["commands"]) {
			b.Commands = addCommand(b.Commands, commandOf(c))
		}
	}
	for _, p := range list(doc["packages"]) {
		name := p
		if parts := list(p); len(parts) > 0 { // a name with its version
			name = parts[0]
		}
		if s, ok := name.(string); ok && len(b.Packages) < maxCommands {
			b.Packages = append(b.Packages, s)
		}
	}
	for _, f := range list(doc["write_files"]) {
		file, _ := f.(map[string]any) // of another type it says nothing
		if path, ok := file["path"].(string); ok && len(b.Writes) < maxCommands {
			b.Writes = append(b.Writes, path)
		}
		if from, ok := file["source"].(map[string]any); ok {
			download(b, from["uri"])
		}
	}
	if repos, ok := doc["yum_repos"].(map[string]any); ok {
		for _, r := range values(repos) {
			repo, _ := r.(map[string]any) // of another type it says nothing
			download(b, repo["baseurl"])
		}
	}
	if apt, ok := doc["apt"].(map[string]any); ok {
		for _, r := range values(apt["sources"]) {
			repo, _ := r.(map[string]any) // of another type it says nothing
			download(b, addresses.FindString(fmt.Sprint(repo["source"])))
		}
	}
	if home, ok := doc["phone_home"].(map[string]any); ok {
		download(b, home["url"])
	}
	return nil
}

// download adds an address that the agent itself asks.
func download(b *event.GuestScript, v any) {
	if s, ok := v.(string); ok && s != "" && len(b.Downloads) < maxCommands {
		b.Downloads = append(b.Downloads, redact(s))
	}
}

// commandOf is one command: a line for a shell, or a list of arguments.
func commandOf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	var args []string
	for _, a := range list(v) {
		args = append(args, fmt.Sprint(a))
	}
	return quoteArgs(args)
}

// list is a list's elements, nil of anything else.
func list(v any) []any {
	l, _ := v.([]any) // nil of another type
	return l
}

// values are the elements of a list, or of an object in the order of its keys.
func values(v any) []any {
	m, ok := v.(map[string]any)
	if !ok {
		return list(v)
	}
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var out []any
	for _, k := range keys {
		out = append(out, m[k])
	}
	return out
}

// archive reads a cloud-config archive: a list of parts.
func (u *unpacker) archive(text []byte, about *event.GuestScript, depth int) error {
	if len(text) > maxConfig {
		return fmt.Errorf("cloud-config of %d bytes, at most %d are read", len(text), maxConfig)
	}
	var doc []any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("cloud-config archive: %w", err)
	}
	for _, item := range doc {
		b := partOf(about, "", "", len(u.parts))
		content, _ := item.(string) // or an object that has it
		if part, ok := item.(map[string]any); ok {
			content, _ = part["content"].(string)
			b.Type, _ = part["type"].(string)
			if name, ok := part["filename"].(string); ok {
				b.Name = name
			}
		}
		if u.room -= len(content); u.room < 0 {
			return errUnpacked
		}
		if b.Type == "" && kindOf([]byte(strings.TrimSpace(content)+"\n")) == "" {
			b.Type = "text/plain"
		}
		if err := u.part([]byte(content), b, depth+1); err != nil {
			return err
		}
	}
	return nil
}
