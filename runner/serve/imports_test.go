package serve

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The handlers work without TensorFlow, and so in programs that cannot link it.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	deps := strings.Fields(string(out))
	for _, unwanted := range []string{"kerasrun/runner", "github.com/galeone/tensorflow/tensorflow/go", "github.com/galeone/tfgo"} {
		if slices.Contains(deps, unwanted) {
			t.Errorf("runner/serve imports %s", unwanted)
		}
	}
	for _, dep := range deps {
		switch dep {
		case "kerasrun/labels", "kerasrun/preprocess", "kerasrun/savedmodel", "kerasrun/tensor", "kerasrun/runner/batch",
			"kerasrun/runner/internal/tfrecord":
		default:
			inside := strings.HasPrefix(dep, "kerasrun/runner/serve") || strings.HasPrefix(dep, "kerasrun/preprocess/internal/")
			if strings.HasPrefix(dep, "kerasrun/") && !inside {
				t.Errorf("runner/serve imports %s", dep)
			}
		}
	}
}
