package serve

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"kerasrun/internal/pythontest"
)

// The clients that are published for TensorFlow Serving and for OpenVINO's server, which speaks the
// same.
func TestServingClients(t *testing.T) {
	http, grpc := listen(t, startServer(t, &fakeModel{}, nil))
	green := filepath.Join(t.TempDir(), "green.png")
	if err := os.WriteFile(green, pngImage(t, 0, 255, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	python := pythontest.Python(t)
	for _, client := range []string{"tensorflow_serving", "ovmsclient"} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			if exec.Command(python, "-c", "import importlib.util, sys; "+
				"sys.exit(not importlib.util.find_spec('"+client+"'))").Run() != nil {
				pythontest.Skip(t, "%s is not installed; `make setup` installs it", client)
			}
			out, err := exec.Command(python, "testdata/serving_clients.py", client, http, grpc,
				green).CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
