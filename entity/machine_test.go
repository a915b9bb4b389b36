package entity

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

var (
	trail   = event.Place{Account: "a", Region: "r"}
	network = event.Place{Account: "a"}
)

// launch tells of a machine with one interface.
func (s *story) launch(at float64, id, part, vpc, addr string) *event.Instance {
	s.place = trail
	b := &event.Instance{Action: event.InstanceLaunch, ID: id, Image: "ami-1", By: event.Principal{Name: "ann"}}
	if part != "" {
		b.Interfaces = []event.VMInterface{{ID: part, Network: vpc, Addrs: []netip.Addr{ip(addr)}}}
	}
	s.add(at, event.CloudTrail, b)
	return b
}

func (s *story) cloudDoes(at float64, id string, action event.InstanceAction) *event.Instance {
	s.place = trail
	b := &event.Instance{Action: action, ID: id, By: event.Principal{Name: "ann"}}
	s.add(at, event.CloudTrail, b)
	return b
}

// sees tells of a connection as the account's network saw it.
func (s *story) sees(at float64, src, dst, part string) *event.Flow {
	s.place = network
	f := &event.Flow{Protocol: "tcp", Src: ipPort(src), Dst: ipPort(dst)}
	if part != "" {
		f.Seen = &event.VMRef{Interface: part}
	}
	s.add(at, event.VPCFlow, f)
	return f
}

func (s *story) instance(id string) *evidence.Subject {
	s.t.Helper()
	sub, ok := s.told().Subject(evidence.SubjectID{Kind: instanceKind, ID: id})
	if !ok {
		s.t.Fatalf("instance %s is not known", id)
	}
	return sub
}

// tells compares the facts of a machine with what they should be.
func (s *story) tells(id string, want ...string) {
	s.t.Helper()
	var got []string
	for _, f := range s.instance(id).Facts {
		text := string(f.Kind)
		switch {
		case f.Connection != nil:
			text += " " + f.Connection.Remote.String()
		case f.Command != nil:
			text += " " + f.Command.Text
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("%s:\n%s\nwant\n%s", id, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAConnectionIsTheMachinesThatHadTheInterface(t *testing.T) {
	s := newStory(t)
	s.launch(0, "i-1", "eni-1", "vpc-1", "10.0.0.9")
	s.launch(1, "i-2", "eni-2", "vpc-2", "10.0.0.9")
	s.sees(60, "10.0.0.9:4000", "203.0.113.8:80", "eni-1")
	s.sees(61, "10.0.0.9:4000", "203.0.113.9:80", "eni-2")
	s.sees(62, "10.0.0.9:4000", "203.0.113.10:80", "") // two networks have this address
	s.sees(63, "203.0.113.66:80", "10.0.0.9:22", "eni-1")
	s.tells("i-1", "launch", "connection 203.0.113.8:80")
	s.tells("i-2", "launch", "connection 203.0.113.9:80")
	if n := s.instance("i-1").Instance.Unclear; n != 1 {
		t.Errorf("%d are unclear", n)
	}
}

func TestAnAddressGivenAgainIsTheLastMachines(t *testing.T) {
	s := newStory(t)
	s.launch(0, "i-1", "eni-1", "vpc-1", "10.0.0.9")
	s.launch(1000, "i-2", "eni-2", "vpc-1", "10.0.0.9")
	s.sees(60, "10.0.0.9:4000", "203.0.113.8:80", "")
	s.sees(1060, "10.0.0.9:4000", "203.0.113.9:80", "")
	s.tells("i-1", "launch", "connection 203.0.113.8:80")
	s.tells("i-2", "launch", "connection 203.0.113.9:80")
}

func TestAnAddressAfterItsMachineEndedIsNobodys(t *testing.T) {
	s := newStory(t)
	s.launch(0, "i-1", "eni-1", "vpc-1", "10.0.0.9")
	s.cloudDoes(600, "i-1", event.InstanceTerminate)
	s.sees(1200, "10.0.0.9:4000", "203.0.113.8:80", "")
	s.tells("i-1", "launch", "exit")
}

func TestAnotherAccountsAddressIsNotTheMachines(t *testing.T) {
	s := newStory(t)
	s.launch(0, "i-1", "", "", "")
	s.last().Body.(*event.Instance).Interfaces = []event.VMInterface{{Addrs: []netip.Addr{ip("10.0.0.9")}}}
	for _, account := range []string{"b", ""} {
		s.place = event.Place{Account: account}
		s.add(60, event.VPCFlow, &event.Flow{Protocol: "tcp", Src: ipPort("10.0.0.9:4000"), Dst: ipPort("203.0.113.8:80")})
	}
	s.tells("i-1", "launch")
}

func TestOnlyABootThatFollowsAChangeIsNews(t *testing.T) {
	s := newStory(t)
	s.launch(0, "i-1", "eni-1", "vpc-1", "10.0.0.9")
	s.sees(2*3600+200, "10.0.0.9:4000", "203.0.113.1:80", "") // long after its boot
	s.cloudDoes(20_000, "i-1", event.InstanceStop)
	s.cloudDoes(20_010, "i-1", event.InstanceStart)
	s.sees(20_060, "10.0.0.9:4000", "203.0.113.2:80", "")
	s.tells("i-1", "launch")
	s.cloudDoes(40_000, "i-1", event.InstanceUserData)
	s.sees(40_005, "10.0.0.9:4000", "203.0.113.3:80", "") // it still runs what it did
	s.cloudDoes(40_600, "i-1", event.InstanceReboot)
	s.sees(40_660, "10.0.0.9:4000", "203.0.113.4:80", "")
	s.tells("i-1", "launch", "change", "boot", "connection 203.0.113.4:80")
	if !s.instance("i-1").Instance.Changed {
		t.Error("it was not changed")
	}
}

func TestAttemptsAreNoLaunches(t *testing.T) {
	s := newStory(t)
	s.cloudDoes(0, "", event.InstanceLaunch).Failure = "Client.DryRunOperation"
	if ids := s.told().Subjects(); len(ids) > 0 {
		t.Errorf("%v", ids)
	}
	s.launch(600, "i-1", "", "", "")
	s.tells("i-1", "attempt", "launch")
}

func TestWhatANameTellsBelongsToWhoHadIt(t *testing.T) {
	s := newStory(t)
	const name = "/subscriptions/s/virtualmachines/web"
	for n, at := range []float64{0, 1000} {
		s.launch(at, fmt.Sprint("u-", n), "", "", "").Resource = name
	}
	s.cloudDoes(500, "", event.InstanceExtension).Resource = name
	s.cloudDoes(1500, "", event.InstanceExtension).Resource = name
	s.tells("u-0", "launch", "change")
	s.tells("u-1", "launch", "change")
	if _, ok := s.told().Subject(evidence.SubjectID{Kind: instanceKind, ID: name}); ok {
		t.Error("the name is a machine of its own")
	}
}

func TestAGuestIsTiedByWhatItIsKnownBy(t *testing.T) {
	for name, tie := range map[string]func(s *story){
		"an inventory's instance id": func(s *story) {
			s.add(-1, event.Inventory, &event.HostDescription{Name: "h", InstanceID: "i-1"})
		},
		"an inventory's address": func(s *story) {
			s.add(-1, event.Inventory, &event.HostDescription{Name: "h", Addrs: []netip.Addr{ip("10.0.0.9")}})
		},
		"the guest's own word": func(s *story) {
			s.add(30, event.CloudInit, &event.GuestScript{Stage: event.GuestDone, Agent: "cloud-init", Instance: "i-1"})
		},
		"the guest's address": func(s *story) {
			s.add(30, event.CloudInit, &event.GuestScript{Stage: event.GuestDone, Agent: "cloud-init", Addrs: []netip.Addr{ip("10.0.0.9")}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.launch(0, "i-1", "eni-1", "vpc-1", "10.0.0.9")
			s.place = event.Place{Account: "a", Host: "h"}
			s.run(60, 700, 1, "curl", "http://203.0.113.8/")
			s.tells("i-1", "launch")
			s.place = event.Place{Account: "a", Host: "h"}
			tie(s)
			s.tells("i-1", "launch", "command curl http://203.0.113.8/")
		})
	}
	s := newStory(t)
	s.launch(0, "i-1", "eni-1", "vpc-1", "10.0.0.9")
	s.place = event.Place{Account: "a", Host: "ip-10-0-0-9.eu-west-1.compute.internal"}
	s.run(60, 700, 1, "curl", "http://203.0.113.8/")
	s.tells("i-1", "launch", "command curl http://203.0.113.8/")
}

// A container's programs are the container's, and not its machine's.
func TestAContainerOnAMachineIsToldByItself(t *testing.T) {
	s := newStory(t)
	s.launch(0, "i-1", "", "", "")
	s.place = event.Place{Account: "a", Host: "h"}
	s.add(-1, event.Inventory, &event.HostDescription{Name: "h", InstanceID: "i-1"})
	s.task(50, id(1), 700)
	s.run(60, 700, 1, "curl", "http://203.0.113.8/")
	s.run(61, 800, 1, "uptime")
	s.tells("i-1", "launch", "command uptime")
}

func TestWhatABootAgentStartsIsTold(t *testing.T) {
	s := newStory(t)
	s.launch(0, "i-1", "", "", "")
	s.place = event.Place{Account: "a", Host: "h"}
	s.add(-1, event.Inventory, &event.HostDescription{Name: "h", InstanceID: "i-1"})
	s.run(60, 700, 1, "/bin/sh", "/var/lib/cloud/instance/scripts/part-001").Script = "/var/lib/cloud/instance/scripts/part-001"
	s.run(61, 701, 700, "curl", "http://203.0.113.8/")
	s.run(62, 702, 1, "uptime")
	var got []string
	for _, f := range s.instance("i-1").Of(evidence.Command) {
		got = append(got, f.Command.Agent)
	}
	if want := []string{"cloud-init", "cloud-init", ""}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestImagesAreDescribedByWhateverTellsOfThem(t *testing.T) {
	s := newStory(t)
	s.launch(0, "i-1", "", "", "").Image = "ami-3"
	s.add(-1, event.EC2, &event.VMImage{Action: event.VMImageDescribe, ID: "ami-3", Owner: "o", Public: true})
	s.add(-100, event.CloudTrail, &event.VMImage{Action: event.VMImageDescribe, ID: "ami-9", Owner: "other"})
	s.add(1, event.CloudTrail, &event.VMImage{Action: event.VMImageCopy, ID: "ami-3", Parent: "ami-2"})
	s.add(2, event.CloudTrail, &event.VMImage{Action: event.VMImageCopy, ID: "ami-2", Parent: "ami-1"})
	s.add(3, event.CloudTrail, &event.VMImage{Action: event.VMImageCopy, ID: "ami-1", Parent: "ami-3"}) // a circle
	i := s.instance("i-1").Instance.Image
	if i.Owner != "o" || !i.Public || !slices.Equal(i.Copies, []image.VM{"ami-2", "ami-1"}) {
		t.Errorf("%+v", i)
	}
	sub, ok := s.told().Subject(evidence.SubjectID{Kind: vmImageKind, ID: "ami-3"})
	if !ok || len(sub.Of(evidence.Arrival)) != 1 || len(sub.Of(evidence.Launch)) != 1 {
		t.Errorf("%v %+v", ok, sub)
	}
	if _, ok := s.told().Subject(evidence.SubjectID{Kind: vmImageKind, ID: "ami-9"}); ok {
		t.Error("a look-up alone makes an image a subject")
	}
}

func TestAProgramUnderAContainersAccountIsTheOnlyContainers(t *testing.T) {
	for others, want := range map[int]int{0: 1, 1: 0} {
		s := newStory(t)
		for n := range 1 + others {
			s.task(float64(n), id(n+1), 500+n)
		}
		s.add(60, event.Sysmon, &event.Process{PID: 900, PPID: 899, Exe: `C:\x.exe`, Args: []string{"x"}, UID: -1, AUID: -1, User: `User Manager\ContainerAdministrator`})
		s.add(61, event.Sysmon, &event.Socket{PID: 900, Addr: ipPort("203.0.113.8:80")})
		sub := s.subject(id(1))
		if got := len(sub.Of(evidence.Command)); got != want {
			t.Errorf("beside %d others: %d commands, want %d", others, got, want)
		}
		if got := len(sub.Of(evidence.Connection)); got != want {
			t.Errorf("beside %d others: %d connections, want %d", others, got, want)
		}
		if sub.Containers[0].ByAccount != (want > 0) {
			t.Errorf("beside %d others: %+v", others, sub.Containers[0])
		}
	}
}

func TestAProjectsMetadataAreItsMachines(t *testing.T) {
	s := newStory(t)
	s.launch(0, "1", "", "", "").Resource = "projects/p/zones/z/instances/vm"
	s.launch(10, "2", "", "", "").Resource = "projects/q/zones/z/instances/vm"
	s.cloudDoes(20_000, "", event.InstanceUserData).Resource = "projects/p"
	for _, id := range []string{"1", "2"} {
		s.cloudDoes(20_100, id, event.InstanceReboot)
	}
	s.tells("1", "launch", "change", "boot")
	s.tells("2", "launch")
}

func TestAScaleSetsImageIsItsMachines(t *testing.T) {
	s := newStory(t)
	set := "/subscriptions/s/virtualmachinescalesets/web"
	s.place = trail
	s.add(0, event.Azure, &event.Instance{Action: event.InstanceGroup, Group: set, Image: "/communitygalleries/x", By: event.Principal{Name: "ops"}})
	s.place = event.Place{Account: "a", Host: "web000007"}
	s.add(-1, event.Inventory, &event.HostDescription{Name: "web000007", InstanceID: "/subscriptions/S/virtualMachineScaleSets/web/virtualMachines/7"})
	s.run(90, 700, 1, "uptime")
	s.tells(set+"/virtualmachines/7", "creation", "command uptime")
	if i := s.instance(set + "/virtualmachines/7").Instance; i.Image.ID != "/communitygalleries/x" || i.Maker.Name != "ops" {
		t.Errorf("%+v", i)
	}
}

func TestASearchByNameIsToldOfWhatWasLaunchedAfterIt(t *testing.T) {
	s := newStory(t)
	s.place = trail
	by := event.Principal{Name: "ann"}
	s.add(0, event.CloudTrail, &event.VMImage{Action: event.VMImageSearch, Filters: []string{"name=ubuntu-*"}, By: by})
	s.add(1, event.CloudTrail, &event.VMImage{Action: event.VMImageSearch, Filters: []string{"name=ubuntu-*"}, Owners: []string{"amazon"}, By: by})
	s.add(2, event.CloudTrail, &event.VMImage{Action: event.VMImageSearch, Filters: []string{"state=available"}, By: by})
	s.add(3, event.CloudTrail, &event.VMImage{Action: event.VMImageSearch, Filters: []string{"name=ubuntu-*"}, By: event.Principal{Name: "ben"}})
	s.launch(60, "i-1", "", "", "")
	s.tells("i-1", "search", "launch")
}
