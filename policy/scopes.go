package policy

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// places is where a scope says who it is, what it claims and what it inherits
// from; match and inherits may be nil.
type places struct{ name, match, inherits *yaml.Node }

// claim is a pattern by which a scope claims something, and where it stands.
type claim struct {
	scope *Scope
	entry
}

// named gives the scope that a key names, or else says that there is none and
// gives otherwise.
func (l *loader) named(n *yaml.Node, path string, otherwise *Scope) *Scope {
	if s := l.scopes[n.Value]; s != nil && isPlain(n) {
		return s
	}
	l.fault(n, path, "no scope is called %s%s", quote(n.Value), suggestion(n.Value, slices.Collect(maps.Keys(l.scopes))))
	return otherwise
}

// link ties scopes to what they inherit from, and works out the lists that add
// to inherited ones and who wins where. Fallback names the default scope; it
// may be nil.
func (l *loader) link(root *Scope, fallback *yaml.Node) {
	told := len(l.faults)
	if fallback != nil {
		l.policy.fallback = l.named(fallback, "default_scope", root)
	}
	for _, s := range l.policy.scopes {
		s.parent = root
		if n := l.at[s].inherits; n != nil {
			s.parent = l.named(n, join("scopes", s.Name)+".inherits", root)
		}
	}
	if len(l.faults) == told { // else the scope that was meant would be called idle
		l.idle()
	}
	l.cutCircles(root)
	depth := map[*Scope]int{}
	l.merge(root, depth)
	deepest := 0
	for _, s := range l.policy.scopes {
		l.merge(s, depth)
		deepest = max(deepest, depth[s])
	}
	if deepest <= maxDepth {
		l.ties()
	}
	slices.SortFunc(l.policy.scopes, func(a, b *Scope) int { return strings.Compare(a.Name, b.Name) })
}

// cutCircles finds scopes that inherit from themselves.
func (l *loader) cutCircles(root *Scope) {
	ends := map[*Scope]bool{} // known to end at the root
	for _, s := range l.policy.scopes {
		var way []string
		step := map[*Scope]int{}
		for at := s; at != root && !ends[at]; at = at.parent {
			if i, again := step[at]; again {
				way = append(way[i:], at.Name)
				l.fault(l.at[at].inherits, join("scopes", at.Name)+".inherits", "inherits from itself: %s", quote(strings.Join(way, " → ")))
				at.parent = root
				continue
			}
			step[at] = len(way)
			way = append(way, at.Name)
		}
		for at := range step {
			ends[at] = true
		}
	}
}

// merge turns "name+" entries into whole lists, ancestors first, and counts
// how many of these there are.
func (l *loader) merge(s *Scope, depth map[*Scope]int) {
	if _, done := depth[s]; s == nil || done {
		return
	}
	depth[s] = 0
	if s.parent != nil {
		l.merge(s.parent, depth)
		depth[s] = depth[s.parent] + 1
	}
	if depth[s] > maxDepth {
		if depth[s] == maxDepth+1 {
			l.fault(l.at[s].inherits, join("scopes", s.Name)+".inherits", "more than %d scopes inherit from each other in a row", maxDepth)
		}
		return
	}
	for _, k := range slices.Sorted(maps.Keys(s.settings)) {
		name, adds := strings.CutSuffix(k, "+")
		if !adds {
			continue
		}
		added := s.settings[k]
		delete(s.settings, k)
		texts := append(s.Setting("", name).Text(), added.Text()...)
		l.count(l.top, k, len(texts))
		if !l.full() {
			s.settings[name], _ = NewValue(added.typ, texts)
		}
	}
}

// idle reports scopes that nothing can ever fall into.
func (l *loader) idle() {
	used := map[*Scope]bool{l.policy.fallback: true}
	for _, s := range l.policy.scopes {
		used[s.parent] = true
	}
	for _, s := range l.policy.scopes {
		if at := l.at[s]; at.match == nil && !used[s] {
			l.fault(at.name, join("scopes", s.Name), "nothing uses this scope: give it a match, let a scope inherit from it, or make it the default_scope")
		}
	}
}

// ties reports two scopes that can claim the same subject with equal right.
func (l *loader) ties() {
	claims := 0
	for _, by := range matchKeys() {
		if claims += len(l.claims[by]); claims > maxClaims {
			l.fault(l.top, "scopes", "more than %d patterns in the matches of all scopes", maxClaims)
			return
		}
		exact, globs := map[string][]claim{}, []claim(nil)
		for _, c := range l.claims[by] {
			pattern := c.node.Value
			if isExact(pattern) {
				l.tie(c, exact[pattern])
				exact[pattern] = append(exact[pattern], c)
				continue
			}
			l.tie(c, globs)
			globs = append(globs, c)
		}
	}
}

// tie reports the first scope among others that can claim what c claims.
func (l *loader) tie(c claim, others []claim) {
	for _, o := range others {
		a, b := o.node.Value, c.node.Value
		if !globsMeet(a, b) || o.scope == c.scope || o.scope.inheritsFrom(c.scope) || c.scope.inheritsFrom(o.scope) {
			continue
		}
		l.fault(c.node, c.path, "%s and scope %s's %s can fit the same name with equal right; make one scope inherit from the other, or name exactly what each one claims",
			quote(b), quote(o.scope.Name), quote(a))
		return
	}
}
