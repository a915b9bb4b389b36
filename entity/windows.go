package entity

import (
	"strings"

	"tidewaiter/event"
)

// A process-isolated container of Windows runs on its host's kernel, and the
// host's sensor tells its programs with no container's id. It tells the account,
// though: the two that exist in containers alone. Where one container runs at
// that time, and none else, such a program is its.

// maxAlone bounds the containers that are looked at for the only one that runs.
const maxAlone = 256

// ofContainerAccount reports a program that ran under an account which only
// Windows containers have (Microsoft, "Secure Windows containers").
func ofContainerAccount(p *event.Process) bool {
	domain, user, ok := strings.Cut(p.User, `\`)
	return ok && strings.EqualFold(domain, "User Manager") && (strings.EqualFold(user, "ContainerAdministrator") || strings.EqualFold(user, "ContainerUser"))
}

// placeByAccount finds the only container that ran on the host at a time.
func (s *site) placeByAccount(a *act) (owner *container, r rank) {
	p := a.process()
	if p == nil || !ofContainerAccount(p) {
		return nil, nowhere
	}
	looked := 0
	for b := range s.begun.back(a.when() + exact) {
		if looked++; looked > maxAlone {
			return nil, alone
		}
		c := b.c.canonical()
		if b.sandbox || nextOf(b.c.links.ends, b.at) < a.when()-exact || c == owner {
			continue
		}
		if owner != nil {
			return nil, alone
		}
		owner = c
	}
	if owner == nil {
		return nil, nowhere
	}
	return owner, alone
}

// regardAccounts places again what ran under containers' accounts from an
// instant on: which containers ran then is told otherwise.
func (s *site) regardAccounts(since int64) {
	for a := range s.accounts.between(interval{since, always.to}.widened(event.Second)) {
		s.enqueue(a)
	}
}
