package flow

import (
	"tidewaiter/event"
)

// httpEvent reads one record of the log of requests. A connection carries many
// requests, so its key has the depth beside uid and time.
func (c *converter) httpEvent(r row) (event.Event, error) {
	h, err := c.readHead(r)
	if err != nil {
		return event.Event{}, err
	}
	h.proto = "tcp" // which the log does not say
	uri := string(r.text(fURI))
	body := &event.HTTP{
		Client: h.src, Server: h.dst,
		Method:   bounded(c.words.Of(r.text(fMethod)), maxMethod),
		Host:     hostOf(c.words.Of(r.text(fHost))),
		URI:      uriAsSent(uri),
		Agent:    bounded(c.words.Of(r.text(fAgent)), maxAgent),
		Status:   statusOf(r.text(fStatus)),
		BytesOut: lengthOf(r.text(fRequestLen)),
		BytesIn:  lengthOf(r.text(fResponseLen)),
	}
	if body.Host == "" { // a proxy's request may name it only in the address
		authority, _ := splitURL(uri)
		body.Host = hostOf(authority)
	}
	if body.Method == "" && body.URI == "" && body.Host == "" {
		return event.Event{}, errNothing // an answer whose request was not seen
	}
	e := event.Event{Time: h.at, Record: h.writeTS.At, Body: body}
	c.connKey(r, &h)
	c.key = append(append(c.key, "|http|"...), r.text(fTransDepth)...)
	return e, nil
}

// sslEvent reads one record of the log of handshakes.
func (c *converter) sslEvent(r row) (event.Event, error) {
	h, err := c.readHead(r)
	if err != nil {
		return event.Event{}, err
	}
	body := &event.TLS{
		Client: h.src, Server: h.dst,
		ServerName: domain(bounded(c.words.Of(r.text(fServerName)), maxHost)),
		Version:    bounded(c.words.Of(r.text(fVersion)), 32),
	}
	if body.ServerName == "" && body.Version == "" {
		return event.Event{}, errNothing
	}
	e := event.Event{Time: h.at, Record: h.writeTS.At, Body: body}
	c.connKey(r, &h)
	c.key = append(c.key, "|ssl"...)
	return e, nil
}
