package savedmodel

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"kerasrun/contract"
)

// seed adds the files of that name of every model in testdata.
func seed(f *testing.F, name string) {
	paths, err := filepath.Glob(filepath.Join("testdata", "*", filepath.FromSlash(name)))
	if err != nil || len(paths) == 0 {
		f.Fatal(paths, err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}

// use calls everything that there is to call.
func use(t *testing.T, m *Model) {
	scanned(t, m)
	for i := range m.MetaGraphs {
		g := &m.MetaGraphs[i]
		for _, s := range g.Signatures {
			_, _ = m.Signature(g.Tags, s.Key)
			_, _ = g.Parameters(s.Key)
		}
	}
}

func FuzzSavedModel(f *testing.F) {
	seed(f, GraphPath)
	f.Fuzz(func(t *testing.T, graph []byte) {
		m, err := Read(t.Context(), fstest.MapFS{GraphPath: {Data: graph}})
		if err == nil {
			use(t, m)
		}
	})
}

func FuzzVariablesIndex(f *testing.F) {
	seed(f, IndexPath)
	model := load(f, "dense")
	f.Fuzz(func(t *testing.T, index []byte) {
		model[IndexPath].Data = index
		m, err := Read(t.Context(), model)
		if err != nil {
			t.Fatal(err)
		}
		use(t, m)
	})
}

func FuzzManifest(f *testing.F) {
	model := exported(f, nil)
	f.Add(model[contract.ManifestPath].Data)
	f.Fuzz(func(t *testing.T, manifest []byte) {
		// With a sum that is right where there is one: otherwise nothing behind it would be
		// reached.
		var has struct{ SHA256 string }
		if json.Unmarshal(manifest, &has) == nil && len(has.SHA256) == 64 {
			at := bytes.LastIndex(manifest, []byte(has.SHA256))
			manifest = slices.Concat(manifest[:max(at, 0)],
				[]byte(contract.Sum(manifest, has.SHA256)), manifest[min(max(at, 0)+64,
					len(manifest)):])
		}
		model[contract.ManifestPath].Data = manifest
		m, err := Read(t.Context(), model)
		if err != nil {
			t.Fatal(err)
		}
		if m.Manifest == nil && m.Validate(t.Context()) == nil {
			t.Error("a manifest that was refused, and no finding")
		}
	})
}
