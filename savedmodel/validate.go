package savedmodel

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/tensor"
)

// ofManifest ends messages that compare with the manifest: the file or the manifest was changed.
const ofManifest = " (" + contract.ManifestPath + ")"

// assetsPath is the directory that a graph's assets are in.
const assetsPath = "assets"

// Validate returns everything that is wrong with the directory, joined, each a [Finding]; nil where
// nothing is. It reads every file that the manifest names, and all variables. It does not look at
// what the graph does: [Model.Scan] does.
//
// The context ends it: then the error is the context's.
func (m *Model) Validate(ctx context.Context) error {
	w := newWork(ctx)
	findings := m.validate(w, nil)
	if err := w.end(); err != nil {
		return err
	}
	return Join(findings)
}

func (m *Model) validate(w *work, skipped map[Check]bool) []Finding {
	var findings []Finding
	for _, check := range []struct {
		name  Check
		check func(*Model, *report)
	}{
		{CheckText, (*Model).checkText},
		{CheckLinks, (*Model).checkLinks},
		{CheckSignatures, (*Model).checkSignatures},
		{CheckAssets, (*Model).checkAssets},
		{CheckVariables, (*Model).checkVariables},
		{CheckManifest, (*Model).checkManifest},
		{CheckFiles, (*Model).checkFiles},
		{CheckContract, (*Model).checkContract},
		{CheckLabels, (*Model).checkLabels},
	} {
		if skipped[check.name] {
			continue
		}
		if w.err != nil {
			return nil
		}
		r := report{check: check.name, work: w}
		check.check(m, &r)
		findings = append(findings, r.findings...)
	}
	return findings
}

func (m *Model) checkText(r *report) {
	for _, other := range textModels {
		if m.file(other) != nil {
			r.errorf(other, "", "expected "+GraphPath+" alone")
		}
	}
}

func (m *Model) checkLinks(r *report) {
	for _, link := range m.links {
		r.errorf(link.path, "", "%s", link.fault)
	}
}

func (m *Model) checkSignatures(r *report) {
	seen := map[string]bool{}
	for i := range m.MetaGraphs {
		g := &m.MetaGraphs[i]
		tags := fmt.Sprintf("tags %q", g.Tags)
		if seen[tags] {
			r.errorf(GraphPath, tags, "expected one graph with them, got two")
		}
		seen[tags] = true
		usable := 0
		for _, s := range g.Signatures {
			if !r.work.step() {
				return
			}
			if s.Key == initSignature || usable > 0 && r.full(Warning) {
				continue
			}
			if err := g.checkSignature(s.Key); err != nil {
				r.add(Warning, GraphPath, tags, "a signature that cannot be called: "+err.Error())
				continue
			}
			usable++
		}
		if usable == 0 {
			r.errorf(GraphPath, tags, "expected a signature that can be called, got none")
		}
	}
}

// checkAssets looks at every asset that the graphs name, also at those that TensorFlow does not
// use. TensorFlow joins the directory, "assets" and the name, whatever the name is.
func (m *Model) checkAssets(r *report) {
	for _, g := range m.MetaGraphs {
		for _, asset := range slices.Concat(g.graph.assets, g.graph.oldAssets) {
			where := "asset of tensor " + quote(asset.Tensor)
			name := path.Join(assetsPath, asset.File)
			switch {
			case !fs.ValidPath(asset.File) || asset.File == "." ||
				strings.Contains(asset.File, `\`):
				r.errorf(GraphPath, where, "expected a path inside of %s, got %s", assetsPath,
					quote(asset.File))
			case m.file(name) == nil:
				r.errorf(shorten(name, maxQuoted), where, "expected a file, got none")
			}
		}
	}
}

func (m *Model) checkManifest(r *report) {
	if m.manifestErr == nil {
		if m.Manifest == nil {
			r.add(Warning, contract.ManifestPath, "",
				"expected a manifest, got none: inputs and hashes of files are unknown")
		}
		return
	}
	faults := []error{m.manifestErr}
	if joined, ok := m.manifestErr.(interface{ Unwrap() []error }); ok {
		faults = joined.Unwrap()
	}
	for _, fault := range faults {
		r.errorf(contract.ManifestPath, "", "%v", fault)
	}
}

// checkFiles compares the files with the manifest: none missing, none more, each of its size and
// hash.
func (m *Model) checkFiles(r *report) {
	if m.Manifest == nil {
		return
	}
	m.forgetSums()
	for _, name := range slices.Sorted(maps.Keys(m.Manifest.Files)) {
		if !r.work.step() {
			return
		}
		want, got := m.Manifest.Files[name], m.file(name)
		switch {
		case got == nil:
			r.errorf(name, "", "expected the file of the manifest, got none"+ofManifest)
		case got.Bytes != want.Bytes:
			r.errorf(name, "", "expected the manifest's %d bytes, got %d"+ofManifest, want.Bytes,
				got.Bytes)
		default:
			sum, err := m.fileSHA256(r.work, name)
			if err != nil {
				r.errorf(name, "", "%v", err)
			} else if sum != want.SHA256 {
				r.errorf(name, "", "expected the manifest's SHA-256 %s, got %s"+ofManifest,
					want.SHA256, sum)
			}
		}
	}
	for _, f := range m.Files {
		if _, listed := m.Manifest.Files[f.Path]; !listed && f.Path != contract.ManifestPath {
			r.errorf(f.Path, "",
				"expected only files of the manifest, got one that it does not name"+ofManifest)
		}
	}
}

// checkContract compares the graph with the manifest: its signatures, their inputs and their
// outputs. A graph that was adopted as it is may have signatures besides.
func (m *Model) checkContract(r *report) {
	if m.Manifest == nil {
		return
	}
	g, err := m.findGraph(m.ServeTags())
	if err != nil {
		r.errorf(GraphPath, "", "%v", err)
		return
	}
	const besides = "expected only signatures of the manifest, got one that it does not name" +
		ofManifest
	for _, key := range slices.Sorted(maps.Keys(m.Manifest.Outputs)) {
		if !r.work.step() || r.full(Error) { // to find a signature takes all of their names
			return
		}
		s, err := g.findSignature(key)
		if err != nil {
			r.errorf(GraphPath, "", "%v"+ofManifest, err)
			continue
		}
		m.checkInputs(r, s)
		var want []string
		for _, out := range m.Manifest.Outputs[key] {
			want = append(want, out.Name)
		}
		slices.Sort(want)
		got := slices.Sorted(maps.Keys(s.Outputs))
		if !slices.Equal(want, got) {
			r.errorf(GraphPath, "signature "+key, "expected the manifest's outputs %s, got %s"+
				ofManifest, quoteAll(want), quoteAll(got))
		}
	}
	for _, s := range g.Signatures {
		_, listed := m.Manifest.Outputs[s.Key]
		if !listed && s.Key != initSignature && !m.adopted() {
			r.errorf(GraphPath, "signature "+s.Key, besides)
		}
	}
	if m.Manifest.Goldens != "" {
		index := path.Join(m.Manifest.Goldens, contract.GoldensIndex)
		if m.file(index) == nil {
			r.errorf(index, "", "expected the goldens of the manifest, got none"+ofManifest)
		}
	}
}

// checkInputs compares a signature's inputs with the manifest's.
func (m *Model) checkInputs(r *report, s Signature) {
	var want []string
	for _, in := range m.Manifest.Inputs {
		want = append(want, in.Name)
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(s.Inputs)); !slices.Equal(want, got) {
		r.errorf(GraphPath, "signature "+s.Key, "expected the manifest's inputs %s, got %s"+
			ofManifest, quoteAll(want), quoteAll(got))
		return
	}
	for _, want := range m.Manifest.Inputs {
		got := s.Inputs[want.Name]
		where := fmt.Sprintf("signature %s: input %q", s.Key, want.Name)
		if dtype, _ := tensor.ParseDType(want.DType); got.DType != dtype {
			r.errorf(GraphPath, where, "expected the manifest's %v, got %v"+ofManifest, dtype,
				got.DType)
		}
		if !m.fits(got.Shape, want.Shape) {
			r.errorf(GraphPath, where, "expected the manifest's shape %v, got %v"+ofManifest,
				want.Shape, got.Shape)
		}
	}
}

// adopted reports whether the graph is not the exporter's own, but one that was there before.
func (m *Model) adopted() bool { return m.Manifest != nil && m.Manifest.Graph == "adopted" }

// fits reports whether an input of the graph has the manifest's shape. What an adopted graph leaves
// free the manifest may fix.
func (m *Model) fits(got, want tensor.Shape) bool {
	if !m.adopted() {
		return got != nil && slices.Equal(got, want)
	}
	return got == nil || slices.EqualFunc(got, want, func(g, w int64) bool {
		return g == w || g < 0
	})
}

// ServeTags returns the tags of the graph that is run where none are chosen: "serve", or those of
// the only graph of an adopted SavedModel.
func (m *Model) ServeTags() []string {
	if m.adopted() && len(m.MetaGraphs) == 1 {
		return m.MetaGraphs[0].Tags
	}
	return []string{contract.ServeTag}
}

// DefaultSignature returns the key of the signature that is called by default: the manifest's, or
// else "serving_default".
func (m *Model) DefaultSignature() string {
	if m.Manifest != nil && m.Manifest.Signature != "" {
		return m.Manifest.Signature
	}
	return contract.DefaultSignature
}

// Labels reads the class list that the manifest names of the output that answers an image; where
// none does, of the first output that has one. It is nil where there is no manifest, or one that
// names none.
func (m *Model) Labels() (labels.Labels, error) {
	if m.Manifest == nil {
		return nil, nil
	}
	outputs := m.Manifest.Outputs[m.DefaultSignature()]
	i := slices.IndexFunc(outputs, func(o contract.Output) bool {
		return o.Name == m.Manifest.Answer || m.Manifest.Answer == "" && o.Labels != ""
	})
	if i < 0 {
		return nil, nil
	}
	return m.LabelsOf(&outputs[i])
}

// LabelsOf returns the classes of an output of the manifest; nil where it has none, or is nil.
func (m *Model) LabelsOf(o *contract.Output) (labels.Labels, error) {
	if o == nil || o.Labels == "" {
		return nil, nil
	}
	classes, err := m.readLabels(o.Labels)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Labels, err)
	}
	return classes, nil
}

func (m *Model) readLabels(name string) (labels.Labels, error) {
	f, err := m.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return labels.Read(io.LimitReader(f, contract.MaxManifestBytes))
}

// checkLabels compares the number of an output's labels with the width of its rows of classes.
func (m *Model) checkLabels(r *report) {
	if m.Manifest == nil {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(m.Manifest.Outputs)) {
		s, err := m.Signature(m.ServeTags(), key)
		if err != nil {
			continue // checkSignatures and checkContract say so
		}
		for _, out := range m.Manifest.Outputs[key] {
			if !r.work.step() || r.full(Error) {
				return
			}
			if out.Labels != "" {
				m.checkLabelsOf(r, out, s.Outputs[out.Name].Shape)
			}
		}
	}
}

// checkLabelsOf compares one output's labels with its shape.
func (m *Model) checkLabelsOf(r *report, out contract.Output, shape tensor.Shape) {
	if m.file(out.Labels) == nil {
		r.errorf(out.Labels, "", "expected the labels of the manifest, got none"+ofManifest)
		return
	}
	classes, err := m.readLabels(out.Labels)
	if err != nil {
		r.errorf(out.Labels, "", "%v", err)
		return
	}
	want := int64(-1)
	if len(shape) > 0 {
		want = shape[len(shape)-1]
	}
	if out.Kind == contract.Binary || out.Activation == "sigmoid" && want == 1 {
		want = 2 // one value decides between them
	}
	if want != -1 && want != int64(len(classes)) {
		r.errorf(out.Labels, "", "expected the %d classes of the output %q, got %d", want, out.Name,
			len(classes))
	}
}
