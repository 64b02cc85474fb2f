package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"kerasrun/contract"
	"kerasrun/internal/vouched"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

func newInspectCommand() *cobra.Command {
	var model modelDir
	cmd := &cobra.Command{
		Use:   "inspect [DIR]",
		Short: "Show what is in a model's directory",
		Long: `Show a model's manifest, its graphs with their signatures, parameters and operations, and
its files, as saved_model_cli show does; the SHA-256 of all of them, which --model-sha256 takes, and
what vouches for it.

The model is read without TensorFlow and nothing of it is run. The parameters of a graph are counted
in the graph; those of the manifest are the published architecture's. FLOPs are the manifest's, and
a multiply-add is two. ` + "`kerasrun scan`" + ` lists the problems of a directory.`,
		Example: `  kerasrun inspect
  kerasrun inspect --format json models/mine | jq '.graphs[].signatures | keys'`,
		Args:              optionalModel,
		ValidArgsFunction: completeModel,
	}
	format := addFormat(cmd, "text", "json")
	model.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := model.argument(cmd, args); err != nil {
			return err
		}
		m, err := model.read(cmd.Context())
		if err != nil {
			return err
		}
		d := describe(model.dir, m)
		if err := d.describeQuantized(cmd.Context(), &model, m); err != nil {
			return err
		}
		if err := d.vouch(cmd.Context(), m); err != nil {
			return err
		}
		if format.value == "json" {
			err = writeJSON(cmd.OutOrStdout(), d)
		} else {
			err = d.write(cmd.OutOrStdout())
		}
		if err != nil {
			return err
		}
		return manifestFault(cmd.Context(), m)
	}
	return cmd
}

// manifestFault is why a manifest that is there could not be shown.
func manifestFault(ctx context.Context, m *savedmodel.Model) error {
	hasOne := slices.ContainsFunc(m.Files, func(f savedmodel.File) bool {
		return f.Path == contract.ManifestPath
	})
	if m.Manifest != nil || !hasOne {
		return nil
	}
	others := slices.DeleteFunc(savedmodel.Checks(), func(c savedmodel.Check) bool {
		return c == savedmodel.CheckManifest
	})
	findings, err := m.Scan(ctx, savedmodel.Skip(others...))
	if err != nil {
		return err
	}
	return savedmodel.Join(findings)
}

// description is what inspect shows; its JSON is the one of --format json.
type description struct {
	Path     string             `json:"path"`
	Contract *contract.Manifest `json:"contract"` // null where there is no manifest
	// Quantized is the manifest of the quantized graph; it is left out where there is none.
	Quantized *contract.Manifest    `json:"quantized,omitempty"`
	Graphs    []graphDescription    `json:"graphs"`
	Variables []variableDescription `json:"variables"`
	Files     []fileDescription     `json:"files"`
	Bytes     int64                 `json:"bytes"` // of all files
	// SHA256 is of all files; "" where links lead out of the directory.
	SHA256  string          `json:"sha256"`
	Vouched []vouched.Entry `json:"vouched"` // what vouches for it in this user's cache
	unknown string          // why nothing does
}

type graphDescription struct {
	Tags       []string                        `json:"tags"`
	TensorFlow string                          `json:"tensorflow"` // the version that wrote it
	Signatures map[string]signatureDescription `json:"signatures"`
	Operations map[string]int                  `json:"operations"` // in the graph and its functions
	Functions  []string                        `json:"functions"`
}

type signatureDescription struct {
	Method     string                       `json:"method"`
	Inputs     map[string]tensorDescription `json:"inputs"`
	Outputs    map[string]tensorDescription `json:"outputs"`
	Parameters *int64                       `json:"parameters"` // null where the graph does not say
}

type tensorDescription struct {
	Name  string       `json:"name"` // of the graph's tensor
	DType string       `json:"dtype"`
	Shape tensor.Shape `json:"shape"` // -1 is a free dimension; null where the rank is unknown
}

type variableDescription struct {
	Name  string       `json:"name"`
	DType string       `json:"dtype"`
	Shape tensor.Shape `json:"shape"`
	Bytes int64        `json:"bytes"`
}

type fileDescription struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

func describe(dir string, m *savedmodel.Model) description {
	d := description{
		Path: dir, Contract: m.Manifest, Graphs: []graphDescription{},
		Variables: []variableDescription{}, Files: []fileDescription{},
	}
	for i := range m.MetaGraphs {
		d.Graphs = append(d.Graphs, describeGraph(&m.MetaGraphs[i]))
	}
	for _, v := range m.Variables {
		d.Variables = append(d.Variables,
			variableDescription{v.Name, v.DType.String(), v.Shape, v.Bytes})
	}
	for _, f := range m.Files {
		d.Files = append(d.Files, fileDescription(f))
		d.Bytes += f.Bytes
	}
	return d
}

// describeQuantized describes the quantized graph of the directory, where it has one.
func (d *description) describeQuantized(
	ctx context.Context, model *modelDir, m *savedmodel.Model,
) error {
	if !slices.ContainsFunc(m.Files, func(f savedmodel.File) bool {
		return f.Path == path.Join(contract.Int8Dir, contract.ManifestPath)
	}) {
		return nil
	}
	whole, err := model.whole(ctx)
	if err != nil {
		return err
	}
	quantized, err := savedmodel.Open(ctx, filepath.Join(whole, contract.Int8Dir))
	if err != nil {
		return err
	}
	d.Quantized = quantized.Manifest
	return manifestFault(ctx, quantized)
}

// vouch finds the directory's hash, and what vouches for it.
func (d *description) vouch(ctx context.Context, m *savedmodel.Model) (err error) {
	d.Vouched = []vouched.Entry{}
	if d.SHA256, err = m.SHA256(ctx); err != nil {
		if ctx.Err() != nil {
			return err
		}
		d.unknown = err.Error()
		return nil
	}
	found, err := vouched.List(d.SHA256)
	d.Vouched = append(d.Vouched, found...)
	if err != nil {
		d.unknown = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return nil
}

// writeVouched prints the directory's hash, and what vouches for it.
func (d description) writeVouched(b *strings.Builder) {
	fmt.Fprintf(b, "\nSHA-256 %s\n", cmp.Or(d.SHA256, "unknown"))
	for _, e := range d.Vouched {
		if e.By == vouched.ByExport {
			fmt.Fprintln(b, "  vouched for by its export, by this user")
			continue
		}
		p := e.Probe
		fmt.Fprintf(b, "  vouched for by a probe: TensorFlow %s, kerasrun %s, %s, device %s\n",
			p.TensorFlow, p.Kerasrun, p.Precision, strings.Join(p.Devices, ","))
	}
	if len(d.Vouched) == 0 {
		fmt.Fprintln(b, "  not vouched for: its first start probes it")
	}
	if d.unknown != "" {
		fmt.Fprintf(b, "  %s\n", d.unknown)
	}
}

func describeGraph(g *savedmodel.MetaGraph) graphDescription {
	d := graphDescription{
		Tags: g.Tags, TensorFlow: g.TensorFlow,
		Signatures: map[string]signatureDescription{}, Operations: map[string]int{},
		Functions: []string{},
	}
	for _, s := range g.Signatures {
		signature := signatureDescription{
			Method: s.Method, Inputs: describeTensors(s.Inputs), Outputs: describeTensors(s.Outputs),
		}
		if n, err := g.Parameters(s.Key); err == nil {
			signature.Parameters = &n
		}
		d.Signatures[s.Key] = signature
	}
	for _, op := range g.Ops {
		d.Operations[op.Op] = op.Count
	}
	for _, f := range g.Functions {
		d.Functions = append(d.Functions, f.Name)
	}
	return d
}

func describeTensors(infos map[string]savedmodel.TensorInfo) map[string]tensorDescription {
	d := map[string]tensorDescription{}
	for name, t := range infos {
		d[name] = tensorDescription{t.Name(), t.DType.String(), t.Shape}
	}
	return d
}

// write prints the description for people.
func (d description) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintln(&b, d.Path)
	if d.Contract != nil {
		writeManifest(&b, d.Contract)
	}
	if d.Quantized != nil && d.Quantized.Quantization != nil {
		fmt.Fprintf(&b, "\nQuantized graph, for --precision int8: %s\n  %s\n", contract.Int8Dir,
			parityWords(d.Quantized.Quantization.Parity))
	}
	for _, g := range d.Graphs {
		g.write(&b)
	}
	if len(d.Variables) > 0 {
		fmt.Fprintf(&b, "\nVariables: %d\n", len(d.Variables))
		rows(&b, func(row func(cells ...string)) {
			for _, v := range d.Variables {
				row(v.Name, v.DType, v.Shape.String(), digits(v.Bytes)+" bytes")
			}
		})
	}
	fmt.Fprintf(&b, "\nFiles: %s bytes\n", digits(d.Bytes))
	rows(&b, func(row func(cells ...string)) {
		for _, f := range d.Files {
			row(f.Path, fmt.Sprintf("%15s", digits(f.Bytes)))
		}
	})
	d.writeVouched(&b)
	_, err := io.WriteString(w, printable(b.String()))
	return err
}

func (g graphDescription) write(b *strings.Builder) {
	fmt.Fprintf(b, "\nGraph %s, of TensorFlow %s\n", strings.Join(g.Tags, ","), g.TensorFlow)
	for _, key := range slices.Sorted(maps.Keys(g.Signatures)) {
		s := g.Signatures[key]
		fmt.Fprintf(b, "  signature %s (%s)\n", key, s.Method)
		rows(b, func(row func(cells ...string)) {
			for _, side := range []struct {
				what    string
				tensors map[string]tensorDescription
			}{{"input", s.Inputs}, {"output", s.Outputs}} {
				for _, name := range slices.Sorted(maps.Keys(side.tensors)) {
					t := side.tensors[name]
					row("  "+side.what, name, t.DType, t.Shape.String(), t.Name)
				}
			}
		})
		fmt.Fprintf(b, "    %s parameters\n", counted(s.Parameters))
	}
	total := 0
	var counts []string
	byCount := slices.SortedFunc(maps.Keys(g.Operations), func(a, b string) int {
		if d := g.Operations[b] - g.Operations[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for _, op := range byCount {
		counts = append(counts, fmt.Sprintf("%d %s", g.Operations[op], op))
		total += g.Operations[op]
	}
	fmt.Fprintf(b, "  operations: %d, in %d functions and the graph\n", total, len(g.Functions))
	fmt.Fprintf(b, "    %s\n", strings.Join(counts, ", "))
}

// rows prints aligned rows of cells.
func rows(b *strings.Builder, each func(row func(cells ...string))) {
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	each(func(cells ...string) { fmt.Fprintf(table, "  %s\n", strings.Join(cells, "\t")) })
	table.Flush() // a strings.Builder does not fail
}

func counted(n *int64) string {
	if n == nil {
		return "an unknown number of"
	}
	return digits(*n)
}

// digits writes a number with a comma before every three digits.
func digits(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
