package flow

import (
	"net/netip"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// dns reads a query or an answer, of any of the three generations:
//
//   - version 1: type query or answer, one answer record each, with rrname,
//     rrtype and rdata;
//   - version 2: all answers in one record, in answers or grouped by type, and
//     the query's name in rrname (in its first releases nowhere else than in
//     the answers);
//   - version 3: type request or response, and the query in queries.
func (d *eveDecoder) dns(rec source.Record, h *eveHead) error {
	client, server := h.src, h.dst
	if client.Port() == 53 && server.Port() != 53 {
		client, server = server, client // an answer printed as its packet went
	}
	b := &event.DNS{Client: client, Server: server}
	answer := false
	switch h.of.String("type") {
	case "answer", "response":
		answer = true
	}
	b.Query, b.Type = eveQuestion(h.of)
	if answer {
		b.Code = h.code()
		eveAnswers(h.of, b)
	}
	id := h.flow + "|" + bounded(h.of.Number("id"), 16) + "|" + b.Query
	key := h.key(h.at) + "|" + id + "|" + bounded(h.of.Number("tx_id")+"|"+h.of.Number("rdata"), maxHost)
	if err := d.parser.Fault(); err != nil {
		return err
	}
	if b.Query == "" {
		return errNothing
	}
	e := event.Event{Time: h.at, Body: b}
	if !answer {
		d.asked.ask(&asked{id: id, at: h.at.At, event: e, key: key, span: rec.Span})
		return nil
	}
	spans := []event.Span{rec.Span}
	if q := d.asked.answer(id, h.at.At); q != nil {
		e.Time, e.Record = q.event.Time, h.at.At
		key += "|" + q.key
		spans = append(spans, q.span)
		if asked, ok := q.event.Body.(*event.DNS); ok && asked.Type != "" {
			b.Type = asked.Type
		}
	}
	d.out.Event(e, []byte(key), spans...)
	return nil
}

// eveQuestion finds the name and type that were asked for.
func eveQuestion(v jsonrecord.Value) (name, kind string) {
	asked := v
	if list := v.Array("queries"); len(list) > 0 {
		asked = list[0]
	} else if v.String("rrname") == "" {
		if list := v.Array("answers"); len(list) > 0 {
			asked = list[0]
		}
	}
	return domain(bounded(asked.String("rrname"), maxHost)), keep(bounded(asked.String("rrtype"), 32))
}

// code is the answer's code: a name, or a number that Suricata had no name for.
func (h *eveHead) code() string {
	text := h.of.Number("rcode")
	if name := numbered(text, codeNames, "RCODE"); name != "" {
		return name
	}
	return keep(bounded(text, 32))
}

// eveAnswers collects addresses and names of an answer.
func eveAnswers(v jsonrecord.Value, b *event.DNS) {
	add := func(kind string, data jsonrecord.Value) {
		text := data.String()
		switch {
		case !data.IsString() || len(b.Addrs)+len(b.Names) >= maxAnswers:
		case kind == "A" || kind == "AAAA":
			if a, err := netip.ParseAddr(text); err == nil {
				b.Addrs = append(b.Addrs, a.Unmap())
			}
		case namesHost(kind):
			if n := domain(text); isHostName(n) {
				b.Names = append(b.Names, n)
			}
		}
	}
	add(v.String("rrtype"), v.Get("rdata"))
	answers := v.Array("answers")
	for _, a := range answers {
		add(a.String("rrtype"), a.Get("rdata"))
	}
	if len(answers) > 0 {
		return // grouped says the same again
	}
	v.Each(func(kind string, list jsonrecord.Value) {
		for _, data := range list.Array() {
			add(kind, data)
		}
	}, "grouped")
}

// namesHost reports whether records of this type hold a host's name; a TXT
// record may look like one.
func namesHost(kind string) bool {
	switch strings.ToUpper(kind) {
	case "CNAME", "DNAME", "NS", "PTR", "MX":
		return true
	}
	return false
}
