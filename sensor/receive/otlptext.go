package receive

import (
	"bytes"
	"encoding/json"
	"errors"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// each decodes the elements of an array one after another: an element of three
// bytes can take hundreds in memory.
func each[T any](array json.RawMessage, f func(T) error) error {
	if len(array) == 0 || bytes.Equal(array, []byte("null")) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(array))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return errNotOTLP
	}
	for d.More() {
		var one T
		if err := d.Decode(&one); err != nil {
			return errNotOTLP
		}
		if err := f(one); err != nil {
			return err
		}
	}
	return nil
}

// The messages of OTLP in JSON, as far as they are read.
type (
	textRequest struct {
		ResourceLogs json.RawMessage `json:"resourceLogs"`
	}
	textResource struct {
		Resource struct {
			Attributes json.RawMessage `json:"attributes"`
		} `json:"resource"`
		ScopeLogs json.RawMessage `json:"scopeLogs"`
	}
	textScope struct {
		LogRecords json.RawMessage `json:"logRecords"`
	}
	textRecord struct {
		Attributes json.RawMessage `json:"attributes"`
		Body       json.RawMessage `json:"body"`
	}
	textAttribute struct {
		Key   string          `json:"key"`
		Value json.RawMessage `json:"value"`
	}
	textValue struct {
		StringValue *string `json:"stringValue"`
	}
)

// text reads a request in JSON.
func (e *export) text(body []byte) error {
	var request textRequest
	if err := json.Unmarshal(body, &request); err != nil {
		return errNotOTLP
	}
	return each(request.ResourceLogs, func(of textResource) error {
		resource := attributes{}
		if err := resource.text(of.Resource.Attributes); err != nil {
			return err
		}
		return each(of.ScopeLogs, func(scope textScope) error {
			return each(scope.LogRecords, func(record textRecord) error {
				return e.textRecord(resource, record)
			})
		})
	})
}

// text reads attributes.
func (a attributes) text(list json.RawMessage) error {
	return each(list, func(one textAttribute) error {
		var v textValue
		// None of those that are read is anything but text.
		if err := json.Unmarshal(one.Value, &v); err == nil && v.StringValue != nil {
			a.set(one.Key, *v.StringValue)
		}
		return nil
	})
}

func (e *export) textRecord(resource attributes, record textRecord) error {
	own := attributes{}
	if err := own.text(record.Attributes); err != nil {
		return err
	}
	body, err := textBody(record.Body)
	if err != nil {
		return err
	}
	return e.take(resource, own, body)
}

// textBody is a value as a record.
func textBody(value json.RawMessage) ([]byte, error) {
	if len(value) == 0 {
		return nil, nil
	}
	var plain textValue
	if err := json.Unmarshal(value, &plain); err != nil {
		return nil, errNotOTLP
	}
	if plain.StringValue != nil {
		return []byte(*plain.StringValue), nil
	}
	if len(value) > maxStructured {
		return nil, errStructured
	}
	var v common.AnyValue
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: 4 * maxNested}).Unmarshal(value, &v); err != nil {
		return nil, errors.Join(errNotOTLP, err)
	}
	plainly, err := structured(&v, 0)
	if err != nil {
		return nil, err
	}
	return written(plainly)
}
