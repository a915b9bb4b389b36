package flow

import (
	"fmt"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// hubblePod is an end on the node, hubbleWorld one outside the cluster.
const (
	hubblePod   = `{"ID":731,"identity":20000,"namespace":"prod","labels":["k8s:app=web","k8s:io.cilium.k8s.policy.cluster=blue"],"pod_name":"web-0","workloads":[{"name":"web","kind":"StatefulSet"}]}`
	hubbleWorld = `{"identity":2,"labels":["reserved:world"]}`
)

// packetOf makes a wrapped flow at second sec. What stands in more goes into
// the flow.
func packetOf(sec int, l4, ends, more string) string {
	at := fmt.Sprintf("2026-11-21T22:26:%02d.100200300Z", sec)
	src, dst := `"source":`+hubblePod+`,"destination":`+hubbleWorld, `"IP":{"source":"10.42.0.7","destination":"203.0.113.66","ipVersion":"IPv4"}`
	if ends == "reply" {
		src, dst = `"source":`+hubbleWorld+`,"destination":`+hubblePod, `"IP":{"source":"203.0.113.66","destination":"10.42.0.7","ipVersion":"IPv4"}`
	}
	return fmt.Sprintf(`{"flow":{"time":"%s","uuid":"u-%d-%s","verdict":"FORWARDED",%s,"l4":{%s},%s,"Type":"L3_L4","node_name":"node-1",%s"Summary":"x"},"node_name":"node-1","time":"%s"}`+"\n",
		at, sec, ends, dst, l4, src, more, at)
}

func tcpOf(flags string) string {
	return `"TCP":{"source_port":41446,"destination_port":3333,"flags":{` + flags + `}}`
}

// back is tcpOf for a packet on its way back.
func back(flags string) string {
	return `"TCP":{"source_port":3333,"destination_port":41446,"flags":{` + flags + `}}`
}

const (
	syn     = `"SYN":true`
	synAck  = `"SYN":true,"ACK":true`
	ack     = `"ACK":true`
	finAck  = `"FIN":true,"ACK":true`
	egress  = `"traffic_direction":"EGRESS","is_reply":false,`
	replied = `"traffic_direction":"EGRESS","is_reply":true,`
	pool    = `tcp 10.42.0.7:41446 > 203.0.113.66:3333`
	webPod  = `prod/web-0(StatefulSet prod/web)@node-1`
)

func hubbleConnections() []variation {
	event := func(sec int, state, rest string) string {
		return fmt.Sprintf("2026-11-21T22:26:%02d.100200300Z %s state=%s bytes=-1/-1%s from=%s cluster=blue", sec, pool, state, rest, webPod)
	}
	// again is the second event of a connection: its start, and its last record.
	again := func(sec int, state string, last int, rest string) string {
		at := fmt.Sprintf("2026-11-21T22:26:%02d.1002003", last)
		if state == "CLOSED" {
			state += " end=" + at + "00Z"
		}
		e := event(sec, state, rest)
		at = " record=" + at + "Z cluster=blue"
		return strings.Replace(e, " cluster=blue", at, 1)
	}
	return []variation{
		{name: "a whole connection is two events, up to the first end", text: packetOf(1, tcpOf(syn), "", egress) + packetOf(2, back(synAck), "reply", replied) +
			packetOf(3, tcpOf(ack), "", egress) + packetOf(4, tcpOf(finAck), "", egress) + packetOf(5, back(finAck), "reply", replied) + packetOf(6, tcpOf(ack), "", egress),
			want: []string{event(1, "NEW", ""), again(1, "CLOSED", 4, "")}, skipped: 2},
		{name: "the first packet at three trace points and once more", text: strings.Repeat(packetOf(1, tcpOf(syn), "", egress), 3) + packetOf(4, tcpOf(syn), "", egress),
			want: []string{event(1, "NEW", ""), again(1, "OPEN", 4, " unanswered")}},
		{name: "a reset is an answer", text: packetOf(1, tcpOf(syn), "", egress) + packetOf(2, back(`"RST":true,"ACK":true`), "reply", replied),
			want: []string{event(1, "NEW", ""), again(1, "CLOSED", 2, "")}},
		{name: "given up by its own side", text: packetOf(1, tcpOf(syn), "", egress) + packetOf(2, tcpOf(`"RST":true`), "", egress),
			want: []string{event(1, "NEW", ""), again(1, "CLOSED", 2, " unanswered")}},
		{name: "replies that were not recorded", text: packetOf(1, tcpOf(syn), "", egress) + packetOf(2, tcpOf(ack), "", egress),
			want: []string{event(1, "NEW", ""), again(1, "OPEN", 2, "")}},
		{name: "its end is all there is", text: packetOf(3, tcpOf(finAck), "", egress), want: []string{event(3, "ESTABLISHED", "")}},
		{name: "both its ends are all there is", text: packetOf(3, tcpOf(finAck), "", egress) + packetOf(4, back(finAck), "reply", replied),
			want: []string{event(3, "ESTABLISHED", ""), again(3, "CLOSED", 4, "")}},
		{name: "a later record printed before its end", text: packetOf(1, tcpOf(syn), "", egress) + packetOf(5, back(ack), "reply", replied) + packetOf(4, tcpOf(finAck), "", egress),
			want: []string{event(1, "NEW", ""), again(1, "CLOSED", 5, "")}},
		{name: "an end that was dropped is none", text: packetOf(1, tcpOf(syn), "", egress) + drop(packetOf(2, back(finAck), "reply", "")) + packetOf(3, tcpOf(syn), "", egress),
			want: []string{event(1, "NEW", ""), again(1, "OPEN", 3, " unanswered")}},
		{name: "ends used again after an end", text: packetOf(1, tcpOf(syn), "", egress) + packetOf(2, back(finAck), "reply", replied) + packetOf(3, tcpOf(syn), "", egress),
			want: []string{event(1, "NEW", ""), again(1, "CLOSED", 2, ""), event(3, "NEW", "")}},
		{name: "a connection that began before the record", text: packetOf(3, tcpOf(ack), "", egress) + packetOf(4, tcpOf(ack), "", egress),
			want: []string{event(3, "ESTABLISHED", ""), again(3, "OPEN", 4, "")}},
		{name: "the sensor's own word for the state", text: packetOf(3, tcpOf(ack), "", egress+`"trace_reason":"REOPENED",`),
			want: []string{event(3, "REOPENED", "")}},
		{name: "its first packet comes late in the file", text: packetOf(3, tcpOf(ack), "", egress) + packetOf(1, tcpOf(syn), "", egress),
			want: []string{event(3, "ESTABLISHED", ""), event(1, "NEW", "")}},
		{name: "its first packet comes later still", text: packetOf(3, tcpOf(ack), "", egress) + packetOf(4, tcpOf(ack), "", egress) + packetOf(1, tcpOf(syn), "", egress),
			want: []string{event(3, "ESTABLISHED", ""), again(3, "OPEN", 4, ""), event(1, "NEW", "")}},
		{name: "replies are all there is", text: packetOf(3, back(ack), "reply", replied) + packetOf(4, back(ack), "reply", replied) + packetOf(5, tcpOf(ack), "", egress),
			want: []string{event(3, "REPLY", ""), again(3, "OPEN", 5, "")}},
		{name: "a reply by the field of older releases", text: packetOf(3, back(ack), "reply", `"reply":true,`),
			want: []string{event(3, "REPLY", "")}},
		{name: "a reply by its flags alone", text: packetOf(3, back(synAck), "reply", ""), want: []string{event(3, "REPLY", "")}},
		{name: "a reply by connection tracking", text: packetOf(3, back(ack), "reply", `"trace_reason":"REPLY",`), want: []string{event(3, "REPLY", "")}},
		{name: "an unwrapped boolean", text: packetOf(3, back(ack), "reply", `"is_reply":{"value":true},`), want: []string{event(3, "REPLY", "")}},
		{name: "a reset proves no connection", text: packetOf(3, tcpOf(`"RST":true`), "", egress) + packetOf(4, back(`"RST":true`), "reply", replied), skipped: 2},
		{name: "a reset ends one", text: packetOf(1, tcpOf(syn), "", egress) + packetOf(2, back(`"RST":true`), "reply", replied) + packetOf(3, tcpOf(syn), "", egress),
			want: []string{event(1, "NEW", ""), again(1, "CLOSED", 2, ""), event(3, "NEW", "")}},
		{name: "no direction told: only a SYN counts", text: packetOf(1, tcpOf(ack), "", "") + packetOf(2, tcpOf(syn), "", "") + packetOf(3, back(ack), "reply", ""),
			want: []string{event(2, "NEW", ""), again(2, "OPEN", 3, "")}, skipped: 1},
		{name: "older releases tell a forward packet by the direction of traffic", text: packetOf(3, tcpOf(ack), "", `"traffic_direction":"EGRESS",`),
			want: []string{event(3, "ESTABLISHED", "")}},
		{name: "an error of the datapath", text: strings.Replace(packetOf(1, tcpOf(syn), "", egress), "FORWARDED", "ERROR", 1), want: []string{event(1, "ERROR", "")}},
		{name: "names of the destination", text: packetOf(1, tcpOf(syn), "", egress+`"destination_names":["Pool.Example.","no name"],`),
			want: []string{strings.Replace(event(1, "NEW", ""), " cluster", " names=pool.example cluster", 1)}},
		{name: "names of a reply's source", text: packetOf(1, back(ack), "reply", replied+`"source_names":["pool.example"],`),
			want: []string{strings.Replace(event(1, "REPLY", ""), " cluster", " names=pool.example cluster", 1)}},
	}
}

func TestHubbleConnections(t *testing.T) { check(t, Hubble(), hubbleConnections()) }

func drop(record string) string { return strings.Replace(record, "FORWARDED", "DROPPED", 1) }

func TestHubbleDrops(t *testing.T) {
	dropped := "2026-11-21T22:26:02.100200300Z " + pool + " state=DROPPED bytes=-1/-1 unanswered from=" + webPod + " cluster=blue"
	begun := "2026-11-21T22:26:01.100200300Z " + pool + " state=NEW bytes=-1/-1 from=" + webPod + " cluster=blue"
	open := "2026-11-21T22:26:01.100200300Z " + pool + " state=OPEN bytes=-1/-1 unanswered from=" + webPod + " record=2026-11-21T22:26:02.1002003Z cluster=blue"
	check(t, Hubble(), []variation{
		{name: "dropped, and tried again", text: drop(packetOf(2, tcpOf(syn), "", egress)) + drop(packetOf(3, tcpOf(syn), "", egress)), want: []string{dropped}, skipped: 1},
		{name: "dropped after the first trace point", text: packetOf(1, tcpOf(syn), "", egress) + drop(packetOf(2, tcpOf(syn), "", `"traffic_direction":"EGRESS",`)),
			want: []string{begun, dropped}},
		{name: "one packet of a connection", text: packetOf(1, tcpOf(syn), "", egress) + drop(packetOf(2, tcpOf(ack), "", "")), want: []string{begun, open}},
		{name: "in the middle of a connection that began before", text: drop(packetOf(2, tcpOf(ack), "", egress)), want: []string{strings.Replace(dropped, " unanswered", "", 1)}},
		{name: "a packet on its way back", text: packetOf(1, tcpOf(syn), "", egress) + drop(packetOf(2, back(ack), "reply", "")) + drop(packetOf(3, back(synAck), "reply", "")),
			want: []string{begun, strings.Replace(open, "26:02", "26:03", 1)}},
		{name: "a packet on its way back, of nothing that is known", text: drop(packetOf(3, back(synAck), "reply", "")), skipped: 1},
		{name: "let through later", text: drop(packetOf(2, tcpOf(syn), "", egress)) + packetOf(1, tcpOf(syn), "", egress), want: []string{dropped, begun}},
	})
}

func TestHubbleProtocols(t *testing.T) {
	udp := `"UDP":{"source_port":"5353","destination_port":443}`
	at := func(sec int) string { return fmt.Sprintf("2026-11-21T22:26:%02d.100200300Z ", sec) }
	rest := " state=NEW bytes=-1/-1 from=" + webPod + " cluster=blue"
	again := func(s string, last int) string {
		return strings.NewReplacer("=NEW", "=OPEN", "=ESTABLISHED", "=OPEN", " cluster", " record="+strings.Replace(strings.TrimSpace(at(last)), "00Z", "Z", 1)+" cluster").Replace(s)
	}
	later := strings.ReplaceAll(packetOf(30, udp, "", egress), "22:26", "22:27")
	check(t, Hubble(), []variation{
		{name: "udp, one flow until it is silent for a minute", text: packetOf(1, udp, "", egress) + packetOf(2, udp, "", egress) + later,
			want: []string{at(1) + "udp 10.42.0.7:5353 > 203.0.113.66:443" + rest,
				strings.Replace(again(at(1)+"udp 10.42.0.7:5353 > 203.0.113.66:443"+rest, 2), "-1 from", "-1 unanswered from", 1),
				strings.Replace(at(30), "22:26", "22:27", 1) + "udp 10.42.0.7:5353 > 203.0.113.66:443" + rest}},
		{name: "udp, silent for a minute, of which Cilium says that it is the same", text: packetOf(1, udp, "", egress) + strings.Replace(later, `"Summary"`, `"trace_reason":"ESTABLISHED","Summary"`, 1),
			want: []string{at(1) + "udp 10.42.0.7:5353 > 203.0.113.66:443" + rest,
				strings.NewReplacer("-1 from", "-1 unanswered from", "record=2026-11-21T22:26", "record=2026-11-21T22:27").Replace(again(at(1)+"udp 10.42.0.7:5353 > 203.0.113.66:443"+rest, 30))}},
		{name: "sctp", text: packetOf(1, `"SCTP":{"source_port":9,"destination_port":10}`, "", egress), want: []string{at(1) + "sctp 10.42.0.7:9 > 203.0.113.66:10" + rest}},
		{name: "icmp: a request, its reply, an error", text: packetOf(1, `"ICMPv4":{"type":8}`, "", egress) + packetOf(2, `"ICMPv4":{}`, "reply", replied) +
			packetOf(3, `"ICMPv4":{"type":3,"code":1}`, "", egress), want: []string{at(1) + "icmp 10.42.0.7:0 > 203.0.113.66:0" + rest, again(at(1)+"icmp 10.42.0.7:0 > 203.0.113.66:0"+rest, 3)}},
		{name: "another protocol", text: packetOf(1, "", "", egress), want: []string{at(1) + " 10.42.0.7:0 > 203.0.113.66:0" + rest}},
		{name: "ports that are zero are left out", text: packetOf(1, `"UDP":{"destination_port":443}`, "", egress), want: []string{at(1) + "udp 10.42.0.7:0 > 203.0.113.66:443" + rest}},
		{name: "ipv6", text: strings.NewReplacer("10.42.0.7", "2001:db8::7", "203.0.113.66", "2001:db8:1::66", "IPv4", "IPv6").Replace(packetOf(1, tcpOf(syn), "", egress)),
			want: []string{at(1) + "tcp [2001:db8::7]:41446 > [2001:db8:1::66]:3333" + rest}},
		{name: "no IP", text: strings.Replace(packetOf(1, tcpOf(syn), "", egress), `"IP"`, `"ARP"`, 1), skipped: 1},
		{name: "a socket's translation", text: strings.Replace(packetOf(1, tcpOf(syn), "", egress), `"L3_L4"`, `"SOCK"`, 1), skipped: 1},
		{name: "numbers for enums", text: strings.NewReplacer(`"FORWARDED"`, "2", `"EGRESS"`, "2").Replace(packetOf(1, tcpOf(syn), "", egress)),
			want: []string{at(1) + "tcp 10.42.0.7:41446 > 203.0.113.66:3333 state=DROPPED bytes=-1/-1 unanswered from=" + webPod + " cluster=blue"}},
		{name: "kafka tells that there is a connection", text: strings.Replace(packetOf(1, `"TCP":{"source_port":41446,"destination_port":9092}`, "", `"l7":{"type":"REQUEST","kafka":{"topic":"t"}},`), "L3_L4", "L7", 1) +
			strings.Replace(packetOf(2, `"TCP":{"source_port":9092,"destination_port":41446}`, "reply", `"l7":{"type":"RESPONSE","kafka":{}},`), "L3_L4", "L7", 1),
			want: []string{strings.Replace(at(1)+"tcp 10.42.0.7:41446 > 203.0.113.66:9092"+rest, "NEW", "ESTABLISHED", 1), again(at(1)+"tcp 10.42.0.7:41446 > 203.0.113.66:9092"+rest, 2)}},
	})
}

// TestHubblePlaces pins where a flow is filed: by cluster, never by host.
func TestHubblePlaces(t *testing.T) {
	base := packetOf(1, tcpOf(syn), "", egress)
	const at = "2026-11-21T22:26:01.100200300Z " + pool + " state=NEW bytes=-1/-1 "
	unnamed := strings.Replace(base, "policy.cluster=blue", "policy.cluster=default", 1)
	inbound := strings.NewReplacer(`"ID":731,`, "", `EGRESS`, `INGRESS`).Replace(base)
	rows := []variation{
		{name: "cluster/node", text: strings.ReplaceAll(unnamed, "node-1", "green/node-1"), want: []string{at + "from=" + webPod + " cluster=green"}},
		{name: "the default cluster has no name", text: strings.ReplaceAll(unnamed, "node-1", "default/node-1"), want: []string{at + "from=" + webPod}},
		{name: "cluster_name", text: strings.Replace(unnamed, `"ID"`, `"cluster_name":"red","ID"`, 1), want: []string{at + "from=" + webPod + " cluster=red"}},
		{name: "the direction tells the local end where ids were left out", text: strings.Replace(base, `"ID":731,`, "", 1), want: []string{at + "from=" + webPod + " cluster=blue"}},
		{name: "a remote pod has no node, and its cluster may be another", text: inbound, want: []string{at + "from=prod/web-0(StatefulSet prod/web)"}},
		{name: "bare, with a time of seconds and nanos", text: strings.Replace(base[len(`{"flow":`):strings.Index(base, `,"node_name":"node-1","time"`)]+"\n",
			`"2026-11-21T22:26:01.100200300Z"`, `{"seconds":"1795299961","nanos":100200300}`, 1), want: []string{at + "from=" + webPod + " cluster=blue"}},
		{name: "time and node of the wrapping", text: strings.NewReplacer(`"flow":{"time":"2026-11-21T22:26:01.100200300Z",`, `"flow":{`, `"L3_L4","node_name":"node-1",`, `"L3_L4",`).Replace(base),
			want: []string{at + "from=" + webPod + " cluster=blue"}},
	}
	check(t, Hubble(), rows)
	for _, r := range rows {
		for _, e := range read(t, Hubble(), r.text).events {
			if e.Place.Host != "" {
				t.Errorf("%s: host %s", r.name, e.Place.Host)
			}
		}
	}
}

func layer7(sec int, ends, l7 string) string {
	l4 := `"UDP":{"source_port":53100,"destination_port":53}`
	if ends == "reply" {
		l4 = `"UDP":{"source_port":53,"destination_port":53100}`
	}
	return strings.Replace(packetOf(sec, l4, ends, `"l7":`+l7+`,`), "L3_L4", "L7", 1)
}

func TestHubbleLayer7(t *testing.T) {
	const (
		asked    = `{"type":"REQUEST","dns":{"query":"Pool.Example.","qtypes":["A"]}}`
		answered = `{"type":"RESPONSE","dns":{"query":"pool.example.","ips":["203.0.113.9","::ffff:203.0.113.10","x"],"cnames":["edge.example.","bad name"],"qtypes":["A"]}}`
		get      = `{"type":"REQUEST","http":{"method":"GET","url":"http://user:secret@Pool.Example:8080/x?y=1","headers":[{"key":"User-Agent","value":"curl/8"},{"key":"Authorization","value":"secret"},{"key":"X-Request-Id","value":"1"}]}}`
		got      = `{"type":"RESPONSE","latency_ns":"5","http":{"code":200,"method":"GET","url":"http://user:secret@Pool.Example:8080/x?y=1","headers":[{"key":"X-Request-Id","value":"1"},{"key":"User-Agent","value":"server"}]}}`
		dns      = " 10.42.0.7:53100 > 203.0.113.66:53 "
	)
	at := func(sec int) string { return fmt.Sprintf("2026-11-21T22:26:%02d.100200300Z", sec) }
	rest := " of=" + webPod
	check(t, Hubble(), []variation{
		{name: "a question and its answer are one event, at the time of asking", text: layer7(1, "", asked) + layer7(2, "reply", answered),
			want: []string{at(1) + dns + "A pool.example NOERROR 203.0.113.9 203.0.113.10 edge.example" + rest + " record=2026-11-21T22:26:02.1002003Z cluster=blue"}},
		{name: "a question without an answer", text: layer7(1, "", asked) + layer7(2, "", asked),
			want: []string{at(1) + dns + "A pool.example " + rest + " cluster=blue", at(2) + dns + "A pool.example " + rest + " cluster=blue"}},
		{name: "an answer alone", text: layer7(2, "reply", strings.Replace(answered, `"ips"`, `"rcode":3,"ip"`, 1)),
			want: []string{at(2) + dns + "A pool.example NXDOMAIN edge.example" + rest + " cluster=blue"}},
		{name: "an answer long after the question", text: layer7(1, "", asked) + layer7(40, "reply", answered),
			want: []string{at(40) + dns + "A pool.example NOERROR 203.0.113.9 203.0.113.10 edge.example" + rest + " cluster=blue", at(1) + dns + "A pool.example " + rest + " cluster=blue"}},
		{name: "an unusual code", text: layer7(2, "reply", `{"type":2,"dns":{"query":"a.example","rcode":23}}`), want: []string{at(2) + dns + " a.example RCODE23" + rest + " cluster=blue"}},
		{name: "a code that is none", text: layer7(2, "reply", `{"type":2,"dns":{"query":"a.example","rcode":-1}}`), want: []string{at(2) + dns + " a.example " + rest + " cluster=blue"}},
		{name: "no question", text: layer7(1, "", `{"type":"REQUEST","dns":{}}`), skipped: 1},
		{name: "a request and its response", text: layer7(1, "", get) + layer7(2, "reply", got),
			want: []string{at(1) + dns + `GET pool.example /x?y=1 status=200 bytes=-1/-1 agent="curl/8"` + rest + " record=2026-11-21T22:26:02.1002003Z cluster=blue"}},
		{name: "host and path apart", text: layer7(1, "", `{"type":"SAMPLE","http":{"method":"GET","url":"/x","headers":[{"key":"host","value":"[2001:db8::1]:80"}]}}`),
			want: []string{at(1) + dns + `GET 2001:db8::1 /x status=0 bytes=-1/-1 agent=""` + rest + " cluster=blue"}},
		{name: "no path", text: layer7(1, "reply", `{"type":"RESPONSE","http":{"code":"9999","method":"GET","url":"http://pool.example"}}`),
			want: []string{at(1) + dns + `GET pool.example / status=0 bytes=-1/-1 agent=""` + rest + " cluster=blue"}},
		{name: "nothing of a request", text: layer7(1, "", `{"type":"REQUEST","http":{}}`), skipped: 1},
		{name: "neither request nor response", text: layer7(1, "", `{"type":"","dns":{"query":"x"}}`), faults: []string{"neither a request nor a response"}},
	})
}

func TestHubbleOtherRecords(t *testing.T) {
	check(t, Hubble(), []variation{
		{name: "lost events", text: `{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"12","cpu":{"value":3}},"node_name":"blue/node-1","time":"2026-11-21T22:26:01Z"}`,
			want: []string{"2026-11-21T22:26:01Z lost 12: flows lost in HUBBLE_RING_BUFFER cluster=blue"}},
		{name: "lost events, how many is not told", text: `{"lost_events":{},"time":"2026-11-21T22:26:01Z"}`, want: []string{"2026-11-21T22:26:01Z lost -1: flows lost"}},
		{name: "events of the agent", text: `{"agent_event":{"type":"AGENT_STARTED"},"node_name":"n","time":"2026-11-21T22:26:01Z"}` + "\n" +
			`{"debug_event":{"type":"DBG_CT_MATCH"}}` + "\n" + `{"node_status":{"state_change":"NODE_CONNECTED"}}`, skipped: 3},
	})
	base := packetOf(1, tcpOf(syn), "", egress)
	for name, c := range map[string]struct{ text, fault string }{
		"no time":                       {strings.ReplaceAll(base, `"time"`, `"when"`), "no time"},
		"a time without offset":         {strings.ReplaceAll(base, "300Z", "300"), "RFC 3339"},
		"a time of another type":        {strings.Replace(base, `"2026-11-21T22:26:01.100200300Z"`, `{"seconds":-1}`, 1), "seconds"},
		"a time at 0":                   {strings.ReplaceAll(base, "2026-11-21T22:26:01.100200300Z", "1970-01-01T00:00:00Z"), "RFC 3339"},
		"lost events without time":      {`{"lost_events":{}}`, "no time"},
		"lost events twice":             {`{"lost_events":{"source":"a","source":"b"},"time":"2026-11-21T22:26:01Z"}`, "stands twice"},
		"a bad source":                  {strings.Replace(base, "10.42.0.7", "10.42.0.700", 1), "IP.source"},
		"a bad destination":             {strings.Replace(base, "203.0.113.66", "", 1), "IP.destination"},
		"a port out of range":           {strings.Replace(base, "41446", "65536", 1), "not a port"},
		"a negative port":               {strings.Replace(base, "3333", "-1", 1), "not a port"},
		"a verdict twice":               {strings.Replace(base, `"uuid"`, `"verdict":"DROPPED","uuid"`, 1), "stands twice"},
		"a pod twice":                   {strings.Replace(base, `"pod_name"`, `"pod_name":"a","pod_name"`, 1), "stands twice"},
		"a query twice":                 {layer7(1, "", `{"type":"REQUEST","dns":{"query":"a","query":"b"}}`), "stands twice"},
		"another object":                {`{"flow":{"pkts":1},"timestamp":"x"}`, "not a Hubble record"},
		"no object":                     {"hello", "not one JSON value"},
		"cut off":                       {base[:len(base)/2], "not one JSON value"},
		"an array inside":               {`{"flow":[]}`, "not a Hubble record"},
		"seconds beyond every calendar": {strings.Replace(base, `"2026-11-21T22:26:01.100200300Z"`, `{"seconds":9999999999999}`, 1), "seconds"},
	} {
		t.Run(name, func(t *testing.T) { sourcetest.Check(t, Hubble(), c.text, sourcetest.Want{Fault: c.fault}) })
	}
}

// TestHubbleForgets pins the bound: a forgotten connection comes once more, and
// says that it was not new.
func TestHubbleForgets(t *testing.T) {
	small := *Hubble()
	small.New = func(out *source.Output) source.Decoder {
		d := &hubbleDecoder{out: out, seen: newSeenTable(), asked: newAskTable(out)}
		d.asked.limit, d.seen.limit = 2, 2
		return d
	}
	text := ""
	for i := range 5 {
		text += strings.Replace(packetOf(1, tcpOf(syn), "", egress), "41446", fmt.Sprint(1000+i), 1)
	}
	text += strings.Replace(packetOf(2, tcpOf(ack), "", egress), "41446", "1004", 1) + strings.Replace(packetOf(2, tcpOf(ack), "", egress), "41446", "1000", 1)
	// 1004 was seen twice and told OPEN at the end; 1000 had been forgotten.
	r := read(t, &small, text)
	var states []string
	for _, e := range r.events {
		states = append(states, fmt.Sprint(e.Body.(*event.Flow).Src.Port(), e.Body.(*event.Flow).State))
	}
	if got, want := strings.Join(states, " "), "1000NEW 1001NEW 1002NEW 1003NEW 1004NEW 1000ESTABLISHED 1004OPEN"; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	text = ""
	for i := range 5 {
		text += layer7(1+i, "", fmt.Sprintf(`{"type":"REQUEST","dns":{"query":"q%d.example","qtypes":["A"]}}`, i))
	}
	if r := read(t, &small, text); len(r.events) != 5 || r.events[0].Body.(*event.DNS).Query != "q0.example" {
		t.Errorf("%d questions told, want all 5 in their order", len(r.events))
	}
}

// TestHubbleIDs: the same record twice has one id, two records have two.
func TestHubbleIDs(t *testing.T) {
	first, second := packetOf(1, tcpOf(syn), "", egress), packetOf(2, tcpOf(syn), "", egress)
	bare := strings.NewReplacer(`"uuid":"u-1-",`, "", `"uuid":"u-2-",`, "")
	for _, pair := range [][2]string{{first, second}, {bare.Replace(first), bare.Replace(second)}} {
		a, b, c := read(t, Hubble(), pair[0]).events[0], read(t, Hubble(), pair[0]).events[0], read(t, Hubble(), pair[1]).events[0]
		if a.ID != b.ID || a.ID == c.ID {
			t.Errorf("ids %s, %s and %s", a.ID, b.ID, c.ID)
		}
	}
}
