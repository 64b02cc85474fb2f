package serve

import (
	"google.golang.org/protobuf/reflect/protoreflect"
)

// jsonOf is a message as Triton writes it in JSON: the fields' own names, all of them but messages
// that are not there, and numbers of 64 bits as numbers, where protobuf's own JSON has strings.
func jsonOf(m protoreflect.Message) map[string]any {
	object := map[string]any{}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.HasPresence() && !m.Has(field) {
			continue
		}
		object[string(field.Name())] = jsonField(field, m.Get(field))
	}
	return object
}

func jsonField(field protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch {
	case field.IsMap():
		object := map[string]any{}
		v.Map().Range(func(key protoreflect.MapKey, element protoreflect.Value) bool {
			object[key.String()] = jsonSingle(field.MapValue(), element)
			return true
		})
		return object
	case field.IsList():
		list := make([]any, v.List().Len())
		for i := range list {
			list[i] = jsonSingle(field, v.List().Get(i))
		}
		return list
	}
	return jsonSingle(field, v)
}

func jsonSingle(field protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch field.Kind() {
	case protoreflect.MessageKind:
		return jsonOf(v.Message())
	case protoreflect.EnumKind:
		return string(field.Enum().Values().ByNumber(v.Enum()).Name())
	}
	return v.Interface()
}
