package document

import (
	"encoding/json"
	"strconv"
	"strings"

	"tidewaiter/posture"
)

// KubeletParts are what is known of one kubelet; each part may be absent, its
// place "" then.
type KubeletParts struct {
	Name string
	// Args are its arguments, argv[0] left out.
	Args      []string
	ArgsWhere string
	// Config is its KubeletConfiguration, as JSON.
	Config      []byte
	ConfigWhere string
}

// Kubelet puts the parts together. Arguments win over the file. What neither
// states has the default of the file's API if there is a file
// (kubelet.config.k8s.io/v1beta1), else that of the flags.
func (p KubeletParts) Kubelet() posture.Kubelet {
	k := posture.Kubelet{Name: p.Name}
	args, argsWhere, config, configWhere := p.Args, p.ArgsWhere, p.Config, p.ConfigWhere
	_, hasFile := flagOf(args, "config")
	if argsWhere != "" && !hasFile {
		def := argsWhere + " (the default of the flags)"
		k.Anonymous = posture.Said[bool]{Value: true, Where: def}
		k.Authorization = posture.Said[string]{Value: "AlwaysAllow", Where: def}
		k.ReadOnlyPort = posture.Said[int]{Value: 10255, Where: def}
	}
	var in struct {
		Authentication struct{ Anonymous struct{ Enabled bool } }
		Authorization  struct{ Mode string }
		ReadOnlyPort   int
	}
	if configWhere != "" && json.Unmarshal(config, &in) == nil {
		if in.Authorization.Mode == "" {
			in.Authorization.Mode = "Webhook"
		}
		k.Anonymous = posture.Said[bool]{Value: in.Authentication.Anonymous.Enabled, Where: configWhere}
		k.Authorization = posture.Said[string]{Value: in.Authorization.Mode, Where: configWhere}
		k.ReadOnlyPort = posture.Said[int]{Value: in.ReadOnlyPort, Where: configWhere}
	}
	if v, ok := flagOf(args, "anonymous-auth"); ok {
		k.Anonymous = posture.Said[bool]{Value: v != "false", Where: argsWhere}
	}
	if v, ok := flagOf(args, "authorization-mode"); ok {
		k.Authorization = posture.Said[string]{Value: v, Where: argsWhere}
	}
	if v, ok := flagOf(args, "read-only-port"); ok {
		if n, err := strconv.Atoi(v); err == nil {
			k.ReadOnlyPort = posture.Said[int]{Value: n, Where: argsWhere}
		}
	}
	return k
}

// KubeletConfigFile is the configuration file that a kubelet's arguments name,
// or "".
func KubeletConfigFile(args []string) string {
	v, _ := flagOf(args, "config")
	return v
}

// flagOf is the value of a flag, written with = or as two words.
func flagOf(args []string, name string) (string, bool) {
	for i, a := range args {
		flag, value, has := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if flag != name || !strings.HasPrefix(a, "-") {
			continue
		}
		if !has && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			return args[i+1], true
		}
		return value, true
	}
	return "", false
}

// ConfigJSON gives a YAML or JSON document as JSON.
func ConfigJSON(data []byte) ([]byte, error) {
	if len(strings.TrimSpace(string(data))) == 0 {
		return []byte("{}"), nil
	}
	all, err := decode(data)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return []byte("{}"), nil
	}
	return all[0], nil
}
