package registry

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// message is what the resources of one of Harbor's messages share.
type message struct {
	verb string
	at   event.Time
	err  error
	by   event.Principal
	key  string
}

// harborVerbs are Harbor's types of messages about artefacts: since version 2,
// before it, and as CloudEvents.
var harborVerbs = map[string]string{
	"PUSH_ARTIFACT": "push", "PULL_ARTIFACT": "pull", "DELETE_ARTIFACT": "delete",
	"pushImage": "push", "pullImage": "pull", "deleteImage": "delete",
	"harbor.artifact.pushed": "push", "harbor.artifact.pulled": "pull", "harbor.artifact.deleted": "delete",
}

// harborMessage reads the frame of a message in Harbor's own form.
func harborMessage(v jsonrecord.Value) message {
	m := message{verb: harborVerbs[v.String("type")]}
	m.by.Name = bounded(v.String("operator"), maxText)
	text := v.Number("occur_at")
	m.at, m.err = event.ParseEpoch(text)
	if m.err == nil && m.at.At <= 0 {
		m.err = errNoTime
	}
	if m.err != nil {
		m.err = fmt.Errorf("occur_at: %w", m.err)
	}
	m.key = text
	return m
}

// cloudMessage reads the frame of a CloudEvents message.
func cloudMessage(v jsonrecord.Value) message {
	m := message{verb: harborVerbs[v.String("type")], key: bounded(v.String("id"), maxText)}
	m.by.Name = bounded(v.String("operator"), maxText)
	m.at, m.err = timeOf(v.Get("time"), "time")
	return m
}

// action reads one resource of the message.
func (m message) action(v jsonrecord.Value) (action, error) {
	switch {
	case m.verb == "":
		return action{}, errNothing // scans, quotas, replications
	case m.err != nil:
		return action{}, m.err
	}
	a := action{
		verb: m.verb, at: m.at, by: m.by,
		digest:    bounded(v.String("digest"), maxText),
		reference: bounded(v.String("resource_url"), maxText),
	}
	if a.reference == "" {
		return action{}, errors.New("no resource_url")
	}
	a.registry, _, _ = strings.Cut(a.reference, "/")
	a.key = strings.Join([]string{m.verb, m.key, strconv.FormatInt(m.at.At, 10), a.reference, a.digest, bounded(v.String("tag"), maxText)}, "|")
	return a, nil
}

// ecrAction reads an event of Amazon ECR. It does not say who asked; CloudTrail
// does.
func ecrAction(v jsonrecord.Value) (action, error) {
	detail := v.Get("detail")
	if v.String("detail-type") != "ECR Image Action" || detail.String("result") != "SUCCESS" {
		return action{}, errNothing
	}
	a := action{
		place:      event.Place{Account: bounded(v.String("account"), maxText), Region: bounded(v.String("region"), maxText)},
		verb:       strings.ToLower(detail.String("action-type")),
		repository: bounded(detail.String("repository-name"), maxText),
		tag:        bounded(detail.String("image-tag"), maxText),
		digest:     bounded(detail.String("image-digest"), maxText),
		mediaType:  bounded(detail.String("manifest-media-type"), maxText),
		key:        bounded(v.String("id"), maxText),
	}
	switch a.verb {
	case "push", "pull", "delete":
	case "":
		return action{}, errors.New("no action (detail.action-type)")
	default:
		return action{}, errNothing
	}
	var err error
	if a.at, err = timeOf(v.Get("time"), "time"); err != nil {
		return action{}, err
	}
	if a.place.Account == "" || a.place.Region == "" {
		return action{}, errors.New("no registry: account and region name it")
	}
	a.registry = a.place.Account + ".dkr.ecr." + a.place.Region + ".amazonaws.com"
	if strings.HasPrefix(a.place.Region, "cn-") {
		a.registry += ".cn"
	}
	a.host = a.registry
	if a.key == "" {
		a.key = strings.Join([]string{strconv.FormatInt(a.at.At, 10), a.verb, a.repository, a.tag, a.digest}, "|")
	}
	return a, nil
}
