package eventhubs

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/Azure/go-amqp"

	"tidewaiter/sensor"
)

func TestLacks(t *testing.T) {
	for want, err := range map[string]error{
		"reading the hub is not allowed":               &azeventhubs.Error{Code: azeventhubs.ErrorCodeUnauthorizedAccess},
		"another reader":                               &azeventhubs.Error{Code: azeventhubs.ErrorCodeOwnershipLost},
		"the hub or its consumer group does not exist": fmt.Errorf("x: %w", &amqp.Error{Condition: amqp.ErrCondNotFound}),
		"no credentials of Azure":                      errors.New("DefaultAzureCredential: failed to acquire a token"),
	} {
		if l, ok := sensor.AsLack(lack(err)); !ok || !strings.HasPrefix(l.What, want) || l.Mend == "" {
			t.Errorf("%s: %+v", want, l)
		}
	}
	if _, ok := sensor.AsLack(lack(errors.New("reset"))); ok {
		t.Error("an interruption is a lack")
	}
}
