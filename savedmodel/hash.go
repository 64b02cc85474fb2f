package savedmodel

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// SHA256 returns a hash of the whole directory: the names and the bytes of all files, whoever reads
// them, the manifest's too. It is the SHA-256, in hexadecimal, of what GNU's sha256sum prints of
// the files in the order of their names:
//
//	cd DIR && find -L . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum -z | sha256sum
//
// (In a volume of Kubernetes' without what is behind ..data by other names.) It is an error where
// the directory has links that lead out of it, and other things that are no files: what they
// lead to may change. Each file is read once, also by Scan, until the next Scan compares it anew.
func (m *Model) SHA256(ctx context.Context) (string, error) {
	if len(m.links) > 0 {
		return "", fmt.Errorf("%s: %s", m.links[0].path, m.links[0].fault)
	}
	w := newWork(ctx)
	h := sha256.New()
	for _, f := range m.Files {
		if !w.step() {
			break
		}
		sum, err := m.fileSHA256(w, f.Path)
		if err != nil {
			return "", fmt.Errorf("%s: %w", f.Path, err)
		}
		fmt.Fprintf(h, "%s  %s\x00", sum, f.Path)
	}
	if err := w.end(); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// maxHashed is more bytes than the files of a model of images have.
const maxHashed = 64 << 30

// fileSHA256 returns the hash of a file, in hexadecimal. Many links may lead to one: it is read
// once.
func (m *Model) fileSHA256(w *work, name string) (string, error) {
	m.hashing.Lock()
	defer m.hashing.Unlock()
	target := cmp.Or(m.targets[name], name)
	if sum := m.sums[target]; sum != "" {
		return sum, nil
	}
	f, err := m.fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if m.hashed += info.Size(); m.hashed > maxHashed { // a sparse file costs nothing to make
		return "", &UnsupportedError{name, fmt.Sprintf("expected at most %d GiB in all files, which "+
			"are hashed, got more", maxHashed>>30)}
	}
	h := sha256.New()
	if _, err := io.Copy(h, w.reader(f)); err != nil {
		return "", err
	}
	if m.sums == nil {
		m.sums = map[string]string{}
	}
	m.sums[target] = hex.EncodeToString(h.Sum(nil))
	return m.sums[target], nil
}

// forgetSums has files read again.
func (m *Model) forgetSums() {
	m.hashing.Lock()
	defer m.hashing.Unlock()
	m.sums, m.hashed = nil, 0
}
