package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"tidewaiter/posture"
	"tidewaiter/posture/document"
)

// Bounds on what is asked of a daemon.
const (
	maxAnswer     = 32 << 20
	maxContainers = 5_000
	apiTimeout    = 20 * time.Second
)

// API is a Docker daemon's API on a local socket. Only requests that read are
// made.
type API struct {
	Socket string
	// Shown is the socket's path as results cite it; "" means Socket.
	Shown  string
	client *http.Client
}

// NewAPI makes a client; nothing is connected yet.
func NewAPI(socket string) *API {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &API{Socket: socket, client: &http.Client{Transport: &http.Transport{DialContext: dial, ResponseHeaderTimeout: apiTimeout, DisableKeepAlives: true}}}
}

// shown is the socket's path as its daemon sees it.
func (a *API) shown() string { return cmp.Or(a.Shown, a.Socket) }

// Stream opens an answer of any length, such as an image's archive. The caller
// bounds and closes it.
func (a *API) Stream(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := a.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		var said struct{ Message string }
		body, _ := io.ReadAll(io.LimitReader(res.Body, 4096)) // the status says it already
		if json.Unmarshal(body, &said) == nil && said.Message != "" {
			return nil, fmt.Errorf("%s: %s", res.Status, said.Message)
		}
		return nil, errors.New(res.Status)
	}
	return res.Body, nil
}

func (a *API) get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	body, err := a.Stream(ctx, path)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err == nil && len(data) > maxAnswer {
		err = fmt.Errorf("more than %d MiB", maxAnswer>>20)
	}
	return data, err
}

// ask lists what a daemon has, and keeps what it says of itself in d.
func (g *gatherer) ask(ctx context.Context, a *API, d *document.Daemon) {
	where := func(path string) string { return "GET " + path + " of " + a.shown() }
	in, err := a.get(ctx, "/info")
	if err != nil {
		for _, t := range []posture.Topic{posture.TopicAPI, posture.TopicContainers, posture.TopicImages, posture.TopicNetworks} {
			g.gap(t, where("/info"), err)
		}
		return
	}
	d.Info, d.InfoWhere = in, where("/info")
	g.networksOf(ctx, a, d.Name)
	images := g.containersOf(ctx, a, d.Name)
	for _, id := range images {
		g.imageOf(ctx, a, id)
	}
	if len(images) == 0 {
		g.facts.Looked = append(g.facts.Looked, posture.Looked{Topic: posture.TopicImages, Where: where("/containers/json"), What: "no container runs, so no image is in use"})
	}
}

func (g *gatherer) networksOf(ctx context.Context, a *API, engine string) {
	where := "GET /networks of " + a.shown()
	data, err := a.get(ctx, "/networks")
	var all []json.RawMessage
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		g.gap(posture.TopicNetworks, where, err)
		return
	}
	for _, raw := range all {
		n, err := document.Network(where, raw)
		if err != nil {
			g.gap(posture.TopicNetworks, where, err)
			continue
		}
		n.Engine = engine
		g.facts.Networks = append(g.facts.Networks, n)
	}
}

// containersOf looks at the containers that run and gives their images' ids.
func (g *gatherer) containersOf(ctx context.Context, a *API, engine string) (images []string) {
	list := "GET /containers/json of " + a.shown()
	data, err := a.get(ctx, "/containers/json")
	var all []struct{ ID, ImageID string }
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		g.gap(posture.TopicContainers, list, err)
		return nil
	}
	if len(all) > maxContainers {
		g.gap(posture.TopicContainers, list, fmt.Errorf("%d containers; only %d were looked at", len(all), maxContainers))
		all = all[:maxContainers]
	}
	if len(all) == 0 {
		g.facts.Looked = append(g.facts.Looked, posture.Looked{Topic: posture.TopicContainers, Where: list, What: "none runs"})
	}
	for _, c := range all {
		where := "GET /containers/" + short(c.ID) + "/json of " + a.shown()
		data, err := a.get(ctx, "/containers/"+url.PathEscape(c.ID)+"/json")
		if err != nil {
			g.gap(posture.TopicContainers, where, err)
			continue
		}
		got, err := document.Container(where, data)
		if err != nil {
			g.gap(posture.TopicContainers, where, err)
			continue
		}
		got.Engine = engine
		g.facts.Containers = append(g.facts.Containers, got)
		if !slices.Contains(images, c.ImageID) {
			images = append(images, c.ImageID)
		}
	}
	return images
}

// imageOf looks at one image, and at its history.
func (g *gatherer) imageOf(ctx context.Context, a *API, id string) {
	im, err := a.Image(ctx, id)
	if err != nil {
		g.gap(posture.TopicImages, "GET /images/"+short(id)+"/json of "+a.shown(), err)
		return
	}
	g.facts.Images = append(g.facts.Images, im)
}

// Image describes one image of the daemon, by name or id, with its history.
func (a *API) Image(ctx context.Context, name string) (posture.Image, error) {
	data, err := a.get(ctx, "/images/"+url.PathEscape(name)+"/json")
	if err != nil {
		return posture.Image{}, err
	}
	im, err := document.Image("image inspect of "+a.shown(), data)
	if err != nil {
		return im, err
	}
	data, err = a.get(ctx, "/images/"+url.PathEscape(name)+"/history")
	if err != nil {
		return im, fmt.Errorf("its history: %w", err)
	}
	im.History, err = document.History(data)
	im.HasHistory = err == nil
	return im, err
}

// Save opens the archive of an image, as "docker save" gives it.
func (a *API) Save(ctx context.Context, name string) (io.ReadCloser, error) {
	return a.Stream(ctx, "/images/"+url.PathEscape(name)+"/get")
}

func short(id string) string {
	if len(id) > 19 && id[:7] == "sha256:" {
		return id[7:19]
	}
	return id[:min(12, len(id))]
}
