package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

const redacted = "<redacted>"

// redact gives an answer of the engine on one line without what may be secret:
// values of environment variables and build arguments, and options of log and
// volume drivers. Labels and command lines are kept: they are what a hunt
// reads. instead replaces values at the top.
func redact(answer []byte, instead map[string]any) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(answer))
	d.UseNumber() // sizes do not fit a float
	var top map[string]any
	if err := d.Decode(&top); err != nil {
		return nil, fmt.Errorf("answer of the Docker Engine: %w", err)
	}
	for k, v := range instead {
		top[k] = v
	}
	redactObject(top)
	return json.Marshal(top)
}

func redactObject(o map[string]any) {
	// What the classic builder ran the last step with, and no hunt reads: its
	// build arguments are in it.
	delete(o, "ContainerConfig")
	for k, v := range o {
		switch k {
		case "Labels":
		case "Env":
			redactEnv(v)
		case "Cmd", "Args", "Entrypoint":
			redactBuildArguments(v)
		case "LogConfig":
			redactOptions(v, "Config")
		case "DriverConfig":
			redactOptions(v, "Options")
		default:
			redactValue(v)
		}
	}
}

func redactValue(v any) {
	switch v := v.(type) {
	case map[string]any:
		redactObject(v)
	case []any:
		for _, e := range v {
			redactValue(e)
		}
	}
}

// redactEnv keeps the names.
func redactEnv(v any) {
	list, _ := v.([]any)
	for i, e := range list {
		s, _ := e.(string)
		if name, _, has := strings.Cut(s, "="); has {
			list[i] = name + "=" + redacted
		}
	}
}

// redactBuildArguments redacts what the classic builder puts before a command:
// "|2", and two arguments as NAME=value (moby, daemon/builder/dockerfile).
func redactBuildArguments(v any) {
	list, _ := v.([]any)
	if len(list) == 0 {
		return
	}
	first, _ := list[0].(string)
	count, found := strings.CutPrefix(first, "|")
	n, err := strconv.Atoi(count)
	if found && err == nil {
		redactEnv(list[1:min(max(n, 0)+1, len(list))])
	}
}

// redactOptions redacts every value of an object's object.
func redactOptions(v any, key string) {
	o, _ := v.(map[string]any)
	options, _ := o[key].(map[string]any)
	for k := range options {
		options[k] = redacted
	}
}
