package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kerasrun/contract"
)

// writeManifest prints what the manifest says, for people.
func writeManifest(b *strings.Builder, m *contract.Manifest) {
	fmt.Fprintf(b, "\nModel\n")
	rows(b, func(row func(cells ...string)) {
		row("model", fmt.Sprintf("%s, %s graph, %s", m.Architecture, m.Graph, m.Precision))
		row("parameters", digits(m.Parameters))
		operations := "unknown"
		if m.FLOPs > 0 {
			operations = digits(m.FLOPs) + " an image"
		}
		row("FLOPs", operations)
		row("weights", fmt.Sprintf("%s, sha256 %s", m.Weights.Source, m.Weights.SHA256))
		if m.Conversion != "" {
			row("conversion", m.Conversion)
		}
		row("difference", differenceWords(m))
		if q := m.Quantization; q != nil {
			images := fmt.Sprintf("%d images, sha256 %s", q.CalibrationImages, q.ImagesSHA256)
			row("calibration", q.Calibration, images)
			row("parity", parityWords(q.Parity))
			layers := "none"
			if len(q.FloatLayers) > 0 {
				layers = strings.Join(q.FloatLayers, ", ")
			}
			row("float32 layers", layers)
		}
		if m.Goldens != "" {
			row("goldens", m.Goldens)
		}
		var versions []string
		for _, name := range slices.Sorted(maps.Keys(m.Versions)) {
			versions = append(versions, name+" "+m.Versions[name])
		}
		row("written by", strings.Join(versions, ", "))
	})
	fmt.Fprintf(b, "\nInputs\n")
	rows(b, func(row func(cells ...string)) {
		for _, in := range m.Inputs {
			writeInput(row, in)
		}
	})
	fmt.Fprintf(b, "\nOutputs\n")
	rows(b, func(row func(cells ...string)) {
		for _, key := range slices.Sorted(maps.Keys(m.Outputs)) {
			for _, out := range m.Outputs[key] {
				words := outputWords(out)
				if key == m.Signature && out.Name == m.Answer {
					words = append(words, "answers an image")
				}
				row(key, out.Name, strings.Join(words, ", "))
			}
		}
	})
}

// parityWords says how a quantized graph's answers compare with those of Keras.
func parityWords(p contract.Parity) string {
	images := "images"
	if !p.HeldOut {
		images = "images, of the calibration too"
	}
	return fmt.Sprintf("Keras's class for %.4g %% of %d %s, among the best five for %.4g %%; "+
		"the largest difference of an image %.2g in the mean, %.2g at 99 %%, %.2g at most",
		100*p.Top1, p.Images, images, 100*p.Top5, p.Mean, p.P99, p.Max)
}

// differenceWords says what the manifest's difference is between, and in what.
func differenceWords(m *contract.Manifest) string {
	whose, what := "Keras's", "this graph's answers and %s, in the image's largest number"
	if m.Graph == "adopted" {
		whose = "TensorFlow's in Python"
	}
	if slices.ContainsFunc(m.Outputs[m.Signature], func(o contract.Output) bool {
		return o.Name == contract.OutputProbabilities
	}) {
		what = "this graph's probabilities and %s"
	}
	return fmt.Sprintf("at most %.2g between "+what+", on the images of its export",
		m.ReferenceDifference, whose)
}

// writeInput says in words how an input is made.
func writeInput(row func(cells ...string), in contract.Input) {
	tensor := fmt.Sprintf("%s %v", in.DType, in.Shape)
	switch in.Kind {
	case contract.KindTensor:
		row(in.Name, "tensor", tensor)
	case contract.KindEncoded:
		row(in.Name, "encoded", tensor+": the bytes of image files, which the graph decodes itself")
	case contract.KindImage: // whose parts are there, or the manifest would have been refused
		row(in.Name, "image", tensor+" "+in.Layout)
		decode := fmt.Sprintf("by %s, %s", in.Decode.By, in.Decode.Color)
		if in.Decode.EXIF {
			decode += ", turned by the orientation in EXIF"
		}
		row("", "decode", decode)
		row("", "resize", resizeWords(in.Resize))
		var steps []string
		for _, s := range in.Normalize.Steps {
			values := make([]string, len(s.Values))
			for i, x := range s.Values {
				values[i] = fmt.Sprint(x)
			}
			steps = append(steps, strings.TrimSpace(s.Op+" "+strings.Join(values, " ")))
		}
		if len(steps) == 0 {
			steps = append(steps, "nothing: 0 to 255")
		} else {
			steps = append(steps, "in "+in.Normalize.DType)
		}
		row("", "normalize", strings.Join(steps, ", "))
	}
}

// fits say in words what a resize does to the shape of an image.
var fits = map[string]string{
	"stretch":      "stretched to the size",
	"crop":         "the largest centred part of the size's shape",
	"imageops_fit": "cut to the size's shape by ImageOps.fit",
	"pad":          "resized within the size, then padded",
	"pad_first":    "padded to the size's shape, then resized",
}

func resizeWords(r *contract.Resize) string {
	if r.Fit == "none" {
		return "not resized"
	}
	words := fmt.Sprintf("by %s, %s", r.By, r.Method)
	if r.Antialias {
		words += " with antialias"
	}
	if r.Fit == "short_side" {
		return fmt.Sprintf("%s, the short side to %d, then the centre", words, r.ShortSide)
	}
	words += ", " + cmp.Or(fits[r.Fit], r.Fit)
	if strings.HasPrefix(r.Fit, "pad") {
		words += fmt.Sprintf(" with %v", r.Fill)
	}
	return words
}

// outputWords says what an output's numbers are.
func outputWords(o contract.Output) []string {
	words := []string{o.Kind}
	if o.Activation != "" {
		words = append(words, "before "+o.Activation)
	}
	switch {
	case len(o.Thresholds) == 1:
		words = append(words, fmt.Sprintf("over the threshold %v", o.Thresholds[0]))
	case len(o.Thresholds) > 1:
		words = append(words, fmt.Sprintf("%d thresholds, one for each class", len(o.Thresholds)))
	}
	if o.Normalized {
		words = append(words, "of length 1")
	}
	if len(o.Palette) > 0 {
		words = append(words, fmt.Sprintf("a palette of %d colors", len(o.Palette)))
	}
	if o.Labels != "" {
		words = append(words, "classes in "+o.Labels)
	}
	return words
}
