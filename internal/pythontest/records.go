package pythontest

import (
	"encoding/binary"
	"os"
	"os/exec"
	"testing"
)

// Records runs a program, given by its path and arguments, and returns what it writes: see Split.
func Records(t testing.TB, program ...string) [][]byte {
	t.Helper()
	cmd := exec.Command(Python(t), program...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v", program, err)
	}
	return Split(out)
}

// Split returns the records in a program's output. Each is its length, 4 bytes and little-endian,
// and so many bytes.
func Split(out []byte) (records [][]byte) {
	for len(out) > 0 {
		end := 4 + binary.LittleEndian.Uint32(out)
		records = append(records, out[4:end])
		out = out[end:]
	}
	return records
}
