package policy

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Example writes a policy to begin with: what most sites must say, and every
// other setting with its default behind a comment sign.
func Example(v *Vocabulary) string {
	var b strings.Builder
	b.WriteString(exampleHead)
	for _, s := range v.Settings {
		if !slices.Contains([]string{"registries", "approved_destinations"}, s.Name) {
			comment(&b, "  ", s.Doc)
			offer(&b, "  ", s)
		}
	}
	b.WriteString("\n  # The analytics' own tunables, by MITRE's names.\n")
	for _, id := range slices.Sorted(maps.Keys(v.Analytics)) {
		fmt.Fprintf(&b, "  #%s:\n", id)
		for _, t := range v.Analytics[id] {
			if t.Bound != "" {
				t.Doc += " Overrides " + t.Bound + " for " + id + " alone."
			}
			comment(&b, "    ", t.Doc)
			offer(&b, "    ", t.Setting)
		}
	}
	b.WriteString(exampleScopes)
	return b.String()
}

const exampleHead = `# A policy for tidewaiter: what this site trusts, by scope. Check it with
# "tidewaiter policy check FILE"; "tidewaiter policy schema" helps editors.
#
# A line such as "#name: value" is a setting and its default: take the comment
# sign away to change it. A "+" behind the name of a list ("name+") adds to the
# list instead of replacing it.
version: 1

# Networks that are yours although they are publicly routable, and networks
# that count as public although they are reserved.
addresses:
  internal: []
  public: []

# A MaxMind DB file that tells autonomous systems by address, such as
# GeoLite2-ASN.mmdb, from this file's folder. With one, destinations can be
# named as AS64500, and findings tell where connections went:
# asn_database: GeoLite2-ASN.mmdb

# How long memory must have been filled before "never seen" counts.
learning: 7d

# What counts as one destination for "never seen", where single addresses are too
# fine: networks of so many bits, or autonomous systems.
# first_seen: {ipv4: 24, ipv6: 48, asn: true}

# Registries, or paths below them, that serve another's images. What is approved
# by the other's name is approved there, too.
# mirrors: {mirror.example.com/docker-hub: docker.io}

# How long after it was written a source's record can still be delivered, where
# that differs from what is usual. What rests on "nobody said so" is provisional
# until then.
# lateness: {k8s.audit: 10m, zeek: 15m}

# The scope of everything that no scope claims.
default_scope: production

# What holds everywhere unless a scope says otherwise.
settings:
`

const exampleScopes = `
# Parts of the site with their own settings. Every setting above can stand
# here too.
scopes:
  production:
    # What belongs here: by Kubernetes namespace, host, node, cluster or cloud
    # account. "*" stands for any characters. A namespace decides before a
    # host, a host before a node, and so on; an exact name before a pattern.
    match:
      namespaces: []
      hosts: ["prod-*"]

    # Registries and repositories whose images may run here. "*" at the end
    # stands for everything below. Hosts are compared exactly.
    registries:
      - registry.example.com/*

    # Where workloads may connect to. Without this list no destination is
    # called unapproved.
    approved_destinations:
      - 10.0.0.0/8
      - 172.16.0.0/12
      - 192.168.0.0/16
      - "*.example.com"

  # A scope can take over another's settings and change some.
  staging:
    match:
      hosts: ["staging-*"]
    inherits: production
    registries+: [registry.example.com:5000/*]
`

// Reference describes every setting and tunable, in Markdown.
func Reference(v *Vocabulary) string {
	var b strings.Builder
	b.WriteString("## Settings\n\nThey stand below `settings`, where they hold everywhere, or in a scope.\n")
	for _, s := range v.Settings {
		describe(&b, "###", s, "")
	}
	b.WriteString("\n## Tunables\n\nThey stand below the analytic's id, in `settings` or in a scope.\n")
	for _, id := range slices.Sorted(maps.Keys(v.Analytics)) {
		fmt.Fprintf(&b, "\n### %s\n", id)
		if len(v.Analytics[id]) == 0 {
			b.WriteString("\nIt has none.\n")
		}
		for _, t := range v.Analytics[id] {
			describe(&b, "####", t.Setting, t.Bound)
		}
	}
	b.WriteString("\n## Types\n")
	for _, t := range Types() {
		fmt.Fprintf(&b, "\n**%s.** %s\n", t, t.doc())
	}
	return b.String()
}

func describe(b *strings.Builder, heading string, s Setting, bound string) {
	fmt.Fprintf(b, "\n%s `%s`\n\n%s\n\n", heading, s.Name, s.Doc)
	switch {
	case bound != "":
		fmt.Fprintf(b, "Type: %s. Overrides `%s` for this analytic alone.\n", s.Type, bound)
	case !s.IsSet:
		fmt.Fprintf(b, "Type: %s. Unset by default.\n", s.Type)
	default:
		fmt.Fprintf(b, "Type: %s. Default: `%s`.\n", s.Type, s.written())
	}
}

// doc says how a value of the type is written.
func (t Type) doc() string {
	switch t {
	case Images:
		return "A list of image patterns: an exact registry host, and a path compared part by part, in which `*` stands for one part or, at the end, for one or more. " +
			"`registry.example/*` is all of a registry, `docker.io/library/nginx` one repository, `nginx@sha256:…` one artefact. " +
			"A host takes no `*`, and a pattern no tag, because an attacker chooses both."
	case Releases:
		return "A list of published images, `repository:tag@sha256:…`: what the tag means by the word of whoever released it."
	case Publishers:
		return "A list of `REPOSITORY by IDENTITY`, such as `registry.example/team/* by ci-builder`: an image pattern, and the identity that the registry tells for a push, in which `*` stands for any characters."
	case VMImages:
		return "A list of images of virtual machines: `image:ami-…` or another id, in which `*` stands for any characters, `owner:ACCOUNT` or an alias that the cloud vouches for (`owner:amazon`), " +
			"`project:debian-cloud`, `publisher:Canonical`, `gallery:NAME` of any of your subscriptions or `gallery:/subscriptions/…` of one, `product:CODE` or `plan:publisher/product/name` of a marketplace. " +
			"Never a name: anybody can give an image any name."
	case Names:
		return "A list of program names, compared without path, letter case and `.exe`. `*` stands for any characters."
	case Destinations:
		return "A list of networks (`10.0.0.0/8`), addresses, autonomous systems (`AS64500`, by the policy's `asn_database`), and domain names. " +
			"`example.com` is that name alone, `\"*.example.com\"` all names below it."
	case Patterns:
		return "A list of texts in which `*` stands for any characters. Letter case counts."
	case Ports:
		return "A list of port numbers and ranges (`3333-3336`)."
	case Duration:
		return "A length of time: `15m`, `1h30m`, `7d`, `1d12h`. A day has 24 hours."
	case Number:
		return "A number, such as `0.85`."
	case Flag:
		return "`true` or `false`."
	}
	return ""
}

// width is how long the lines of an example are.
const width = 90

// comment writes a text as comment lines, "# " and words.
func comment(b *strings.Builder, indent, text string) {
	for _, line := range wrap(strings.Fields(text), " ", width-len(indent)-2) {
		fmt.Fprintf(b, "%s# %s\n", indent, line)
	}
}

// offer writes a setting with its default behind a comment sign, such that it
// holds when all the signs are taken away.
func offer(b *strings.Builder, indent string, s Setting) {
	value := cmp.Or(s.written(), s.Type.sample())
	for i, line := range wrap(strings.SplitAfter(s.Name+": "+value, ", "), "", width-len(indent)-5) {
		if i > 0 {
			line = "    " + line
		}
		fmt.Fprintf(b, "%s#%s\n", indent, strings.TrimRight(line, " "))
	}
}

// sample is a value to begin with where there is no default.
func (t Type) sample() string {
	switch t {
	case Duration:
		return "1h"
	case Number:
		return "1"
	case Flag:
		return "false"
	}
	return "[]"
}

// wrap joins words to lines of about that many bytes.
func wrap(words []string, blank string, limit int) []string {
	var lines []string
	for _, w := range words {
		last := len(lines) - 1
		if last >= 0 && len(lines[last])+len(blank)+len(w) <= limit {
			lines[last] += blank + w
		} else {
			lines = append(lines, w)
		}
	}
	return lines
}

// written is a setting's default as a policy would say it, "" if it has none.
func (s Setting) written() string {
	switch {
	case !s.IsSet:
		return ""
	case !s.Type.IsList():
		return strings.Join(s.Default, "")
	}
	entries := make([]string, len(s.Default))
	for i, d := range s.Default {
		entries[i] = d
		if s.Type != Ports && (!plainText.MatchString(d) || notText.MatchString(d)) {
			entries[i] = strconv.Quote(d)
		}
	}
	return "[" + strings.Join(entries, ", ") + "]"
}

// What YAML takes for text without quotes, by the strictest reading, and the
// words in it that are something else to one version of YAML or another.
var (
	plainText = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]*$`)
	notText   = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null)$`)
)
