package preprocess_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"kerasrun/internal/pythontest"
	"kerasrun/preprocess"
)

// TestGoldens compares with hashes of what Keras and Pillow make of the images in the repository.
// It needs no Python; testdata/goldens.py writes the hashes.
func TestGoldens(t *testing.T) {
	lines := 0
	for line := range strings.Lines(string(readFile(t, "testdata/goldens.txt"))) {
		lines++
		line = strings.TrimSpace(line)
		fields := strings.Fields(line)
		kind, path, want := fields[0], fields[1], fields[len(fields)-1]
		got, err := goldenHash(t, kind, path, fields[2:len(fields)-1])
		var large *preprocess.TooLargeError
		switch {
		case errors.As(err, &large): // Keras's limit is another
		case want == "refused" && err == nil:
			t.Errorf("%s: got an image", line)
		case want != "refused" && err != nil:
			t.Errorf("%s: got %v", line, err)
		case want != "refused" && got != want:
			t.Errorf("%s: got %s", line, got)
		}
	}
	if lines < 300 {
		t.Errorf("got %d lines, want at least 300", lines)
	}
}

// goldenHash computes what a line of goldens.txt is the hash of. The fields are the size, filter,
// fit and mode, as far as there are.
func goldenHash(t *testing.T, kind, path string, fields []string) (string, error) {
	t.Helper()
	file := readFile(t, "../"+path)
	if kind == "decode" {
		m, err := decode(file, 0)
		if err != nil {
			return "", err
		}
		if size := fmt.Sprintf("%dx%d", m.Width, m.Height); len(fields) > 0 && size != fields[0] {
			t.Errorf("%s: got %s, want %s", path, size, fields[0])
		}
		return hash(m.Pix), nil
	}
	p := goldenPipeline(t, fields)
	if kind == "resize" {
		m, err := p.Image(file)
		if err != nil {
			return "", err
		}
		return hash(m.Pix), nil
	}
	x, err := toTensor(p, nil, file)
	if err != nil {
		return "", err
	}
	raw, err := binary.Append(nil, binary.LittleEndian, x)
	return hash(raw), err
}

func goldenPipeline(t *testing.T, fields []string) *preprocess.Pipeline {
	t.Helper()
	var width, height int
	if _, err := fmt.Sscanf(fields[0], "%dx%d", &width, &height); err != nil {
		t.Fatal(err)
	}
	method, err := preprocess.ParseMethod(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	fit, err := preprocess.ParseFit(fields[2])
	if err != nil {
		t.Fatal(err)
	}
	return pipeline(t, width, height, method, fit, append(fields, "none")[3])
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// TestGoldensAreCurrent compares goldens.txt with what its generator prints now.
func TestGoldensAreCurrent(t *testing.T) {
	if testing.Short() {
		t.Skip("imports Keras")
	}
	cmd := exec.Command(pythontest.Python(t), "testdata/goldens.py")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	if !bytes.Equal(out, readFile(t, "testdata/goldens.txt")) {
		t.Error("testdata/goldens.txt: testdata/goldens.py prints another; write it again")
	}
}
