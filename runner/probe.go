package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"time"

	"kerasrun/internal/crash"
	"kerasrun/savedmodel"
)

// WithProbe lets Open load a model that nothing vouches for. A fault that the scan does not see
// could end the process inside TensorFlow. So Open has another process load the model first and run
// each of its signatures once: that process has to survive it, within five minutes. What the runs
// return, errors of TensorFlow's included, does not matter.
//
// That it did is remembered in the user's cache, kerasrun/vouched in [os.UserCacheDir], for this
// content, this TensorFlow and these options: the next Open starts no process. Where that directory
// cannot be made, or others can write to it, each Open does, and says so in one line
// ([WithWarnings]).
//
// The other process is command, a program with its arguments that calls [Probe]. kerasrun has a
// hidden command for it, "kerasrun", "probe"; or it is the caller's own executable with an argument
// that it knows.
func WithProbe(command ...string) Option {
	return func(c *config) error {
		if len(command) == 0 {
			return fmt.Errorf("probe: expected a command, got none")
		}
		c.probe = func(ctx context.Context, dir string,
			c config) error {
			return runProbe(ctx, command, dir, c)
		}
		return nil
	}
}

const (
	probeLimit   = 5 * time.Minute
	probeOutput  = 1 << 16 // bytes of the other process's standard error that are kept
	probeMessage = 300     // bytes of it that an error has
)

// probeRequest is what the other process is told to load; the parent has scanned it.
type probeRequest struct {
	Dir          string
	Tags         []string
	Signature    string
	Devices      []string
	Intra, Inter int
	GPUFraction  float64
	GPUGrowth    bool
	Precision    Precision
}

// runProbe has a command probe the model in dir, until ctx ends. Its errors do not name dir.
func runProbe(ctx context.Context, command []string, dir string, c config) error {
	// it ends itself, unless it cannot
	limited, cancel := context.WithTimeout(ctx, probeLimit+time.Minute)
	defer cancel()
	request, err := json.Marshal(probeRequest{dir, c.tags, c.signature, c.devices, c.intra, c.inter,
		c.gpuFraction, c.gpuGrowth, c.precision})
	if err != nil {
		return err
	}
	child := exec.CommandContext(limited, command[0], command[1:]...)
	child.Stdin = bytes.NewReader(request)
	stderr := &beginning{}
	child.Stderr = stderr
	child.WaitDelay = time.Second
	err = child.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return errors.New("probe in another process failed: it has not ended")
	}
	return fmt.Errorf("probe in another process failed: %w%s", err, stderr.reason())
}

// Probe loads and runs a model in a process that may die of it. The command of [WithProbe] calls it
// with its standard input, and exits with another status than 0 where it returns an error.
func Probe(ctx context.Context, stdin io.Reader) error {
	var r probeRequest
	if err := json.NewDecoder(stdin).Decode(&r); err != nil {
		return fmt.Errorf("standard input: expected what WithProbe writes: %w", err)
	}
	directory, err := savedmodel.Open(ctx, r.Dir)
	if err != nil {
		return err
	}
	m, err := openScanned(r.Dir, directory, config{
		tags: r.Tags, signature: r.Signature, devices: r.Devices, intra: r.Intra, inter: r.Inter,
		gpuFraction: r.GPUFraction, gpuGrowth: r.GPUGrowth, precision: r.Precision,
	})
	if err != nil {
		return err
	}
	g, err := directory.MetaGraph(m.tags)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	for _, s := range g.Signatures {
		in, err := s.ZeroInputs(1)
		if err != nil {
			continue // of a type that cannot be fed
		}
		// That TensorFlow refuses what it was given is no harm.
		if _, err := m.RunSignature(ctx, s.Key, in); errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("signature %s: a run has not ended within %v", s.Key, probeLimit)
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
	}
	return m.Close()
}

// beginning keeps the first of what is written to it, and takes the rest too.
type beginning struct{ bytes.Buffer }

func (b *beginning) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), probeOutput-b.Len())])
	return len(p), nil
}

// reason returns ": " and the first line that says why the process ended, or else the last; nothing
// where it wrote none.
func (b *beginning) reason() string {
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	line := lines[len(lines)-1]
	if i := slices.IndexFunc(lines, func(line string) bool {
		return crash.IsReason(line) || crash.Signal(line) != ""
	}); i >= 0 {
		line = lines[i]
	}
	if line == "" {
		return ""
	}
	return ": " + strings.ToValidUTF8(line[:min(len(line), probeMessage)], "")
}
