// Package testseed gives tests the number from which they draw their cases.
package testseed

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Of is the seed of a test: the same in every run, so that a commit that passes once passes again.
// KERASRUN_SEED=N sets another one; KERASRUN_SEED=new draws one, which the test logs.
func Of(t testing.TB) uint64 {
	t.Helper()
	seed := uint64(1)
	switch text := os.Getenv("KERASRUN_SEED"); text {
	case "":
	case "new":
		seed = rand.Uint64N(1 << 31) // what Python's tests take too
	default:
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("KERASRUN_SEED: expected a number or new, got %q", text)
		}
	}
	t.Logf("KERASRUN_SEED=%d", seed)
	return seed
}

// Rand draws from the test's seed.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(Of(t), 0))
}
