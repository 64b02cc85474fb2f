package golden

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kerasrun/contract"
)

// ContractError says that a pack was written under another contract than the model's: its numbers
// would say nothing of the model.
type ContractError struct {
	Pack        string // its directory
	Command     string // what writes it
	Differences []Difference
}

// Difference is a field of two contracts, as JSON; "none" where one does not have it.
type Difference struct {
	Field string // as "images.resize.method"
	Model string // the model's value
	Pack  string // the pack's
}

func (e *ContractError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: expected a pack of the model's own contract, got another: ", e.Pack)
	for i, d := range e.Differences {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: expected %s, got %s", d.Field, d.Model, d.Pack)
	}
	fmt.Fprintf(&b, ". If the pack is right, export the model again as it says; if the model is, "+
		"write the pack again from the exported directory (`%s` wrote it)", e.Command)
	return b.String()
}

// CheckContract returns a [*ContractError] unless the pack was written under the manifest's
// contract: the same inputs, and outputs that the signature has.
func (p *Pack) CheckContract(m *contract.Manifest) error {
	outputs, ok := m.Outputs[p.Signature]
	var found []Difference
	add := func(field string, model, pack any) {
		found = append(found, Difference{field, jsonOf(model), jsonOf(pack)})
	}
	if !ok {
		add("signature", slices.Sorted(maps.Keys(m.Outputs)), p.Signature)
	}
	for _, name := range p.Outputs {
		if ok && m.Output(p.Signature, name) == nil {
			var names []string
			for _, o := range outputs {
				names = append(names, o.Name)
			}
			add("outputs of "+p.Signature, names, name)
		}
	}
	model, pack := byName(m.Inputs), byName(p.Inputs)
	if got, want := sorted(pack), sorted(model); !slices.Equal(got, want) {
		add("inputs", want, got)
	} else {
		for _, name := range want {
			found = append(found, unequal(name, fields(model[name]), fields(pack[name]))...)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return &ContractError{Pack: p.Dir, Command: p.Command, Differences: found}
}

func byName(inputs []contract.Input) map[string]contract.Input {
	named := map[string]contract.Input{}
	for _, in := range inputs {
		named[in.Name] = in
	}
	return named
}

func sorted(inputs map[string]contract.Input) []string {
	return slices.Sorted(maps.Keys(inputs))
}

// fields are an input's as JSON has them.
func fields(in contract.Input) map[string]any {
	if in.Normalize != nil && in.Normalize.Steps == nil {
		normalize := *in.Normalize
		normalize.Steps = []contract.Step{}
		in.Normalize = &normalize
	}
	var found map[string]any
	if err := json.Unmarshal([]byte(jsonOf(in)), &found); err != nil {
		panic(err) // it was written by jsonOf
	}
	return found
}

// unequal compares two JSON objects field by field; lists are compared as a whole.
func unequal(path string, model, pack map[string]any) (found []Difference) {
	keys := map[string]bool{}
	for _, object := range []map[string]any{model, pack} {
		for key := range object {
			keys[key] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		field := path + "." + key
		a, inA := model[key].(map[string]any)
		b, inB := pack[key].(map[string]any)
		if inA && inB {
			found = append(found, unequal(field, a, b)...)
			continue
		}
		if want, got := jsonOf(model[key]), jsonOf(pack[key]); want != got {
			found = append(found, Difference{field, want, got})
		}
	}
	return found
}

// jsonOf is a value as JSON, with its objects' keys sorted.
func jsonOf(value any) string {
	if value == nil {
		return "none"
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		panic(err) // it holds names and numbers
	}
	return strings.TrimSpace(text.String())
}
