package docker

import (
	"net/netip"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

var idDB = strings.Repeat("d0b5", 16)

var inspectedNetwork = `[{"Name":"front","Id":"` + idNet + `","Created":"2026-05-01T08:00:00Z","Scope":"local","Driver":"bridge","LookedUpAt":"2026-05-04T08:09:10.5Z",
"IPAM":{"Driver":"default","Config":[{"Subnet":"172.18.0.0/24"}]},"Containers":{
"` + idWeb + `":{"Name":"shop","EndpointID":"e","MacAddress":"02:42:ac:12:00:05","IPv4Address":"172.18.0.5/24","IPv6Address":"2001:db8::5/64"},
"lb-front":{"Name":"front-endpoint","IPv4Address":"172.18.0.3/24"},
"` + idDB + `":{"Name":"db","IPv4Address":"172.18.0.6/24","IPv6Address":""}},"Labels":{}}]`

func TestInspectNetwork(t *testing.T) {
	events, tally := sourcetest.Decode(t, InspectNetwork(), inspectedNetwork)
	if len(events) != 2 || tally.Events != 1 || tally.Beside != 1 || events[0].ID == events[1].ID {
		t.Fatalf("%d events: %+v", len(events), tally)
	}
	at := event.Time{At: second*1e9 + 500_000_000, Res: event.Nanosecond}
	describe := func(id, name string, addrs ...netip.Addr) event.Body {
		return &event.ContainerDescription{ID: id, Name: name, Networks: []event.NetworkAddress{
			{NetworkID: idNet, NetworkName: "front", Addrs: addrs, At: at},
		}}
	}
	sourcetest.CheckEvent(t, events[0], event.Time{}, describe(idWeb, "shop", netip.MustParseAddr("172.18.0.5"), netip.MustParseAddr("2001:db8::5")))
	sourcetest.CheckEvent(t, events[1], event.Time{}, describe(idDB, "db", netip.MustParseAddr("172.18.0.6")))
}

func TestInspectNetworkOddities(t *testing.T) {
	for _, c := range []oneCase{
		{name: "nobody is connected", text: `[{"Name":"front","Id":"n","IPAM":{},"Containers":{}}]`},
		{name: "the host's network gives no address", text: `[{"Name":"host","Id":"n","IPAM":{},"Containers":{"` + idWeb + `":{"Name":"shop","IPv4Address":"","IPv6Address":""}}}]`},
		{name: "no id", text: `[{"Name":"front","IPAM":{},"Containers":{}}]`, fault: "no id"},
		{name: "no prefix", text: strings.Replace(inspectedNetwork, "172.18.0.6/24", "172.18.0.6", 1), fault: "prefix"},
		{name: "a look-up at no time", text: strings.Replace(inspectedNetwork, "2026-05-04T08:09:10.5Z", "today", 1), fault: "time of the look-up"},
		{name: "a container twice", text: `[{"Name":"front","Id":"n","IPAM":{},"Containers":{"` + idWeb + `":{"IPv4Address":"172.18.0.5/24","IPv4Address":"172.18.0.6/24"}}}]`, fault: "stands twice"},
	} {
		t.Run(c.name, func(t *testing.T) { checkOne(t, InspectNetwork(), c) })
	}
}

func TestInspectNetworkSniff(t *testing.T) {
	if sourcetest.Sniff(InspectNetwork(), inspectedNetwork) == 0 || sourcetest.Sniff(InspectContainer(), inspectedNetwork) != 0 {
		t.Error("a network is not told")
	}
	if sourcetest.Sniff(InspectNetwork(), `[{"Id":"x","State":{},"HostConfig":{}}]`) != 0 {
		t.Error("a container is taken for a network")
	}
}
