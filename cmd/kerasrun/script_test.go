package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the scripts of testdata/script, each with its expected output. They know the
// commands of testscript, `kerasrun ARGS`, which runs in this process, and `status N`, which says
// what its exit status was. half_plus_two and cat.jpg lie in a script's directory.
func TestScripts(t *testing.T) {
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	halfPlusTwo := os.DirFS(filepath.Join(repository, "savedmodel/testdata/half_plus_two"))
	image, err := os.ReadFile(filepath.Join(repository, cat))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // nothing vouches for the model
	var chdir sync.Mutex                    // the working directory is the process's
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join(repository, "cmd/kerasrun/testdata/script"),
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Values["status"] = new(int)
			return errors.Join(
				os.WriteFile(filepath.Join(env.WorkDir, "cat.jpg"), image, 0o666),
				os.CopyFS(filepath.Join(env.WorkDir, "half_plus_two"), halfPlusTwo))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"kerasrun": func(ts *testscript.TestScript, neg bool, args []string) {
				chdir.Lock()
				defer chdir.Unlock()
				old, err := os.Getwd()
				ts.Check(err)
				ts.Check(os.Chdir(ts.MkAbs(".")))
				defer func() { ts.Check(os.Chdir(old)) }()
				status := execute(t.Context(), args, strings.NewReader(""), ts.Stdout(), ts.Stderr())
				*ts.Value("status").(*int) = status
				if (status != 0) != neg {
					ts.Fatalf("kerasrun %s: exit status %d", strings.Join(args, " "), status)
				}
			},
			"status": func(ts *testscript.TestScript, _ bool, args []string) {
				if got := strconv.Itoa(*ts.Value("status").(*int)); len(args) != 1 || got != args[0] {
					ts.Fatalf("got exit status %s, want %s", got, strings.Join(args, " "))
				}
			},
		},
	})
}
