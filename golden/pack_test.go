package golden_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kerasrun/contract"
	"kerasrun/golden"
	"kerasrun/tensor"
	"kerasrun/tensor/npy"
)

func writePack(t *testing.T, change func(index map[string]any,
	arrays []map[string]tensor.Tensor)) string {
	t.Helper()
	dir := t.TempDir()
	if err := makePack(dir, change); err != nil {
		t.Fatal(err)
	}
	return dir
}

// makePack writes a pack of three cases: 3 x 2 images, so that resizing leaves them as they are,
// and what caffe mode and the fake model make of them, computed here.
func makePack(dir string, change func(index map[string]any,
	arrays []map[string]tensor.Tensor)) error {
	index := map[string]any{
		"format": 1, "reference": "a fake", "command": "kerasrun-golden --out pack",
		"versions":  map[string]string{"keras": "3"},
		"signature": "serving_default", "outputs": []string{"logits", "probs"}, "top": 3,
		"input": map[string]any{
			"name": "images", "dtype": "float32", "height": height, "width": width, "channels": 3,
			"layout":      "NHWC",
			"color_order": "BGR", "mode": "caffe", "resample": "nearest", "fit": "stretch",
		},
		"tolerance": map[string]float64{"decode": 0, "resize": 0, "tensor": 0, "logits": 1e-4,
			"probs": 1e-5},
	}
	var cases []map[string]string
	var arrays []map[string]tensor.Tensor
	for c := range 3 {
		name := fmt.Sprintf("case%d", c)
		img := image.NewNRGBA(image.Rect(0, 0, width, height))
		var pix []uint8
		var values []float32
		for i := range height * width {
			r, g, b := uint8(20*i+c), uint8(40*i), uint8(250-30*i-c)
			img.SetNRGBA(i%width, i/width, color.NRGBA{r, g, b, 255})
			pix = append(pix, r, g, b)
			values = append(values, float32(b)-103.939, float32(g)-116.779, float32(r)-123.68)
		}
		var file bytes.Buffer
		if err := png.Encode(&file, img); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name+".png"), file.Bytes(), 0o666); err != nil {
			return err
		}
		logits, probs := answer(values)
		shape := tensor.Shape{height, width, 3}
		arrays = append(arrays, map[string]tensor.Tensor{
			"decoded": {DType: tensor.Uint8, Shape: shape, Data: pix},
			"resized": {DType: tensor.Uint8, Shape: shape, Data: slices.Clone(pix)},
			"tensor":  {DType: tensor.Float32, Shape: shape, Data: values},
			"logits":  {DType: tensor.Float32, Shape: tensor.Shape{classes}, Data: logits},
			"probs":   {DType: tensor.Float32, Shape: tensor.Shape{classes}, Data: probs},
		})
		cases = append(cases, map[string]string{"name": name, "image": name + ".png",
			"arrays": name + ".npz"})
	}
	index["cases"] = cases
	if change != nil {
		change(index, arrays)
	}
	for c, each := range arrays {
		var file bytes.Buffer
		if err := npy.WriteZip(&file, each); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("case%d.npz", c)), file.Bytes(),
			0o666); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, contract.GoldensIndex), raw, 0o666)
}

func write(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestOpenErrors(t *testing.T) {
	for name, test := range map[string]struct {
		change func(index map[string]any)
		want   []string
	}{
		"format": {
			func(index map[string]any) { index["format"] = 3 },
			[]string{"format 3", "reads formats 1 to 2", "regenerate", "kerasrun-golden --out pack"},
		},
		"signature": {func(index map[string]any) { index["signature"] = "" },
			[]string{"expected a signature"}},
		"several": {
			func(index map[string]any) {
				index["outputs"], index["cases"], index["top"] = nil, nil,
					0
			},
			[]string{"expected outputs", "expected cases", "expected a top"},
		},
		"tolerance": {
			func(index map[string]any) { index["tolerance"] = map[string]float64{"decode": -1} },
			[]string{"0 or more for decode, got -1", "expected a tolerance for probs"},
		},
		"input": {func(index map[string]any) { index["input"] = nil },
			[]string{"expected an input"}},
		"a file outside": {
			func(index map[string]any) {
				index["cases"].([]map[string]string)[0]["image"] = "../cat.png"
			},
			[]string{`case "case0": expected a file name inside the pack, got "../cat.png"`},
		},
		"an absolute path": {
			func(index map[string]any) {
				index["cases"].([]map[string]string)[2]["arrays"] = "/etc/passwd"
			},
			[]string{`case "case2": expected a file name inside the pack, got "/etc/passwd"`},
		},
		"the same name": {
			func(index map[string]any) {
				index["cases"].([]map[string]string)[1]["name"] = "case0"
			},
			[]string{`case 1: expected a name of its own, got "case0"`},
		},
		"another type": {func(index map[string]any) { index["top"] = "five" },
			[]string{"goldens.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writePack(t, func(index map[string]any, _ []map[string]tensor.Tensor) {
				test.change(index)
			})
			_, err := golden.Open(dir)
			for _, want := range append(test.want, dir) {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want it to say %q", err, want)
				}
			}
		})
	}
	if _, err := golden.Open(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("empty directory: got %v", err)
	}
	var version *golden.VersionError
	_, err := golden.Open(writePack(t, func(index map[string]any, _ []map[string]tensor.Tensor) {
		index["format"] = 0
	}))
	if !errors.As(err, &version) || version.Format != 0 {
		t.Errorf("got %v, want a *VersionError", err)
	}
}

// TestVerifyErrors takes packs that cannot be compared at all.
func TestVerifyErrors(t *testing.T) {
	for name, test := range map[string]struct {
		change func(index map[string]any, arrays []map[string]tensor.Tensor)
		after  func(t *testing.T, dir string)
		want   []string
	}{
		"prepared otherwise": {
			change: func(index map[string]any, _ []map[string]tensor.Tensor) {
				index["input"].(map[string]any)["resample"] = "bilinear"
			},
			want: []string{`images.resize.method: expected "nearest", got "bilinear"`,
				"kerasrun-golden --out pack"},
		},
		"missing arrays": {
			change: func(_ map[string]any, arrays []map[string]tensor.Tensor) {
				maps.DeleteFunc(arrays[2], func(key string, _ tensor.Tensor) bool {
					return key != "tensor"
				})
			},
			want: []string{"case2.npz", `expected an array "decoded", got none`,
				`expected an array "probs", got none`},
		},
		"wrong arrays": {
			change: func(_ map[string]any, arrays []map[string]tensor.Tensor) {
				arrays[0]["decoded"] = tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{3},
					Data: []float32{1, 2, 3}}
				arrays[0]["tensor"] = tensor.Tensor{DType: tensor.Float32,
					Shape: tensor.Shape{1, 1, 3}, Data: []float32{1, 2, 3}}
			},
			want: []string{"case0.npz: decoded: expected uint8, got float32",
				"case0.npz: tensor: shape"},
		},
		"no arrays": {
			after: func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "case1.npz")) },
			want:  []string{"case1.npz"},
		},
		"no zip": {
			after: func(t *testing.T, dir string) {
				write(t, filepath.Join(dir, "case1.npz"),
					[]byte("PK, but no zip"))
			},
			want: []string{"case1.npz"},
		},
		"an array that claims too much": {
			after: func(t *testing.T, dir string) {
				var file bytes.Buffer
				z := zip.NewWriter(&file)
				f, err := z.Create("decoded.npy")
				if err != nil {
					t.Fatal(err)
				}
				header := "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999, " +
					"99999999, 3), }\n"
				fmt.Fprintf(f, "\x93NUMPY\x01\x00%c\x00%s", len(header), header)
				if err := z.Close(); err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(dir, "case1.npz"), file.Bytes())
			},
			want: []string{"case1.npz"},
		},
		"no image": {
			after: func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "case1.png")) },
			want:  []string{"case1.png"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writePack(t, test.change)
			if test.after != nil {
				test.after(t, dir)
			}
			pack, err := golden.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			report, err := golden.Verify(t.Context(), model{}, pack)
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got report %v and error %v, want it to say %q", report, err, want)
				}
			}
		})
	}
}
