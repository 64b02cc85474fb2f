package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// ErrUnverified says that nothing vouches for a model's files, and that Open was not told to try it first: see WithUnverified.
var ErrUnverified = errors.New("want files that are held against a manifest's hashes")

// WithUnverified lets Open load a model that is not [savedmodel.Model.Verified]: it has no manifest, or WithScan leaves the files'
// check out. A fault that the scan does not see could end the process inside TensorFlow, so Open tries the model first in another one,
// which has to survive loading it and running each of its signatures once; five minutes are allowed. What the runs answer, errors of
// TensorFlow's included, does not matter.
//
// The other process is command, a program with its arguments that calls [Trial] with its standard input: "kerasrun", "trial", or the
// caller's own executable with an argument that it knows.
func WithUnverified(command ...string) Option {
	return func(c *config) error {
		if len(command) == 0 {
			return fmt.Errorf("unverified: want a command that tries the model, got none")
		}
		c.trial = command
		return nil
	}
}

const (
	trialLimit   = 5 * time.Minute
	trialOutput  = 1 << 16 // bytes of the other process's standard error that are kept
	trialMessage = 300     // bytes of it that are told
)

// trial is what the other process is told to load; the parent has scanned it.
type trial struct {
	Dir          string
	Tags         []string
	Signature    string
	Devices      []string
	Intra, Inter int
	GPUFraction  float64
	GPUGrowth    bool
	Precision    Precision
}

// try runs the trial of the model in dir. Its errors name dir.
func (c config) try(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), trialLimit+time.Minute) // it ends itself, unless it cannot
	defer cancel()
	in, err := json.Marshal(trial{dir, c.tags, c.signature, c.devices, c.intra, c.inter, c.gpuFraction, c.gpuGrowth, c.precision})
	if err != nil {
		return fmt.Errorf("runner: %s: %w", dir, err)
	}
	child := exec.CommandContext(ctx, c.trial[0], c.trial[1:]...)
	child.Stdin = bytes.NewReader(in)
	stderr := &beginning{}
	child.Stderr = stderr
	child.WaitDelay = time.Second
	err = child.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("runner: %s: the model failed a trial in another process: it has not ended", dir)
	}
	return fmt.Errorf("runner: %s: the model failed a trial in another process: %w%s", dir, err, stderr.reason())
}

// Trial loads and runs a model in place of a process that must not die of it: WithUnverified's command calls it with its standard
// input, and exits with another status than 0 where it returns an error.
func Trial(in io.Reader) error {
	var t trial
	if err := json.NewDecoder(in).Decode(&t); err != nil {
		return fmt.Errorf("runner: want on standard input what WithUnverified's trial writes there: %w", err)
	}
	directory, err := savedmodel.Open(t.Dir)
	if err != nil {
		return fmt.Errorf("runner: %w", err)
	}
	m, err := openScanned(t.Dir, directory, config{
		tags: t.Tags, signature: t.Signature, devices: t.Devices, intra: t.Intra, inter: t.Inter,
		gpuFraction: t.GPUFraction, gpuGrowth: t.GPUGrowth, precision: t.Precision,
	})
	if err != nil {
		return err
	}
	g, err := directory.MetaGraph(m.tags)
	if err != nil {
		return fmt.Errorf("runner: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), trialLimit)
	defer cancel()
	for _, s := range g.Signatures {
		in, err := blank(s)
		if err != nil {
			continue // of a type that cannot be fed
		}
		// That TensorFlow refuses what it was given is no harm.
		if _, err := m.RunSignature(ctx, s.Key, in); errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("runner: %s: signature %s: a run has not ended within %v", t.Dir, s.Key, trialLimit)
		}
	}
	return m.Close()
}

// blank returns inputs of the signature: zeros and empty strings, one wherever the size is free.
func blank(s savedmodel.Signature) (map[string]tensor.Tensor, error) {
	in := map[string]tensor.Tensor{}
	for name, info := range s.Inputs {
		shape := tensor.Shape{}
		for _, size := range info.Shape {
			shape = append(shape, max(size, 1))
		}
		n, err := shape.Elements()
		if err != nil {
			return nil, err
		}
		if info.DType == tensor.String {
			in[name], err = tensor.New(shape, make([][]byte, n))
		} else {
			in[name], err = tensor.FromBytes(info.DType, shape, make([]byte, n*int64(info.DType.Size())))
		}
		if err != nil {
			return nil, err
		}
	}
	return in, nil
}

// beginning keeps the first of what is written to it, and takes the rest too.
type beginning struct{ bytes.Buffer }

func (b *beginning) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), trialOutput-b.Len())])
	return len(p), nil
}

// lastWords matches the lines that say why a process dies: of TensorFlow's CHECK, of C++, of Go.
var lastWords = regexp.MustCompile(`(?m)^(F\d{4} .*|terminate called .*|SIG[A-Z]+: .*|panic: .*|fatal error: .*)$`)

// reason returns ": " and the line that says why the process ended, nothing where it wrote none.
func (b *beginning) reason() string {
	text := strings.TrimSpace(b.String())
	line := lastWords.FindString(text)
	if line == "" {
		line = text[strings.LastIndexByte(text, '\n')+1:]
	}
	if line == "" {
		return ""
	}
	return ": " + strings.ToValidUTF8(line[:min(len(line), trialMessage)], "")
}
