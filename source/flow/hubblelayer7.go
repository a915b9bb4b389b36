package flow

import (
	"net/netip"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// exchange emits what a record of layer 7 says. A request waits for its
// response; a response comes with its request, if that was seen.
func (d *hubbleDecoder) exchange(rec source.Record, p *hubblePacket) error {
	l7 := p.flow.Get("l7")
	kind := enumName(l7.Number("type"), hubbleMessages)
	if kind == "" {
		return errNoLayer7
	}
	response := kind == "RESPONSE"
	client, server := p.src, p.dst
	if response {
		client, server = server, client
	}
	var body event.Body
	var id string
	switch {
	case l7.Get("dns").IsObject():
		body, id = hubbleDNS(l7.Get("dns"), client, server, response)
	case l7.Get("http").IsObject():
		body, id = hubbleHTTP(l7.Get("http"), client, server, response)
	default: // Kafka and the like: that there is a connection, no more
		p.toward, p.flags = forward, false
		if response {
			p.toward = backward
		}
		return d.connection(rec, p)
	}
	if id == "" {
		return errNothing
	}
	of := p.pod("source", p.srcLocal)
	if response {
		of = p.pod("destination", p.dstLocal)
	}
	key := p.key()
	if err := d.parser.Fault(); err != nil {
		return err
	}
	e := event.Event{Time: p.at, Place: event.Place{Cluster: p.cluster}, Body: withPod(body, of)}
	id = p.cluster + "|" + client.String() + "|" + server.String() + "|" + id
	if kind == "REQUEST" {
		d.asked.ask(&asked{id: id, at: p.at.At, event: e, key: key, span: rec.Span})
		return nil
	}
	spans := []event.Span{rec.Span}
	if q := d.asked.answer(id, p.at.At); response && q != nil {
		completeHTTP(body, q.event.Body)
		e.Time, e.Record = q.event.Time, p.at.At
		key += "|" + q.key
		spans = append(spans, q.span)
	}
	d.out.Event(e, []byte(key), spans...)
	return nil
}

func withPod(body event.Body, of *event.PodRef) event.Body {
	switch b := body.(type) {
	case *event.DNS:
		b.Of = of
	case *event.HTTP:
		b.Of = of
	}
	return body
}

// hubbleDNS reads what the DNS proxy logged. The id tells questions of one
// client apart; it is "" if there is no question.
func hubbleDNS(v jsonrecord.Value, client, server netip.AddrPort, response bool) (*event.DNS, string) {
	b := &event.DNS{Client: client, Server: server, Query: domain(bounded(v.String("query"), maxHost))}
	if b.Query == "" {
		return nil, ""
	}
	if types := v.Get("qtypes").Strings(); len(types) > 0 {
		b.Type = keep(bounded(types[0], 32))
	}
	if response {
		b.Code = "NOERROR" // protobuf's JSON leaves a zero out
		if code := v.Number("rcode"); code != "" {
			b.Code = numbered(code, codeNames, "RCODE")
		}
		for _, s := range v.Get("ips").Strings() {
			if a, err := netip.ParseAddr(s); err == nil && len(b.Addrs) < maxAnswers {
				b.Addrs = append(b.Addrs, a.Unmap())
			}
		}
		for _, s := range v.Get("cnames").Strings() {
			if n := domain(s); isHostName(n) && len(b.Names) < maxAnswers {
				b.Names = append(b.Names, n)
			}
		}
	}
	return b, "dns|" + b.Query + "|" + b.Type
}

// maxAnswers bounds the addresses and names of one answer. 64 KiB of a DNS
// message hold about 4,000 addresses.
const maxAnswers = 4096

// numbered is what a number is called, or prefix and number; "" if it is none.
func numbered(number string, names map[string]string, prefix string) string {
	if name, ok := names[number]; ok {
		return name
	}
	if !isDigits(number) || len(number) > 5 {
		return ""
	}
	return keep(prefix + number)
}

// hubbleHTTP reads what the HTTP proxy logged. Of the headers, which hold
// credentials, only two are looked at.
func hubbleHTTP(v jsonrecord.Value, client, server netip.AddrPort, response bool) (*event.HTTP, string) {
	authority, uri := splitURL(v.String("url"))
	b := &event.HTTP{
		Client: client, Server: server, BytesOut: -1, BytesIn: -1,
		Method: keep(bounded(v.String("method"), maxMethod)), Host: hostOf(authority), URI: uriAsSent(uri),
	}
	if b.URI == "" && authority != "" {
		b.URI = "/"
	}
	if response {
		b.Status = statusOf(v.Number("code"))
	}
	request := ""
	for _, h := range v.Array("headers") {
		switch name := h.String("key"); {
		case strings.EqualFold(name, "x-request-id"):
			request = h.String("value")
		case strings.EqualFold(name, "user-agent") && !response:
			b.Agent = bounded(h.String("value"), maxAgent)
		case strings.EqualFold(name, "host") && !response && b.Host == "":
			b.Host = hostOf(h.String("value"))
		}
	}
	if b.Method == "" && b.URI == "" {
		return nil, ""
	}
	return b, "http|" + b.Method + "|" + b.Host + b.URI + "|" + bounded(request, maxHost)
}

// completeHTTP takes from a request what its response does not repeat.
func completeHTTP(body, asked event.Body) {
	b, ok := body.(*event.HTTP)
	q, too := asked.(*event.HTTP)
	if !ok || !too {
		return
	}
	b.Agent = q.Agent
	if b.Host == "" {
		b.Host = q.Host
	}
}
