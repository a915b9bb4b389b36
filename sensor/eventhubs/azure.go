package eventhubs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/Azure/go-amqp"

	"tidewaiter/sensor"
)

const (
	// batch bounds the events that are received at once, prefetch those that
	// wait for it; an event has at most 1 MiB.
	batch    = 100
	prefetch = 100
	// receiveTime is how long is waited for an event.
	receiveTime = 2 * time.Second
	// dialTime bounds the search for credentials and the first question.
	dialTime = time.Minute
)

// dial connects to Azure, with credentials as every program of Azure finds them.
func (s *Sensor) dial(context.Context) (Hub, error) {
	identity, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, lackCredentials(err)
	}
	client, err := azeventhubs.NewConsumerClient(s.opt.Namespace, s.opt.Hub, s.opt.Group, identity, nil)
	if err != nil {
		return nil, &sensor.Lack{What: "no hub of Event Hubs: " + s.opt.Namespace + "/" + s.opt.Hub, Mend: "correct namespace and hub", Err: err}
	}
	return &azure{client}, nil
}

func lackCredentials(err error) error {
	return &sensor.Lack{
		What: "no credentials of Azure", Err: err,
		Mend: "give this host a managed identity, or set AZURE_CLIENT_ID and what belongs to it; docs/formats/cloud.md has the role",
	}
}

// azure is a Hub.
type azure struct{ client *azeventhubs.ConsumerClient }

// Partitions implements Hub.
func (a *azure) Partitions(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	p, err := a.client.GetEventHubProperties(ctx, nil)
	return p.PartitionIDs, err
}

// Last implements Hub.
func (a *azure) Last(ctx context.Context, partition string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	p, err := a.client.GetPartitionProperties(ctx, partition, nil)
	return p.LastEnqueuedSequenceNumber, err
}

// Open implements Hub.
func (a *azure) Open(partition string, after *int64) (Partition, error) {
	from := azeventhubs.StartPosition{Earliest: to.Ptr(true)}
	if after != nil {
		from = azeventhubs.StartPosition{SequenceNumber: after}
	}
	p, err := a.client.NewPartitionClient(partition, &azeventhubs.PartitionClientOptions{StartPosition: from, Prefetch: prefetch})
	if err != nil {
		return nil, err
	}
	return azurePartition{p}, nil
}

// Close implements Hub.
func (a *azure) Close(ctx context.Context) error { return a.client.Close(ctx) }

type azurePartition struct{ client *azeventhubs.PartitionClient }

// Receive implements Partition.
func (p azurePartition) Receive(ctx context.Context) ([]Event, error) {
	ctx, cancel := context.WithTimeout(ctx, receiveTime)
	defer cancel()
	got, err := p.client.ReceiveEvents(ctx, batch, nil)
	if err != nil && !(errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil) {
		return nil, err
	}
	var all []Event
	for _, e := range got {
		all = append(all, Event{Body: e.Body, Sequence: e.SequenceNumber})
	}
	return all, nil
}

// Close implements Partition.
func (p azurePartition) Close(ctx context.Context) error { return p.client.Close(ctx) }

// lack tells what an error says is missing.
func lack(err error) error {
	var hub *azeventhubs.Error
	var link *amqp.Error
	var auth *azidentity.AuthenticationFailedError
	switch {
	case errors.As(err, &auth), strings.Contains(err.Error(), "DefaultAzureCredential"):
		return lackCredentials(err) // the chain's own error has no exported type
	case errors.As(err, &hub) && hub.Code == azeventhubs.ErrorCodeUnauthorizedAccess, errors.As(err, &link) && link.Condition == amqp.ErrCondUnauthorizedAccess:
		return &sensor.Lack{What: "reading the hub is not allowed", Mend: "grant the role Azure Event Hubs Data Receiver on it", Err: err}
	case errors.As(err, &hub) && hub.Code == azeventhubs.ErrorCodeOwnershipLost:
		return &sensor.Lack{What: "another reader has taken the partition", Mend: "give this daemon a consumer group of its own", Err: err}
	case errors.As(err, &link) && link.Condition == amqp.ErrCondNotFound:
		return &sensor.Lack{What: "the hub or its consumer group does not exist", Mend: "make it, or correct hub and consumer_group", Err: err}
	}
	return fmt.Errorf("reading the hub: %w", err)
}
