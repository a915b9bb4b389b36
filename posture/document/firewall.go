package document

import (
	"slices"
	"strings"

	"tidewaiter/posture"
)

// chain is one chain of a packet filter.
type chain struct {
	table, name  string
	hook, policy string // of a base chain
	rules        []rule
}

type rule struct {
	text    string
	refuses bool   // drops or rejects
	jump    string // the chain it goes on in
	bridge  string // the one interface that it comes from and goes to, or ""
}

// isPacketFilter tells the output of iptables-save and "nft list ruleset".
func isPacketFilter(text string) bool {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		return strings.HasPrefix(line, "*") && len(f) == 1 ||
			len(f) == 4 && f[0] == "table" && f[3] == "{"
	}
	return false
}

// PacketFilter reads the outputs of iptables-save and "nft list ruleset" of one
// host, in any order. The tables that iptables keeps in nftables are in both,
// and count once.
func PacketFilter(name, where string, texts ...string) posture.Firewall {
	f := posture.Firewall{Name: "packet filter of " + name, Where: where}
	var chains []chain
	for _, text := range texts {
		more := saved(text)
		if strings.HasPrefix(strings.TrimSpace(withoutComments(text)), "table ") {
			more = ruleset(text)
		}
		if len(texts) > 1 {
			more = slices.DeleteFunc(more, func(c chain) bool { return c.table == "ip filter" || c.table == "ip6 filter" })
		}
		chains = append(chains, more...)
	}
	for _, c := range chains {
		switch {
		case c.name == "DOCKER-USER":
			f.HasDockerUser = true
			for _, r := range c.rules {
				if r.refuses || refusing(chains, c.table, r.jump) {
					f.DockerUser = append(f.DockerUser, c.name+": "+r.text)
				}
			}
		case c.hook == "forward":
			f.Forward = append(f.Forward, forwarded(chains, c)...)
		case c.hook == "input":
			if c.policy == "drop" {
				f.InputPolicy = c.policy
			}
			for _, r := range c.rules {
				f.Input = append(f.Input, r.text)
			}
		}
	}
	return f
}

func withoutComments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// forwarded are the rules of a chain for forwarded packets that refuse some,
// but for those that Docker and Kubernetes make for themselves: jumps to their
// chains, the policy of the shared filter table, and icc=false.
func forwarded(chains []chain, c chain) []string {
	if strings.Contains(c.table, "docker") {
		return nil
	}
	var out []string
	if c.policy == "drop" && !slices.Contains([]string{"filter", "ip filter", "ip6 filter"}, c.table) {
		out = append(out, c.name+" of table "+c.table+": dropped by default")
	}
	for _, r := range c.rules {
		if r.bridge == "" && (r.refuses || refusing(chains, c.table, r.jump)) {
			out = append(out, c.name+": "+r.text)
		}
	}
	return out
}

// refusing reports whether a chain that somebody made refuses anything.
func refusing(chains []chain, table, name string) bool {
	for _, own := range []string{"DOCKER", "KUBE-", "cali-", "CILIUM_", "FLANNEL", "CNI-"} {
		if strings.HasPrefix(name, own) {
			return false
		}
	}
	return name != "" && slices.ContainsFunc(chains, func(c chain) bool {
		return c.table == table && c.name == name && slices.ContainsFunc(c.rules, func(r rule) bool { return r.refuses })
	})
}

// saved reads iptables-save(8).
func saved(text string) []chain {
	var out []chain
	table := ""
	at := func(name string) *chain {
		i := slices.IndexFunc(out, func(c chain) bool { return c.table == table && c.name == name })
		if i < 0 {
			out = append(out, chain{table: table, name: name})
			i = len(out) - 1
		}
		return &out[i]
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, ":") && len(f) > 1:
			c := at(f[0][1:])
			if hooks := map[string]string{"INPUT": "input", "FORWARD": "forward"}; table == "filter" && hooks[c.name] != "" {
				c.hook, c.policy = hooks[c.name], strings.ToLower(f[1])
			}
		case f[0] == "-A" && len(f) > 1 && table == "filter":
			c := at(f[1])
			r := rule{text: strings.Join(f[2:], " ")}
			in, out := after(f, "-i"), after(f, "-o")
			if in == out && !slices.Contains(f, "!") {
				r.bridge = in
			}
			switch target := after(f, "-j"); target {
			case "DROP", "REJECT":
				r.refuses = true
			case "ACCEPT", "RETURN", "LOG":
			default:
				r.jump = target
			}
			c.rules = append(c.rules, r)
		}
	}
	return out
}

// after is the word after a flag, or "".
func after(words []string, flag string) string {
	if i := slices.Index(words, flag); i >= 0 && i+1 < len(words) {
		return words[i+1]
	}
	return ""
}

// ruleset reads what nft(8) lists.
func ruleset(text string) []chain {
	var out []chain
	table, depth := "", 0
	var at *chain
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || strings.HasPrefix(line, "#"):
		case f[0] == "table" && len(f) > 2:
			table, depth = f[1]+" "+f[2], 1
		case f[0] == "chain" && len(f) > 1 && strings.HasSuffix(line, "{"):
			out = append(out, chain{table: table, name: f[1]})
			at = &out[len(out)-1]
			depth++
		case line == "}":
			if depth--; depth < 2 {
				at = nil
			}
		case strings.HasSuffix(line, "{"):
			depth++
		case at == nil || depth != 2:
		case f[0] == "type" && slices.Contains(f, "hook"):
			if f[1] == "filter" {
				at.hook = after(f, "hook")
				at.policy = strings.TrimSuffix(after(f, "policy"), ";")
			}
		default:
			r := rule{text: line, refuses: slices.Contains(f, "drop") || slices.Contains(f, "reject"), jump: after(f, "jump")}
			in, out := after(f, "iifname"), after(f, "oifname")
			if in == out {
				r.bridge = in
			}
			at.rules = append(at.rules, r)
		}
	}
	return out
}
