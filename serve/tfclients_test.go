package serve

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"kerasrun/internal/pythontest"
)

// The clients that are published for TensorFlow Serving, for OpenVINO's server, which speaks the
// same, and for KServe; and MLServer's types.
func TestServingClients(t *testing.T) {
	http, grpc := listen(t, startServer(t, &fakeModel{}, nil))
	green := filepath.Join(t.TempDir(), "green.png")
	if err := os.WriteFile(green, pngImage(t, 0, 255, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	python := pythontest.Python(t)
	for client, program := range map[string]string{
		"tensorflow_serving": "testdata/serving_clients.py",
		"ovmsclient":         "testdata/serving_clients.py",
		"kserve":             "testdata/kserve_clients.py",
		"mlserver":           "testdata/kserve_clients.py",
	} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			if exec.Command(python, "-c", "import importlib.util, sys; "+
				"sys.exit(not importlib.util.find_spec('"+client+"'))").Run() != nil {
				if program == "testdata/kserve_clients.py" && os.Getenv("KERASRUN_STRICT") == "" {
					// They pin what the exporter's packages do not agree with: make test-clients
					// installs them apart.
					t.Skipf("%s is not installed", client)
				}
				pythontest.Skip(t, "%s is not installed; `make setup` installs it", client)
			}
			out, err := exec.Command(python, program, client, http, grpc, green).CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
