package receive

import (
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// The numbers of fields in OTLP's messages (opentelemetry-proto, logs.proto,
// resource.proto, common.proto). The messages are walked, not unmarshalled:
// two bytes can stand for an empty record that takes hundreds in memory.
const (
	requestResourceLogs = 1
	resourceLogsOf      = 1 // resource
	resourceLogsScopes  = 2
	resourceAttributes  = 1
	scopeLogsRecords    = 2
	recordBody          = 5
	recordAttributes    = 6
	attributeKey        = 1
	attributeValue      = 2
	valueText           = 1
	valueBytes          = 7
)

// fields calls f for every field of a message that holds bytes.
func fields(message []byte, f func(number protowire.Number, content []byte) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errNotOTLP
		}
		message = message[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
				return errNotOTLP
			}
			message = message[n:]
			continue
		}
		content, n := protowire.ConsumeBytes(message)
		if n < 0 {
			return errNotOTLP
		}
		if err := f(number, content); err != nil {
			return err
		}
		message = message[n:]
	}
	return nil
}

// binary reads a request in protobuf.
func (e *export) binary(body []byte) error {
	return fields(body, func(number protowire.Number, content []byte) error {
		if number != requestResourceLogs {
			return nil
		}
		// The resource may stand behind its records.
		resource := attributes{}
		err := fields(content, func(number protowire.Number, content []byte) error {
			if number == resourceLogsOf {
				return resource.binary(content, resourceAttributes)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return fields(content, func(number protowire.Number, content []byte) error {
			if number != resourceLogsScopes {
				return nil
			}
			return fields(content, func(number protowire.Number, content []byte) error {
				if number != scopeLogsRecords {
					return nil
				}
				return e.binaryRecord(resource, content)
			})
		})
	})
}

// binary reads the attributes that are a field of a message.
func (a attributes) binary(message []byte, field protowire.Number) error {
	return fields(message, func(number protowire.Number, content []byte) error {
		if number != field {
			return nil
		}
		var key, value string
		err := fields(content, func(number protowire.Number, content []byte) error {
			switch number {
			case attributeKey:
				key = string(content[:min(len(content), 64)])
			case attributeValue:
				return fields(content, func(number protowire.Number, content []byte) error {
					if number == valueText {
						value = string(content[:min(len(content), 4097)])
					}
					return nil
				})
			}
			return nil
		})
		a.set(key, value)
		return err
	})
}

func (e *export) binaryRecord(resource attributes, message []byte) error {
	own := attributes{}
	if err := own.binary(message, recordAttributes); err != nil {
		return err
	}
	var body []byte
	err := fields(message, func(number protowire.Number, content []byte) error {
		if number != recordBody {
			return nil
		}
		var err error
		body, err = binaryBody(content)
		return err
	})
	if err != nil {
		return err
	}
	return e.take(resource, own, body)
}

// binaryBody is a value as a record.
func binaryBody(value []byte) ([]byte, error) {
	var text []byte
	plain := false
	err := fields(value, func(number protowire.Number, content []byte) error {
		text, plain = content, number == valueText || number == valueBytes
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case plain:
		return text, nil
	case len(value) > maxStructured:
		return nil, errStructured
	}
	var v common.AnyValue
	if err := proto.Unmarshal(value, &v); err != nil {
		return nil, errNotOTLP
	}
	plainly, err := structured(&v, 0)
	if err != nil {
		return nil, err
	}
	return written(plainly)
}

// structured is a value as encoding/json writes it.
func structured(v *common.AnyValue, depth int) (any, error) {
	if depth > maxNested {
		return nil, errStructured
	}
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue, nil
	case *common.AnyValue_BoolValue:
		return v.BoolValue, nil
	case *common.AnyValue_IntValue:
		return v.IntValue, nil
	case *common.AnyValue_DoubleValue:
		return v.DoubleValue, nil
	case *common.AnyValue_BytesValue:
		return string(v.BytesValue), nil
	case *common.AnyValue_ArrayValue:
		list := []any{}
		for _, e := range v.ArrayValue.GetValues() {
			one, err := structured(e, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
		return list, nil
	case *common.AnyValue_KvlistValue:
		object := map[string]any{}
		for _, e := range v.KvlistValue.GetValues() {
			one, err := structured(e.GetValue(), depth+1)
			if err != nil {
				return nil, err
			}
			object[e.GetKey()] = one
		}
		return object, nil
	}
	return nil, nil
}
