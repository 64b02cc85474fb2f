package worker

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"kerasrun/savedmodel"
)

// HashFiles returns a hash of the names and the bytes of a directory's files.
func HashFiles(dir string, m *savedmodel.Model) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	whole := sha256.New()
	for _, file := range m.Files {
		f, err := root.Open(file.Path)
		if err != nil {
			return "", err
		}
		one := sha256.New()
		_, err = io.Copy(one, f)
		f.Close() // it was only read
		if err != nil {
			return "", err
		}
		fmt.Fprintf(whole, "%q %x\n", file.Path, one.Sum(nil))
	}
	return hex.EncodeToString(whole.Sum(nil)), nil
}
