package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tidewaiter/posture"
	"tidewaiter/posture/document"
	"tidewaiter/posture/host"
	"tidewaiter/posture/print"
	"tidewaiter/sink/text"
	"tidewaiter/source"
	"tidewaiter/source/auditd"
	"tidewaiter/visible"
)

// postureFlags are the flags of posture.
type postureFlags struct {
	images         []string
	badHashes      []string
	yara           []string
	trust          string
	bundles        []string
	layers         bool
	policy, output string
	host, color    string
	maxAge         string
	verbose        bool

	paths []string
}

// postureOutputs are the forms that results are printed in.
var postureOutputs = []string{"table", "json", "sarif", "junit"}

// postureHelp is what the command says of itself.
const postureHelp = `Check the mitigations that ATT&CK names against malicious images. Each check says
pass, fail, or why it could not look; where it read that; which analytic a failure
blinds or inflames; the number in the CIS benchmarks; and how to mend it.

  M1035  who reaches the Docker API, its sockets, the kubelet, the Kubernetes API
  M1026  root, privileges, capabilities, host namespaces, mounts, user namespaces,
         Pod Security labels, and what admission refuses
  M1030  bridges, NetworkPolicies, packet filters, proxies
  M1047  origin, age, allow-list, signatures, provenance, history, layers of images

Without files it looks at this host: dockerd's arguments, the sockets of its own
network namespace, daemon.json, the packet filter, and what the API tells over its
local socket. Every request only reads. As another user than root it sees less, and
says what.

With files, or images, it looks at these alone. Files are told apart by content, and
all of one run are taken to be of one host or cluster: daemon.json, docker.service
and docker.socket; what docker info, docker inspect, docker image inspect and docker
network inspect print; pods and what makes pods, namespaces, NetworkPolicies,
ValidatingAdmissionPolicies with their bindings and Kyverno's policies, as manifests
or as "kubectl get -o yaml" (or json) prints them; a KubeletConfiguration; what
iptables-save and "nft list ruleset" print; Linux audit logs.

--image opens images: a "docker save" archive, an OCI layout, or by name those of
the local daemon (docker://NAME or just NAME), of containerd (containerd://NAME, by
its client ctr) and of a registry (registry://NAME; nothing else connects anywhere).
--layers opens all that are in use. Archives are read as a stream with bounds, and
not unpacked. --bad-hashes compares every file with lists of SHA-256, SHA-1 or MD5
sums. --yara looks into every file by YARA rules; the program yara does so, which
must be installed. What it is to look at lies in a private folder below $TMPDIR
meanwhile, under numbers instead of its names, 256 MiB at a time; of a file longer
than that it sees the beginning.

--trust names a YAML file that pins who may sign: version: 1, trusted_root (a
Sigstore trusted_root.json, as no one is asked), identities (issuer, subject or
subject_pattern, images) and builders. A valid signature or SLSA provenance counts
for an image, an invalid one against it, none neither way. Sigstore bundles are
found in an OCI layout and in a registry; --bundle names others.

Exit status: 0 if no check fails; 1 if something named could not be read; 2 for
misuse; 3 if a check fails.`

func newPosture() *cobra.Command {
	var f postureFlags
	c := &cobra.Command{
		Use:   "posture [flags] [FILE|FOLDER…]",
		Short: "Check how this host, cluster and its images are set up",
		Long:  postureHelp,
		Example: `  # This host, as root
  tidewaiter posture

  # Another host's files, for a CI system or a code scanner
  tidewaiter posture -o junit daemon.json docker.service inspect.json > posture.xml
  tidewaiter posture -o sarif manifests/ > posture.sarif

  # Images: what is in them, who signed them, and what runs here with its layers
  tidewaiter posture --image app.tar --image nginx:1.27 --bad-hashes bad.sha256
  tidewaiter posture --image app.tar --yara rules.yar
  tidewaiter posture --image ./layout --trust trust.yaml --policy policy.yaml
  tidewaiter posture --layers

  # A cluster
  kubectl get pods,namespaces,networkpolicies -A -o yaml > cluster.yaml
  tidewaiter posture cluster.yaml policies.yaml`,
		RunE: func(c *cobra.Command, args []string) error {
			f.paths = args
			return checkPosture(c, f)
		},
	}
	fl := c.Flags()
	fl.StringArrayVar(&f.images, "image", nil, "open `IMAGE`: an archive, an OCI layout, or a name (repeatable)")
	fl.BoolVar(&f.layers, "layers", false, "open the layers of every image in use on this host")
	fl.StringArrayVar(&f.badHashes, "bad-hashes", nil, "`FILE` with hashes of known-bad content (repeatable)")
	fl.StringArrayVar(&f.yara, "yara", nil, "`FILE` with YARA rules of known-bad content (repeatable)")
	fl.StringVar(&f.trust, "trust", "", "`FILE` that pins the root and identities of signatures")
	fl.StringArrayVar(&f.bundles, "bundle", nil, "`FILE` with a Sigstore bundle about one of the images (repeatable)")
	fl.StringVar(&f.policy, "policy", "", "policy `FILE`: what is trusted, and what counts as dangerous")
	fl.StringVarP(&f.output, "output", "o", "table", "`FORM` of results: "+strings.Join(postureOutputs, ", "))
	fl.StringVar(&f.host, "host", "", "`NAME` of the host, for the policy's scopes; this host's own if it is looked at")
	fl.StringVar(&f.maxAge, "max-age", "180d", "`AGE` from which an image counts as old, in days or as Go writes durations")
	fl.StringVar(&f.color, "color", "auto", colorUsage)
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "list all evidence, also of what passes")
	completeFlags(c, map[string][]string{"output": postureOutputs, "color": colors})
	completeFiles(c, "policy", "yaml", "yml")
	completeFiles(c, "trust", "yaml", "yml")
	return c
}

// checkPosture gathers, judges and prints.
func checkPosture(c *cobra.Command, f postureFlags) error {
	if err := errors.Join(oneOf("--output", f.output, postureOutputs), oneOf("--color", f.color, colors)); err != nil {
		return misused("%w", err)
	}
	if f.layers && len(f.paths)+len(f.images) > 0 {
		return misused("--layers opens what is in use on this host; with files or --image there is no such thing")
	}
	age, err := days(f.maxAge)
	if err != nil {
		return misused("--max-age: %w", err)
	}
	_, p, err := loadContent(f.policy)
	if err != nil {
		return failed(err)
	}
	ctx, done := cancelled(c.ErrOrStderr(), "interrupted: what was not looked at is told as such; once more ends at once")
	defer done()
	facts := &posture.Facts{}
	var sockets []string
	if len(f.paths)+len(f.images) == 0 {
		sockets = host.Gather(ctx, facts, host.Options{})
		if name, err := os.Hostname(); f.host == "" && err == nil {
			f.host = name
		}
	}
	files := &document.Reader{Facts: facts, Formats: []*source.Format{auditd.Format(), auditd.Laurel()}}
	for _, path := range f.paths {
		files.Path(path)
	}
	files.Finish()
	a, err := newAuditor(ctx, f, facts, sockets)
	if err != nil {
		return failed(err)
	}
	if f.layers {
		a.inUse()
	}
	for _, name := range f.images {
		a.open(name)
	}
	at := time.Now()
	results := posture.Examine(facts, posture.Options{Policy: p, Now: at, Host: f.host, MaxAge: age})
	if err := printPosture(c, f, facts, print.About{Version: version(), Host: f.host, At: at, Images: facts.Images}, results); err != nil {
		return failed(fmt.Errorf("write results: %w", err))
	}
	return postureStatus(c, facts, results)
}

func printPosture(c *cobra.Command, f postureFlags, facts *posture.Facts, about print.About, rs []posture.Result) error {
	out := c.OutOrStdout()
	switch f.output {
	case "json":
		return print.JSON(out, about, rs)
	case "sarif":
		return print.SARIF(out, about, rs)
	case "junit":
		return print.JUnit(out, about, rs)
	}
	width, color := terminal(out, f.color)
	t := &print.Table{Printer: &text.Printer{W: out, Width: width, Color: color, Verbose: f.verbose}, Images: facts.Images}
	return t.Print(rs)
}

// postureStatus decides the exit status.
func postureStatus(c *cobra.Command, facts *posture.Facts, rs []posture.Result) error {
	unread := false
	for _, g := range facts.Gaps {
		if g.Topic == posture.TopicInput {
			unread = true
			fmt.Fprintf(c.ErrOrStderr(), "tidewaiter: %s\n", visible.Text(g.Where+": "+g.Why))
		}
	}
	switch {
	case unread:
		return statusError{exitError, nil}
	case slices.ContainsFunc(rs, func(r posture.Result) bool { return r.Verdict == posture.Fail }):
		return statusError{exitFound, nil}
	}
	return nil
}

// days reads a duration that may be in days: 180d.
func days(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if n, isDays := strings.CutSuffix(s, "d"); isDays {
		var count uint64
		count, err = strconv.ParseUint(n, 10, 16)
		d = time.Duration(count) * 24 * time.Hour
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q: want an age such as 90d or 36h", s)
	}
	return d, nil
}
