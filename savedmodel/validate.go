package savedmodel

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"kerasrun/labels"
	"kerasrun/tensor"
)

// assetsPath is the directory that a graph's assets are in.
const assetsPath = "assets"

// Validate returns everything that is wrong with the directory, joined, each a [Finding]; nil where nothing is. It reads every
// file that the manifest names, and all of the variables. It does not judge what the graph does: that is [Model.Scan]'s part.
func (m *Model) Validate() error {
	return Join(m.validate(nil))
}

func (m *Model) validate(skipped map[Check]bool) []Finding {
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
		r := report{check: check.name}
		check.check(m, &r)
		findings = append(findings, r.findings...)
	}
	return findings
}

func (m *Model) checkText(r *report) {
	for _, other := range textModels {
		if m.file(other) != nil {
			r.add(Error, other, "", "want "+GraphPath+" alone")
		}
	}
}

func (m *Model) checkLinks(r *report) {
	for _, link := range m.links {
		r.add(Error, link.path, "", link.fault)
	}
}

func (m *Model) checkSignatures(r *report) {
	seen := map[string]bool{}
	for i := range m.MetaGraphs {
		g := &m.MetaGraphs[i]
		tags := fmt.Sprintf("tags %q", g.Tags)
		if seen[tags] {
			r.add(Error, GraphPath, tags, "want one graph with them, got two")
		}
		seen[tags] = true
		usable := 0
		for _, s := range g.Signatures {
			if s.Key == initSignature {
				continue
			}
			if err := g.checkSignature(s.Key); err != nil {
				r.add(Warning, GraphPath, tags, "a signature that cannot be called: "+err.Error())
				continue
			}
			usable++
		}
		if usable == 0 {
			r.add(Error, GraphPath, tags, "want a signature that can be called, got none")
		}
	}
}

// checkAssets looks at every asset that the graphs name, also at those that TensorFlow would pass over. TensorFlow makes the paths by
// joining the directory, "assets" and the name, whatever the name is.
func (m *Model) checkAssets(r *report) {
	for _, g := range m.MetaGraphs {
		for _, asset := range slices.Concat(g.graph.assets, g.graph.oldAssets) {
			where := fmt.Sprintf("asset of tensor %q", asset.Tensor)
			name := path.Join(assetsPath, asset.File)
			switch {
			case !fs.ValidPath(asset.File) || asset.File == "." || strings.Contains(asset.File, `\`):
				r.add(Error, GraphPath, where, fmt.Sprintf("want a path inside of %s, got %q", assetsPath, asset.File))
			case m.file(name) == nil:
				r.add(Error, name, where, "want a file, got none")
			}
		}
	}
}

func (m *Model) checkManifest(r *report) {
	if m.manifestErr == nil {
		return
	}
	faults := []error{m.manifestErr}
	if joined, ok := m.manifestErr.(interface{ Unwrap() []error }); ok {
		faults = joined.Unwrap()
	}
	for _, fault := range faults {
		r.add(Error, ManifestPath, "", fault.Error())
	}
}

// checkFiles holds the files against the manifest: none missing, none besides, each of its size and hash.
func (m *Model) checkFiles(r *report) {
	if m.Manifest == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(m.Manifest.Files)) {
		want, got := m.Manifest.Files[name], m.file(name)
		switch {
		case got == nil:
			r.add(Error, name, "", "want the file of the manifest, got none")
		case got.Bytes != want.Bytes:
			r.add(Error, name, "", fmt.Sprintf("want %d bytes, got %d", want.Bytes, got.Bytes))
		default:
			sum, err := m.sha256(name)
			if err != nil {
				r.add(Error, name, "", err.Error())
			} else if sum != strings.ToLower(want.SHA256) {
				r.add(Error, name, "", fmt.Sprintf("want SHA-256 %s, got %s", want.SHA256, sum))
			}
		}
	}
	for _, f := range m.Files {
		if _, listed := m.Manifest.Files[f.Path]; !listed && f.Path != ManifestPath {
			r.add(Error, f.Path, "", "want only files of the manifest, got one that it does not name")
		}
	}
}

func (m *Model) sha256(name string) (string, error) {
	f, err := m.fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// checkContract holds the graph tagged "serve" against the manifest: its signatures, what they take, what they give.
func (m *Model) checkContract(r *report) {
	if m.Manifest == nil {
		return
	}
	g, err := m.MetaGraph([]string{"serve"})
	if err != nil {
		r.add(Error, GraphPath, "", err.Error())
		return
	}
	for _, key := range slices.Sorted(maps.Keys(m.Manifest.Outputs)) {
		s, err := g.signature(key)
		if err != nil {
			r.add(Error, GraphPath, "", err.Error())
			continue
		}
		m.checkInput(r, s)
		want, got := slices.Sorted(slices.Values(m.Manifest.Outputs[key])), slices.Sorted(maps.Keys(s.Outputs))
		if !slices.Equal(want, got) {
			r.add(Error, GraphPath, "signature "+key, fmt.Sprintf("want the manifest's outputs %q, got %q", want, got))
		}
	}
	for _, s := range g.Signatures {
		if _, listed := m.Manifest.Outputs[s.Key]; !listed && s.Key != initSignature {
			r.add(Error, GraphPath, "signature "+s.Key, "want only signatures of the manifest, got one that it does not name")
		}
	}
	if goldens := m.Manifest.Goldens; goldens != "" && m.file(path.Join(goldens, "goldens.json")) == nil {
		r.add(Error, path.Join(goldens, "goldens.json"), "", "want the goldens of the manifest, got none")
	}
}

func (m *Model) checkInput(r *report, s Signature) {
	want := m.Manifest.Input
	got, found := s.Inputs[want.Name]
	if !found || len(s.Inputs) != 1 {
		inputs := slices.Sorted(maps.Keys(s.Inputs))
		r.add(Error, GraphPath, "signature "+s.Key, fmt.Sprintf("want the manifest's input %q alone, got %q", want.Name, inputs))
		return
	}
	where := fmt.Sprintf("signature %s: input %q", s.Key, want.Name)
	if dtype, _ := tensor.ParseDType(want.DType); got.DType != dtype {
		r.add(Error, GraphPath, where, fmt.Sprintf("want the manifest's %v, got %v", dtype, got.DType))
	}
	if got.Shape == nil || !slices.Equal(got.Shape, want.Shape()) {
		r.add(Error, GraphPath, where, fmt.Sprintf("want the manifest's shape %v, got %v", want.Shape(), got.Shape))
	}
}

// checkLabels holds the number of labels against the width of serving_default's outputs that are rows of classes.
func (m *Model) checkLabels(r *report) {
	if m.Manifest == nil || m.Manifest.Labels == "" {
		return
	}
	name := m.Manifest.Labels
	f, err := m.fsys.Open(name)
	if err != nil {
		r.add(Error, name, "", err.Error())
		return
	}
	defer f.Close()
	classes, err := labels.Read(io.LimitReader(f, maxManifestBytes))
	if err != nil {
		r.add(Error, name, "", err.Error())
		return
	}
	s, err := m.Signature([]string{"serve"}, "serving_default")
	if err != nil {
		return // checkContract says so
	}
	for _, output := range slices.Sorted(maps.Keys(s.Outputs)) {
		shape := s.Outputs[output].Shape
		if len(shape) == 2 && shape[1] != -1 && shape[1] != int64(len(classes)) {
			r.add(Error, name, "", fmt.Sprintf("want the %d classes of the output %q, got %d", shape[1], output, len(classes)))
		}
	}
}
