package policy

import (
	"encoding/json"
	"fmt"
	"slices"
)

// SchemaID is the identifier of the published JSON Schema.
const SchemaID = "https://tidewaiter.example/schema/policy-1.json"

// Schema gives the JSON Schema (draft 2020-12) of policy files with this
// vocabulary, for editors and for other tools. What a schema cannot say, such
// as that two scopes may not tie, only Load checks.
func Schema(v *Vocabulary) ([]byte, error) {
	shared := map[string]any{}
	for _, s := range v.Settings {
		shared[s.Name] = s.schema("")
		if s.Type.IsList() {
			shared[s.Name+"+"] = s.Type.schema("Added to what is inherited. " + s.Doc)
		}
	}
	for id, tunables := range v.Analytics {
		props := map[string]any{}
		for _, t := range tunables {
			prefix := ""
			if t.Bound != "" {
				prefix = "Overrides " + t.Bound + " for " + id + " alone. "
			}
			props[t.Name] = t.schema(prefix)
		}
		shared[id] = optional(object(props, "Tunables of "+id+", by MITRE's names."))
	}
	claims := map[string]any{}
	for _, by := range matchKeys() {
		claims[by] = Patterns.schema("Patterns for the scope's " + by + "; \"*\" stands for any characters.")
	}
	scope := map[string]any{
		"match":    optional(object(claims, "What the scope claims: anything that fits one of these.")),
		"inherits": map[string]any{"type": "string", "minLength": 1, "description": "The scope whose settings hold where this one says nothing."},
	}
	for name := range shared { // what is said of a setting stands once
		scope[name] = map[string]any{"$ref": "#/properties/settings/properties/" + name}
	}
	root := object(map[string]any{
		"version":      map[string]any{"const": 1, "description": "The version of this format."},
		"learning":     Duration.schema("How long memory must have been filled before \"never seen\" counts. Default: 7d."),
		"asn_database": map[string]any{"type": "string", "minLength": 1, "description": "A MaxMind DB file that tells autonomous systems by address, from the policy's folder."},
		"first_seen":   optional(firstSeenSchema()),
		"lateness":     optional(latenessSchema()),
		"mirrors": optional(map[string]any{
			"type": "object", "description": "Registries, or paths below them, that serve another's images: mirror.example/docker-hub: docker.io.",
			"additionalProperties": map[string]any{"type": "string", "minLength": 1},
		}),
		"default_scope": map[string]any{"type": "string", "minLength": 1, "description": "The scope of what no scope claims."},
		"addresses": optional(object(map[string]any{
			"internal": networks("Networks that are yours although they are publicly routable."),
			"public":   networks("Networks that count as public although they are reserved."),
		}, "What counts as public address space, where that differs from the usual.")),
		"settings": optional(object(shared, "Settings that hold everywhere unless a scope says otherwise.")),
		"scopes": optional(map[string]any{
			"type": "object", "description": "Parts of the site with their own settings.",
			"propertyNames":        map[string]any{"minLength": 1},
			"additionalProperties": optional(object(scope, "One scope.")),
		}),
	}, "What a site says about itself, for tidewaiter.")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = SchemaID
	root["title"] = "tidewaiter policy"
	root["required"] = []string{"version"}
	forms := map[string]any{}
	for _, t := range Types() {
		forms[string(t)] = t.form()
	}
	root["$defs"] = forms
	b, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write schema: %w", err)
	}
	return append(b, '\n'), nil
}

func object(props map[string]any, doc string) map[string]any {
	return map[string]any{"type": "object", "description": doc, "properties": props, "additionalProperties": false}
}

// optional lets a mapping stand empty, which YAML reads as null.
func optional(object map[string]any) map[string]any {
	object["type"] = []string{"object", "null"}
	return object
}

func networks(doc string) map[string]any {
	form := list(map[string]any{"type": "string", "pattern": `^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$`})
	form["description"] = doc
	return form
}

// list allows one plain value in place of a list of one.
func list(item map[string]any) map[string]any {
	return map[string]any{"anyOf": []any{item, map[string]any{"type": "array", "items": item}}}
}

// schema is the JSON Schema of a setting.
func (s Setting) schema(prefix string) map[string]any {
	sch := s.Type.schema(prefix + s.Doc)
	v, _ := NewValue(s.Type, s.Default)
	switch {
	case !s.IsSet:
	case s.Type == Number:
		sch["default"] = v.Number()
	case s.Type == Flag:
		sch["default"] = v.Flag()
	case s.Type == Duration:
		sch["default"] = s.written()
	default:
		sch["default"] = slices.Concat([]string{}, s.Default)
	}
	return sch
}

// port is a number from 1 to 65535 without leading zeros.
const port = `(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})`

// schema is the JSON Schema of a value of the type.
func (t Type) schema(doc string) map[string]any {
	return map[string]any{"$ref": "#/$defs/" + string(t), "description": doc}
}

// form is what values of the type look like.
func (t Type) form() map[string]any {
	text := func(pattern string) map[string]any { return map[string]any{"type": "string", "pattern": pattern} }
	switch t {
	case Images:
		return list(text(`^[^:@*\s/]+(:[0-9]+)?(/[^:@\s/]+)*(@sha(256|384|512):[0-9a-f]+)?$`))
	case Releases:
		return list(text(`^[^@*\s]+:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}@sha(256|384|512):[0-9a-f]+$`))
	case Publishers:
		return list(text(`^[^@*\s/]+(/[^:@\s/]+)* by \S(.*\S)?$`))
	case VMImages:
		return list(text(`^(image:.*[^* ].*|(owner|project|publisher|gallery|product|plan):[^*]*[^* ][^*]*)$`))
	case Destinations:
		return list(text(`^([0-9A-Fa-f:.]+(/[0-9]{1,3})?|(\*\.)?[^.*/:\s]+(\.[^.*/:\s]+)*\.?)$`))
	case Ports:
		return list(map[string]any{"anyOf": []any{
			map[string]any{"type": "integer", "minimum": 1, "maximum": 65535},
			text("^" + port + "(-" + port + ")?$"),
		}})
	case Duration:
		return map[string]any{"type": "string", "pattern": durationForm, "minLength": 2}
	case Number:
		return map[string]any{"type": "number"}
	case Flag:
		return map[string]any{"type": "boolean"}
	}
	return list(text(`^\S([\s\S]*\S)?$`))
}
