package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tidewaiter/posture"
)

// Daemon is what several places say about one Docker daemon; Engine puts them
// together. Fields that nobody filled say nothing.
type Daemon struct {
	// Name is what results call it.
	Name string
	// Args are the arguments of its process or unit, argv[0] left out.
	Args      []string
	ArgsWhere string
	// Config is the content of its daemon.json, Info what it answers to /info,
	// as JSON.
	Config      []byte
	ConfigWhere string
	Info        []byte
	InfoWhere   string
	// Listens are the addresses of a socket unit, from which it inherits.
	Listens      []string
	ListensWhere string
	Running      bool
	// Unread says why a part of its configuration could not be read, so that
	// what nobody stated is not known; "" if nothing is missing.
	Unread string
}

// config is what is read of a daemon.json, with dockerd's own names. A pointer
// tells "not stated" from false.
type config struct {
	Hosts       []string
	TLS         *bool
	TLSVerify   *bool
	ICC         *bool
	UsernsRemap *string `json:"userns-remap"`
	Mirrors     []string
	HTTPProxy   string
	HTTPSProxy  string
}

// configKeys are daemon.json's keys that tell it from other JSON.
var configKeys = []string{"hosts", "tls", "tlsverify", "tlscacert", "icc", "userns-remap", "registry-mirrors", "insecure-registries", "data-root",
	"exec-opts", "log-driver", "log-opts", "storage-driver", "live-restore", "userland-proxy", "bip", "iptables", "default-address-pools", "proxies",
	"authorization-plugins", "no-new-privileges", "experimental", "features", "dns", "debug", "containerd", "default-runtime", "runtimes"}

func readConfig(data []byte) (c config, err error) {
	var raw struct {
		Hosts     []string
		TLS       *bool    `json:"tls"`
		TLSVerify *bool    `json:"tlsverify"`
		ICC       *bool    `json:"icc"`
		Userns    *string  `json:"userns-remap"`
		Mirrors   []string `json:"registry-mirrors"`
		Proxies   struct {
			HTTP  string `json:"http-proxy"`
			HTTPS string `json:"https-proxy"`
		} `json:"proxies"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return c, fmt.Errorf("read as daemon.json: %w", err)
	}
	return config{Hosts: raw.Hosts, TLS: raw.TLS, TLSVerify: raw.TLSVerify, ICC: raw.ICC, UsernsRemap: raw.Userns,
		Mirrors: raw.Mirrors, HTTPProxy: raw.Proxies.HTTP, HTTPSProxy: raw.Proxies.HTTPS}, nil
}

// readArgs reads dockerd's arguments, as its flag library does: a flag and its
// value, with = or as two words; booleans with = alone.
func readArgs(args []string) (c config, file string) {
	yes := func(v string, has bool) *bool {
		b := !has || slices.Contains([]string{"true", "1", "t", "T", "TRUE", "True"}, v)
		return &b
	}
	for i := 0; i < len(args); i++ {
		flag, value, has := strings.Cut(args[i], "=")
		if len(flag) > 2 && flag[0] == '-' && flag[1] != '-' && flag[1] == 'H' {
			flag, value, has = "-H", strings.TrimPrefix(args[i][2:], "="), true
		}
		next := func() string {
			if !has && i+1 < len(args) {
				i++
				return args[i]
			}
			return value
		}
		switch flag {
		case "-H", "--host":
			c.Hosts = append(c.Hosts, next())
		case "--tls":
			c.TLS = yes(value, has)
		case "--tlsverify":
			c.TLSVerify = yes(value, has)
		case "--icc":
			c.ICC = yes(value, has)
		case "--userns-remap":
			v := next()
			c.UsernsRemap = &v
		case "--registry-mirror":
			c.Mirrors = append(c.Mirrors, next())
		case "--http-proxy":
			c.HTTPProxy = next()
		case "--https-proxy":
			c.HTTPSProxy = next()
		case "--config-file":
			file = next()
		}
	}
	return c, file
}

// ConfigFile is the configuration file that dockerd's arguments name, or its
// default.
func ConfigFile(args []string) string {
	if _, file := readArgs(args); file != "" {
		return file
	}
	return "/etc/docker/daemon.json"
}

// info is what is read of the answer to /info.
type info struct {
	ServerVersion   string
	Warnings        []string
	SecurityOptions []string
	HTTPProxy       string `json:"HttpProxy"`
	HTTPSProxy      string `json:"HttpsProxy"`
	RegistryConfig  *struct{ Mirrors []string }
}

// Engine puts together what is known. The gaps say what could not be read of
// it.
func (d *Daemon) Engine() (posture.Engine, []posture.Gap) {
	e := posture.Engine{Name: d.Name, Running: d.Running}
	var gaps []posture.Gap
	gap := func(where string, err error) {
		gaps = append(gaps, posture.Gap{Topic: posture.TopicAPI, Where: where, Why: err.Error()})
	}
	var stated []statement
	if d.ArgsWhere != "" {
		c, _ := readArgs(d.Args)
		stated = append(stated, statement{c, d.ArgsWhere})
	}
	if d.ConfigWhere != "" {
		c, err := readConfig(d.Config)
		if err != nil {
			gap(d.ConfigWhere, err)
		} else {
			stated = append(stated, statement{c, d.ConfigWhere})
		}
	}
	tls, verify := secured(stated, d.Unread == "")
	for _, s := range stated {
		for _, h := range s.Hosts {
			e.Listeners = append(e.Listeners, listener(h, s.where, tls, verify))
		}
		set(&e, s)
	}
	for _, l := range d.Listens {
		e.Listeners = append(e.Listeners, listener(l, d.ListensWhere, tls, verify))
	}
	if len(e.Listeners) == 0 && len(stated) > 0 {
		e.Listeners = []posture.Listener{{Network: "unix", Addr: "/var/run/docker.sock", Where: stated[0].where + " (the default)"}}
	}
	if d.InfoWhere != "" {
		if err := d.told(&e); err != nil {
			gap(d.InfoWhere, err)
		}
	}
	if d.Unread == "" {
		defaults(&e, stated)
	}
	return e, gaps
}

// statement is what one place says.
type statement struct {
	config
	where string
}

// secured tells whether TCP is served with TLS and client verification, from
// all places together: --tlsverify means TLS, and neither stated means plain.
func secured(all []statement, whole bool) (tls, verify posture.Said[bool]) {
	var where []string
	for _, s := range all {
		where = append(where, s.where)
		if s.TLS != nil {
			tls = posture.Said[bool]{Value: *s.TLS, Where: s.where}
		}
	}
	for _, s := range all {
		if s.TLSVerify != nil {
			verify = posture.Said[bool]{Value: *s.TLSVerify, Where: s.where}
			if *s.TLSVerify {
				tls = verify
			}
		}
	}
	said := strings.Join(where, ", ")
	if !whole {
		return tls, verify
	}
	if !tls.Known() {
		tls.Where = said
	}
	if !verify.Known() {
		verify.Where = said
	}
	return tls, verify
}

// listener reads an address as dockerd's -H takes it
// (docs.docker.com, dockerd, "Daemon socket option").
func listener(host, where string, tls, verify posture.Said[bool]) posture.Listener {
	scheme, addr, has := strings.Cut(host, "://")
	if !has {
		scheme, addr = "tcp", host
		if strings.HasPrefix(host, "/") {
			scheme = "unix"
		}
	}
	l := posture.Listener{Network: scheme, Addr: addr, Where: where}
	if scheme != "tcp" {
		return l
	}
	if cut := strings.IndexByte(l.Addr, '/'); cut >= 0 {
		l.Addr = l.Addr[:cut]
	}
	port := "2375"
	if tls.Value {
		port = "2376"
	}
	switch i := strings.LastIndexByte(l.Addr, ':'); {
	case l.Addr == "":
		l.Addr = "127.0.0.1:" + port
	case i < 0 || strings.HasSuffix(l.Addr, "]"):
		l.Addr += ":" + port
	case i == len(l.Addr)-1:
		l.Addr += port
	case i == 0 && strings.Count(l.Addr, ":") == 1:
		l.Addr = "127.0.0.1" + l.Addr // dockerd takes tcp://:2375 as its default host
	}
	l.TLS, l.Verify = tls, verify
	if tls.Known() && !tls.Value {
		l.Verify.Value = false
	}
	return l
}

// set takes over what is neither listener nor TLS.
func set(e *posture.Engine, s statement) {
	if s.ICC != nil {
		e.ICC = posture.Said[bool]{Value: *s.ICC, Where: s.where}
	}
	if s.UsernsRemap != nil {
		e.Userns = posture.Said[string]{Value: *s.UsernsRemap, Where: s.where}
		if *s.UsernsRemap != "" {
			e.Userns.Value = "userns-remap " + *s.UsernsRemap
		}
	}
	if p := proxy(s.HTTPProxy, s.HTTPSProxy, s.Mirrors); p != "" {
		e.Proxy = posture.Said[string]{Value: p, Where: s.where}
	}
}

// defaults fill in what dockerd does when nobody states anything, if its
// arguments or its file were read.
func defaults(e *posture.Engine, stated []statement) {
	if len(stated) == 0 {
		return
	}
	where := stated[len(stated)-1].where + " (the default)"
	if !e.ICC.Known() {
		e.ICC = posture.Said[bool]{Value: true, Where: where}
	}
	if !e.Userns.Known() {
		e.Userns.Where = where
	}
	// A proxy may come from the environment, which only the daemon itself tells.
	if !e.Proxy.Known() && !e.Running {
		e.Proxy.Where = where
	}
}

func proxy(http, https string, mirrors []string) string {
	for _, p := range []string{https, http} {
		if p != "" {
			return "proxy " + withoutPassword(p)
		}
	}
	if len(mirrors) > 0 {
		return "mirror " + withoutPassword(mirrors[0])
	}
	return ""
}

// withoutPassword keeps credentials of a proxy's address out of reports.
func withoutPassword(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.User == nil {
		return s
	}
	u.User = nil
	return u.String()
}

// told takes over what the daemon says of itself. Its warnings name each
// address that it serves without TLS, or without asking for certificates
// (moby, daemon/info.go).
func (d *Daemon) told(e *posture.Engine) error {
	var in info
	if err := json.Unmarshal(d.Info, &in); err != nil {
		return fmt.Errorf("read as the answer to /info: %w", err)
	}
	if in.ServerVersion == "" {
		return errors.New("the client answered without a server: no ServerVersion")
	}
	warned := false
	for _, w := range in.Warnings {
		_, rest, found := strings.Cut(w, "API is accessible on ")
		if !found {
			continue
		}
		words := strings.Fields(rest)
		if len(words) == 0 {
			continue
		}
		warned = true
		scheme, addr, _ := strings.Cut(strings.TrimSuffix(words[0], "."), "://")
		said := posture.Said[bool]{Where: d.InfoWhere}
		l := posture.Listener{Network: "tcp", Addr: addr, Where: d.InfoWhere, TLS: said, Verify: said}
		l.TLS.Value = scheme == "https"
		i := slices.IndexFunc(e.Listeners, func(o posture.Listener) bool { return o.Network == "tcp" && o.Addr == addr })
		if i < 0 {
			e.Listeners = append(e.Listeners, l)
			continue
		}
		o := &e.Listeners[i]
		o.Where, o.TLS, o.Verify = o.Where+"; "+d.InfoWhere, l.TLS, l.Verify
	}
	e.Userns = posture.Said[string]{Where: d.InfoWhere}
	for _, o := range in.SecurityOptions {
		name := strings.TrimPrefix(o, "name=")
		if name == "userns" || name == "rootless" {
			e.Userns.Value = map[string]string{"userns": "userns-remap", "rootless": "rootless"}[name]
		}
	}
	var mirrors []string
	if in.RegistryConfig != nil {
		mirrors = in.RegistryConfig.Mirrors
	}
	e.Proxy = posture.Said[string]{Value: proxy(in.HTTPProxy, in.HTTPSProxy, mirrors), Where: d.InfoWhere}
	e.Warns = posture.Said[bool]{Value: warned, Where: d.InfoWhere}
	return nil
}

// textInfo reads what "docker info" prints for people as the JSON that it would
// have been.
func textInfo(data []byte) ([]byte, error) {
	var in struct {
		ServerVersion         string
		Warnings              []string
		SecurityOptions       []string
		HttpProxy, HttpsProxy string
		RegistryConfig        struct{ Mirrors []string }
	}
	section := ""
	for line := range strings.Lines(string(data)) {
		t := strings.TrimSpace(line)
		key, value, _ := strings.Cut(t, ": ")
		if strings.HasSuffix(t, ":") {
			section = strings.TrimSuffix(t, ":")
			continue
		}
		switch {
		case strings.HasPrefix(t, "WARNING: "):
			in.Warnings = append(in.Warnings, t)
		case key == "Server Version":
			in.ServerVersion = value
		case key == "HTTP Proxy":
			in.HttpProxy = value
		case key == "HTTPS Proxy":
			in.HttpsProxy = value
		case section == "Security Options" && !strings.Contains(t, ":"):
			in.SecurityOptions = append(in.SecurityOptions, "name="+t)
		case section == "Registry Mirrors" && strings.Contains(t, "://"):
			in.RegistryConfig.Mirrors = append(in.RegistryConfig.Mirrors, t)
		}
	}
	return json.Marshal(in)
}

// unitCommands gives the commands of a systemd unit, the last ExecStart= each,
// as words; an empty ExecStart= forgets those before
// (systemd.service(5), systemd.syntax(7)).
func unitCommands(data string) (commands [][]string, listens []string) {
	data = strings.ReplaceAll(data, "\\\n", " ")
	for line := range strings.Lines(data) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "ExecStart":
			if value == "" {
				commands = nil
				continue
			}
			commands = append(commands, words(strings.TrimLeft(value, "@-:+!")))
		case "ListenStream":
			switch {
			case value == "":
				listens = nil
			case strings.HasPrefix(value, "/"):
				listens = append(listens, "unix://"+value)
			default:
				if _, err := strconv.Atoi(value); err == nil {
					value = "0.0.0.0:" + value
				}
				listens = append(listens, "tcp://"+value)
			}
		}
	}
	return commands, listens
}

// words splits a command of a unit; quotes keep blanks.
func words(s string) []string {
	var out []string
	var b strings.Builder
	quote, in := rune(0), false
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			b.WriteRune(r)
		case r == '"' || r == '\'':
			quote, in = r, true
		case r == ' ' || r == '\t':
			if in {
				out = append(out, b.String())
			}
			b.Reset()
			in = false
		default:
			in = true
			b.WriteRune(r)
		}
	}
	if in {
		out = append(out, b.String())
	}
	return out
}
