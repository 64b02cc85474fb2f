package npy

import (
	"archive/zip"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"kerasrun/tensor"
)

// What an .npz file may unpack to: alwaysUnpacked bytes, or maxPacked times its own size. Zeros
// pack to a thousandth.
const (
	alwaysUnpacked = 1 << 30
	maxPacked      = 100
)

// ReadZip reads the arrays of an .npz file by name (of numpy.savez's keywords: its members less
// ".npy"). Each member's checksum is verified. A file that unpacks to over 1 GiB and 100 times its
// size is an error.
func ReadZip(path string) (map[string]tensor.Tensor, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer z.Close()
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	arrays, err := readZip(&z.Reader, max(alwaysUnpacked, maxPacked*info.Size()))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return arrays, nil
}

// readZip reads at most limit bytes of all members.
func readZip(z *zip.Reader, limit int64) (map[string]tensor.Tensor, error) {
	arrays := map[string]tensor.Tensor{}
	for _, f := range z.File {
		name := strings.TrimSuffix(f.Name, ".npy")
		if _, ok := arrays[name]; ok {
			return nil, fmt.Errorf("array %.80q is there twice", name)
		}
		t, err := readMember(f, &limit)
		if err != nil {
			return nil, fmt.Errorf("array %.80q: %w", name, err)
		}
		arrays[name] = t
	}
	return arrays, nil
}

// bounded reads until what is left of a limit was read.
type bounded struct {
	io.Reader
	left *int64
}

func (b bounded) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if *b.left -= int64(n); *b.left < 0 {
		return 0, fmt.Errorf("expected an archive of at most %d MiB of numbers, or %d times its own "+
			"size, got more", alwaysUnpacked>>20, maxPacked)
	}
	return n, err
}

func readMember(f *zip.File, left *int64) (tensor.Tensor, error) {
	member, err := f.Open()
	if err != nil {
		return tensor.Tensor{}, err
	}
	defer member.Close()
	r := bounded{member, left}
	t, err := Read(r)
	if err != nil {
		return tensor.Tensor{}, err
	}
	// The checksum is compared at the end of the member.
	extra, err := io.Copy(io.Discard, r)
	if err != nil {
		return tensor.Tensor{}, err
	}
	if extra > 0 {
		return tensor.Tensor{}, fmt.Errorf("%d bytes follow the array", extra)
	}
	return t, nil
}

// WriteZip writes the arrays as numpy.savez does, uncompressed, in the order of their names and
// without a time: the same arrays give the same bytes.
func WriteZip(w io.Writer, arrays map[string]tensor.Tensor) error {
	z := zip.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(arrays)) {
		member, err := z.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: zip.Store})
		if err != nil {
			return fmt.Errorf("array %q: %w", name, err)
		}
		if err := Write(member, arrays[name]); err != nil {
			return fmt.Errorf("array %q: %w", name, err)
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return nil
}
