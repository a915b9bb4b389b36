package entity

import "strings"

// mount is a file system that programs ran from and that can be a container's:
// each container's overlay mount has a device number of its own. It places
// what process ids cannot: a child of a process that forked without running a
// program, of which there is no record. Device numbers are given again to
// later containers, so a mount counts only while its container runs, and only
// if it is one container's.
type mount struct {
	programs int // run from it
	// loose are the programs run from it that no link places.
	loose timeline[*act]
	// ties count, by container, the commands of rank linked and of rank started
	// that ran from it.
	ties map[*container]*[2]int
	// linked are the runs of the containers with linked commands; any also
	// those of containers whose commands are known by a helper only.
	linked, any tenures
	// host counts the programs that the host's first processes ran from it. A
	// host's root need not be a block device either; then it is nobody's mount.
	host int
}

// overlayDevice is the device of a command's program if it can be an overlay
// mount: those have no block device, so their major number is 0. "" otherwise.
func overlayDevice(a *act) string {
	p := a.process()
	if p == nil || a.untimed() || !strings.HasPrefix(p.Device, "00:") {
		return ""
	}
	return p.Device
}

// byHostsFirst reports whether a program was run by the host's process 1 or by
// the kernel's: what a container leaves behind is given to its own process 1.
func byHostsFirst(a *act) bool { return a.told == "" && (a.ppid == 1 || a.ppid == 2) }

func (s *site) addToMount(a *act) {
	device := overlayDevice(a)
	if device == "" {
		return
	}
	m := s.mounts[device]
	if m == nil {
		m = &mount{ties: map[*container]*[2]int{}}
		s.mounts[device] = m
	}
	m.programs++
	m.loose.add(a)
	if byHostsFirst(a) {
		if m.host++; m.host == 1 {
			s.enqueueMount(device, always)
		}
	}
}

// removeFromMount takes out a program that is placed nowhere any more.
func (s *site) removeFromMount(a *act) {
	device := overlayDevice(a)
	if device == "" {
		return
	}
	m := s.mounts[device]
	m.loose.remove(a)
	if byHostsFirst(a) {
		if m.host--; m.host == 0 {
			s.enqueueMount(device, always)
		}
	}
	if m.programs--; m.programs == 0 {
		delete(s.mounts, device)
	}
}

// moveOnMount keeps a mount in step when a command's placement changed.
func (s *site) moveOnMount(a *act, old, now placement) {
	device := overlayDevice(a)
	if device == "" {
		return
	}
	// It must be found among the loose ones when its own tie goes.
	switch m := s.mounts[device]; {
	case old.rank == linked && now.rank != linked:
		m.loose.add(a)
	case old.rank != linked && now.rank == linked:
		m.loose.remove(a)
	}
	s.tie(device, now, +1)
	s.tie(device, old, -1)
}

// tie counts a command that ties a container to a mount.
func (s *site) tie(device string, p placement, by int) {
	if p.owner == nil || p.owner.pod != nil || p.rank != linked && p.rank != started {
		return // a pod has a mount for each of its containers
	}
	m, c := s.mounts[device], p.owner
	n := m.ties[c]
	if n == nil {
		n = &[2]int{}
		m.ties[c] = n
	}
	before := *n
	if p.rank == linked {
		n[0] += by
	} else {
		n[1] += by
	}
	s.own(device, &m.linked, c, before[0] > 0, n[0] > 0)
	s.own(device, &m.any, c, before[0]+before[1] > 0, n[0]+n[1] > 0)
	if n[0]+n[1] == 0 {
		delete(m.ties, c)
		delete(c.devices, device)
	} else {
		if c.devices == nil {
			c.devices = map[string]bool{}
		}
		c.devices[device] = true
	}
}

// own enters a container's runs among a mount's tenures, or takes them out.
func (s *site) own(device string, t *tenures, c *container, was, is bool) {
	if was == is {
		return
	}
	for _, run := range c.links.runs {
		if is {
			t.add(tenure{holder: c, when: run})
		} else {
			t.remove(tenure{holder: c, when: run})
		}
		s.enqueueMount(device, run)
	}
}

// relinkMounts enters a container's runs again where it has mounts.
func (s *site) relinkMounts(c *container) {
	now := pairUp(c.links.starts, c.links.ends)
	gone, come := difference(c.links.runs, now)
	for device := range c.devices {
		m := s.mounts[device]
		for _, t := range []*tenures{&m.linked, &m.any} {
			if t == &m.linked && m.ties[c][0] == 0 {
				continue
			}
			for _, run := range gone {
				t.remove(tenure{holder: c, when: run})
			}
			for _, run := range come {
				t.add(tenure{holder: c, when: run})
			}
		}
		for _, run := range append(gone, come...) {
			s.enqueueMount(device, run)
		}
	}
	c.links.runs = now
}

// enqueueMount places again what lies on a mount and rests on no link.
func (s *site) enqueueMount(device string, during interval) {
	for a := range s.mounts[device].loose.between(s.reach(during, reorder)) {
		s.enqueue(a)
	}
}

// onLinkedMount reports whether a program lies on the mount of a container that
// ran at that time and is known by links.
func (s *site) onLinkedMount(a *act) bool {
	device := overlayDevice(a)
	if device == "" || s.mounts[device].host > 0 {
		return false
	}
	owner, shared := s.mounts[device].linked.holder(a.event.Time, exact)
	return owner != nil || shared
}

// placeByMount finds the one container that ran at the time of a command from
// the mount that its program lies on.
func (s *site) placeByMount(a *act) (*container, rank) {
	device := overlayDevice(a)
	if device == "" || s.mounts[device].host > 0 {
		return nil, nowhere
	}
	for _, slack := range []int64{exact, reorder} {
		if owner, shared := s.mounts[device].any.holder(a.event.Time, slack); owner != nil || shared {
			return owner, onMount
		}
	}
	return nil, nowhere
}
