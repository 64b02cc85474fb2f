package npy

import (
	"archive/zip"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"kerasrun/tensor"
)

// ReadZip reads the arrays of an .npz file by name (of numpy.savez's keywords: its members less
// ".npy"). Each member's checksum is verified.
func ReadZip(path string) (map[string]tensor.Tensor, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer z.Close()
	arrays, err := readZip(&z.Reader)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return arrays, nil
}

func readZip(z *zip.Reader) (map[string]tensor.Tensor, error) {
	arrays := map[string]tensor.Tensor{}
	for _, f := range z.File {
		name := strings.TrimSuffix(f.Name, ".npy")
		if _, ok := arrays[name]; ok {
			return nil, fmt.Errorf("array %.80q is there twice", name)
		}
		t, err := readMember(f)
		if err != nil {
			return nil, fmt.Errorf("array %.80q: %w", name, err)
		}
		arrays[name] = t
	}
	return arrays, nil
}

func readMember(f *zip.File) (tensor.Tensor, error) {
	r, err := f.Open()
	if err != nil {
		return tensor.Tensor{}, err
	}
	defer r.Close()
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
