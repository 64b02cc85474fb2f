package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kerasrun/contract"
	"kerasrun/internal/atomicfile"
	"kerasrun/tensor"
	"kerasrun/tensor/npy"
)

func newPredictCommand() *cobra.Command {
	var model modelFlags
	var inputs []string
	var output, signature string
	cmd := &cobra.Command{
		Use:   "predict --inputs NAME=FILE... -o OUT.npz",
		Short: "Run a signature on tensors from npy files",
		Long: `Run one of the model's signatures on tensors and write every output, by its name, into an
npz file.

As with saved_model_cli, an input is NAME=FILE.npy, or NAME=FILE.npz[KEY] for one array of an npz
file. Its dtype and shape are checked against the signature. ` + "`kerasrun inspect`" + ` lists the
signatures with their inputs and outputs.`,
		Example: `  kerasrun preprocess -o x.npy cat.jpg dog.jpg
  kerasrun predict --inputs images=x.npy -o probs.npz
  kerasrun predict --inputs images=x.npy -o features.npz --signature-def features`,
		Args: noArgs,
	}
	// Not a StringSlice: file names may hold commas.
	cmd.Flags().StringArrayVar(&inputs, "inputs", nil,
		"input tensor, `NAME=FILE`.npy or NAME=FILE.npz[KEY]; once for each input")
	cmd.Flags().StringVarP(&output, "output", "o", "", "npz `file` to write the outputs to")
	cmd.Flags().StringVar(&signature, "signature-def", "",
		"which of the model's signatures to run, by `name` (default the manifest's, or "+
			contract.DefaultSignature+")")
	must(cmd.MarkFlagRequired("inputs"))
	must(cmd.MarkFlagRequired("output"))
	must(cmd.MarkFlagFilename("inputs"))
	must(cmd.MarkFlagFilename("output", "npz"))
	model.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		sources, err := parseInputs(inputs)
		if err != nil {
			return err
		}
		in := map[string]tensor.Tensor{}
		for name, source := range sources {
			if in[name], err = source.read(); err != nil {
				return err
			}
		}
		m, err := model.open(cmd.Context())
		if err != nil {
			return err
		}
		defer m.Close()
		out, err := m.RunSignature(cmd.Context(), signature, in)
		if err != nil {
			return err
		}
		write := func(w io.Writer) error { return npy.WriteZip(w, out) }
		if err := atomicfile.Write(output, write); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(out)) {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s %v %v\n",
				output, name, out[name].DType, out[name].Shape)
		}
		return nil
	}
	return cmd
}

// tensorSource is an npy file, or, with a key, an array of an npz file.
type tensorSource struct{ file, key string }

func parseInputs(inputs []string) (map[string]tensorSource, error) {
	sources := map[string]tensorSource{}
	for _, input := range inputs {
		name, file, ok := strings.Cut(input, "=")
		if !ok || name == "" || file == "" {
			return nil, usagef("--inputs: expected NAME=FILE.npy or NAME=FILE.npz[KEY], got %q", input)
		}
		if _, twice := sources[name]; twice {
			return nil, usagef("--inputs: expected %q once, got it twice", name)
		}
		source := tensorSource{file: file}
		if before, key, ok := strings.Cut(file, ".npz["); ok && strings.HasSuffix(key, "]") {
			source = tensorSource{before + ".npz", strings.TrimSuffix(key, "]")}
		} else if strings.HasSuffix(file, ".npz") {
			return nil, usagef("--inputs: expected the array's key, %s=%s[KEY], got %q",
				name, file, input)
		}
		sources[name] = source
	}
	return sources, nil
}

func (s tensorSource) read() (tensor.Tensor, error) {
	if s.key != "" {
		arrays, err := npy.ReadZip(s.file)
		if err != nil {
			return tensor.Tensor{}, err
		}
		t, ok := arrays[s.key]
		if !ok {
			return tensor.Tensor{}, fmt.Errorf("%s: expected an array %q, got %q",
				s.file, s.key, slices.Sorted(maps.Keys(arrays)))
		}
		return t, nil
	}
	f, err := os.Open(s.file)
	if err != nil {
		return tensor.Tensor{}, err
	}
	defer f.Close()
	t, err := npy.Read(f)
	if err != nil {
		return tensor.Tensor{}, fmt.Errorf("%s: %w", s.file, err)
	}
	return t, nil
}
