package flow

import (
	"tidewaiter/event"
)

// httpEvent reads one record of the log of requests. A connection carries many
// requests, so its key has the depth beside uid and time.
func httpEvent(r row) (event.Event, string, error) {
	h, err := readHead(r)
	if err != nil {
		return event.Event{}, "", err
	}
	h.proto = "tcp" // which the log does not say
	body := &event.HTTP{
		Client: h.src, Server: h.dst,
		Method:   keep(bounded(r.text(fMethod), maxMethod)),
		Host:     hostOf(r.text(fHost)),
		URI:      uriAsSent(r.text(fURI)),
		Agent:    keep(bounded(r.text(fAgent), maxAgent)),
		Status:   statusOf(r.text(fStatus)),
		BytesOut: lengthOf(r.text(fRequestLen)),
		BytesIn:  lengthOf(r.text(fResponseLen)),
	}
	if body.Host == "" { // a proxy's request may name it only in the address
		authority, _ := splitURL(r.text(fURI))
		body.Host = hostOf(authority)
	}
	if body.Method == "" && body.URI == "" && body.Host == "" {
		return event.Event{}, "", errNothing // an answer whose request was not seen
	}
	e := event.Event{Time: h.at, Record: h.writeTS.At, Body: body}
	return e, connKey(r, h) + "|http|" + r.text(fTransDepth), nil
}

// sslEvent reads one record of the log of handshakes.
func sslEvent(r row) (event.Event, string, error) {
	h, err := readHead(r)
	if err != nil {
		return event.Event{}, "", err
	}
	body := &event.TLS{
		Client: h.src, Server: h.dst,
		ServerName: domain(bounded(r.text(fServerName), maxHost)),
		Version:    keep(bounded(r.text(fVersion), 32)),
	}
	if body.ServerName == "" && body.Version == "" {
		return event.Event{}, "", errNothing
	}
	e := event.Event{Time: h.at, Record: h.writeTS.At, Body: body}
	return e, connKey(r, h) + "|ssl", nil
}
