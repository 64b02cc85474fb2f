package runner

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"

	"kerasrun/contract"
	"kerasrun/internal/version"
	"kerasrun/internal/vouched"
	"kerasrun/runner/internal/cuda"
	"kerasrun/runner/internal/session"
	"kerasrun/savedmodel"
)

// WithModelSHA256 vouches for the models with one of these contents, as
// [savedmodel.Model.SHA256] and `kerasrun inspect` have them: 64 hexadecimal digits each. A model
// with another is an error of Open. One with it needs neither a manifest nor a probe.
func WithModelSHA256(sums ...string) Option {
	return func(c *config) error {
		if len(sums) == 0 {
			return errors.New("model SHA-256: expected at least one, got none")
		}
		for _, sum := range sums {
			if b, err := hex.DecodeString(sum); err != nil || len(b) != 32 {
				return fmt.Errorf("model SHA-256: expected 64 hexadecimal digits, got %q", sum)
			}
			c.sha256 = append(c.sha256, strings.ToLower(sum))
		}
		return nil
	}
}

// AllowUnverified lets Open load a model that is not [savedmodel.Model.Verified]: it has no
// manifest, or WithScan leaves the files' check out. What vouches for it is the same as for others.
func AllowUnverified() Option {
	return func(c *config) error { c.unverified = true; return nil }
}

// WithWarnings has Open say in lines to warn what it otherwise logs by [log/slog]: that a probe
// cannot be remembered.
func WithWarnings(warn func(message string)) Option {
	return func(c *config) error { c.warn = warn; return nil }
}

// vouch returns nil where something vouches for a model that has been scanned: its content is one
// that the caller names, that this user exported, or that a probe survived. Where nothing does it
// is probed. Its errors do not name dir.
func (c config) vouch(ctx context.Context, dir string, directory *savedmodel.Model) error {
	if len(c.sha256) == 0 && !c.unverified && !directory.Verified(c.scan...) {
		return fmt.Errorf("%s: %w", contract.ManifestPath, ErrUnverified)
	}
	content, err := directory.SHA256(ctx)
	if ctx.Err() != nil || err != nil && len(c.sha256) > 0 {
		return err
	}
	if len(c.sha256) > 0 {
		if !slices.Contains(c.sha256, content) {
			return fmt.Errorf("expected a model of the SHA-256 %s, got %s: it is another, or it "+
				"was changed; `kerasrun inspect` prints a directory's SHA-256",
				strings.Join(c.sha256, " or "), content)
		}
		return nil
	}
	entry := vouched.Entry{SHA256: content, By: vouched.ByProbe, Probe: c.probed()}
	if err == nil {
		for _, e := range []vouched.Entry{{SHA256: content, By: vouched.ByExport}, entry} {
			known, fault := vouched.Has(e)
			if known {
				return nil
			}
			err = errors.Join(err, fault)
		}
	}
	if c.probe == nil {
		text := ""
		if err != nil {
			text = " (" + oneLine(err) + ")"
		}
		return fmt.Errorf("SHA-256 %s: %w%s", content, ErrUnvouched, text)
	}
	if err := c.probe(ctx, dir, c); err != nil {
		return err
	}
	if content == "" { // it has files that no hash can be made of
		c.say(dir, err)
	} else if err := vouched.Add(entry); err != nil {
		c.say(dir, err)
	}
	return nil
}

// say warns that a probe is not remembered.
func (c config) say(dir string, reason error) {
	message := fmt.Sprintf("%s: the probe cannot be remembered, so each start has one: %s", dir,
		oneLine(reason))
	if c.warn != nil {
		c.warn(message)
		return
	}
	slog.Warn(message)
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// probed is what a probe of this configuration runs.
func (c config) probed() *vouched.Probe {
	p := &vouched.Probe{
		TensorFlow: Version(), Kerasrun: version.String(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
		CUDA:     HasCUDA(), OneDNN: session.UsesOneDNN(),
		Convolutions: ownConvolutions[c.precision],
		Devices:      c.devices, Precision: string(c.precision),
		Tags: c.tags, Signature: c.signature,
	}
	if p.CUDA && c.devices[0] != "cpu" {
		gpus, _ := cuda.GPUs() // none where the driver has none
		for _, gpu := range gpus {
			p.GPUs = append(p.GPUs, gpu.Model+" "+gpu.Compute())
		}
	}
	return p
}
