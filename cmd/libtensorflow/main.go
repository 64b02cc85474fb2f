// Libtensorflow fetches TensorFlow's C library for Go programs that use cgo, without Python.
//
//	go run ./cmd/libtensorflow --out DIR
//
// takes this platform's wheel from the Python package index that pip would use (PIP_INDEX_URL,
// pip's configuration files, PyPI), checks its SHA-256 against the one in wheels.go, and makes
//
//	DIR/include          the headers
//	DIR/lib              the libraries, and libtensorflow.so, which is quick to link against
//	DIR/tensorflow.pc    for pkg-config; also in DIR/lib/pkgconfig
//
// DIR appears when it is complete; after an error or a signal nothing is left. Standard output has
// the lines for a shell to build with, standard error the progress. SSL_CERT_FILE and HTTPS_PROXY
// work as in other Go programs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"kerasrun/internal/interrupt"
)

func main() {
	ctx := interrupt.Context()
	status := run(ctx, os.Args[1:], os.Getenv, newClient(os.Stderr), os.Stdout, os.Stderr)
	os.Exit(interrupt.Status(ctx, status))
}

// run is the program; it gives its exit status: 0, 1 after an error, 2 for a wrong command line.
func run(
	ctx context.Context,
	args []string,
	getenv func(string) string,
	c *client,
	stdout, stderr io.Writer,
) int {
	flags := flag.NewFlagSet("libtensorflow", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: libtensorflow --out DIR [--platform GOOS/GOARCH | --from DIR]")
		flags.PrintDefaults()
	}
	out := flags.String("out", "", "the `directory` to make")
	platform := flags.String("platform", runtime.GOOS+"/"+runtime.GOARCH, "one of "+platforms())
	from := flags.String(
		"from",
		"",
		"link to what is installed in this `directory`, Python's package "+
			"tensorflow or an unpacked libtensorflow, instead of a download",
	)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if *out == "" || flags.NArg() > 0 {
		flags.Usage()
		return 2
	}
	dir, err := makeDirectory(ctx, c, *out, *platform, *from, getenv)
	if err != nil {
		message := strings.ReplaceAll(err.Error(), "\n", "; ")
		fmt.Fprintf(stderr, "libtensorflow: %s\n", message)
		return 1
	}
	fmt.Fprintf(stdout, `export CGO_CFLAGS="-O2 -g -I%[1]s/include"
export CGO_LDFLAGS="-L%[1]s/lib -ltensorflow -ltensorflow_framework -Wl,-rpath,%[1]s/lib"
export PKG_CONFIG_PATH="%[1]s/lib/pkgconfig"
# Programs find the libraries by that path; from elsewhere: LD_LIBRARY_PATH=DIR/lib (macOS: DYLD_)
`, dir)
	return 0
}

// makeDirectory makes out, and gives its absolute path.
func makeDirectory(
	ctx context.Context, c *client, out, platform, from string, getenv func(string) string,
) (string, error) {
	w, ok := wheels[platform]
	if !ok {
		return "", fmt.Errorf("--platform %s: expected one of %s", platform, platforms())
	}
	goos, _, _ := strings.Cut(platform, "/")
	names := namesOf(goos)
	origin := w.file + ", SHA-256 " + w.sha256
	if from != "" {
		origin = from
	}
	out, err := filepath.Abs(out)
	if err != nil {
		return "", err
	}
	switch complete, err := isComplete(out, origin); {
	case err != nil:
		return "", err
	case complete:
		fmt.Fprintf(c.log, "libtensorflow: %s is there already\n", out)
		return out, nil
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return "", err
	}
	temporary, err := os.MkdirTemp(filepath.Dir(out), ".libtensorflow-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temporary)
	dir := filepath.Join(temporary, "out") // with the usual mode; MkdirTemp's is 0700
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	if from != "" {
		err = linkInstalled(from, dir, names)
	} else {
		err = fetch(ctx, c, temporary, dir, w, names, getenv)
	}
	if err == nil {
		err = finish(dir, origin, names)
	}
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("%s: interrupted", out)
	}
	if err == nil {
		_ = os.Remove(out) // an empty one; os.Rename does not replace it
		err = os.Rename(dir, out)
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("%s: expected room for %.1f GB, found %w",
			filepath.Dir(out), room, syscall.ENOSPC)
	}
	return out, err
}

// room is how much the largest wheel and what is unpacked of it take together, in GB.
const room = 1.5

func fetch(
	ctx context.Context, c *client, temporary, dir string, w wheel, names libraryNames,
	getenv func(string) string,
) error {
	index, err := indexURL(getenv, runtime.GOOS)
	if err != nil {
		return err
	}
	file, err := findInIndex(ctx, c, index, w)
	if err != nil {
		return err
	}
	archive := filepath.Join(temporary, w.file)
	if err := download(ctx, c, file.url, w, archive); err != nil {
		return err
	}
	fmt.Fprintln(c.log, "libtensorflow: unpacking")
	if err := unpack(ctx, archive, dir, names); err != nil {
		return err
	}
	return os.Remove(archive)
}

// isComplete tells whether out was made of origin before. What else lies there is not touched.
func isComplete(out, origin string) (bool, error) {
	pc, err := os.ReadFile(filepath.Join(out, "lib", "pkgconfig", "tensorflow.pc"))
	if err == nil && strings.HasPrefix(string(pc), originLine(origin)) {
		return true, nil
	}
	found, err := os.ReadDir(out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	if len(found) > 0 {
		return false, fmt.Errorf(
			"%s: expected no such directory or an empty one, found %s and others in it",
			out,
			found[0].Name(),
		)
	}
	return false, nil
}
