package score

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"kerasrun/object"
)

// Manifest says how an output came to be; it stands beside it as OUT.manifest.json.
type Manifest struct {
	Header       Header `json:"run"`
	Schema       Schema `json:"columns"`
	OutputSHA256 string `json:"output_sha256"`
	OutputBytes  int64  `json:"output_bytes"`
	Images       int64  `json:"pictures"` // of this shard
	Answered     int64  `json:"answered"`
	Failed       int64  `json:"failed"`
	// failed and left out of the output, with --on-error skip
	Skipped  int64             `json:"skipped"`
	Finished time.Time         `json:"finished"`
	Versions map[string]string `json:"versions"` // of the process that finished it
}

// ManifestPath is where the manifest of an output stands.
func ManifestPath(output string) string { return output + ".manifest.json" }

// ReadManifest reads the manifest of an output.
func ReadManifest(output string) (Manifest, error) {
	var m Manifest
	data, err := object.ReadFile(context.Background(), ManifestPath(output))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%s: %w", ManifestPath(output), err)
	}
	format, err := formatOf(output)
	if err == nil {
		err = m.Schema.validate(format)
	}
	if err != nil {
		return m, fmt.Errorf("%s: columns: %w", ManifestPath(output), err)
	}
	if m.Header.Format < 1 || m.Header.Format > journalFormat {
		return m, fmt.Errorf("%s: expected format 1 to %d, got %d", ManifestPath(output), journalFormat,
			m.Header.Format)
	}
	return m, nil
}

// writeOutput writes a file whole or not at all, and returns its SHA-256 and its size.
func writeOutput(path string, write func(io.Writer) error) (sum string, size int64, err error) {
	h := sha256.New()
	counted := &countingWriter{w: h}
	err = object.Write(context.Background(), path,
		func(w io.Writer) error { return write(io.MultiWriter(w, counted)) })
	return hex.EncodeToString(h.Sum(nil)), counted.n, err
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func writeManifest(output string, m Manifest) error {
	return object.Write(context.Background(), ManifestPath(output), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(m)
	})
}

func fileSHA256(path string) (string, error) {
	file, err := object.Open(context.Background(), path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// openWhole opens an output to be read in any order, and returns its size.
func openWhole(path string) (object.File, int64, error) {
	file, err := object.Open(context.Background(), path)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}
