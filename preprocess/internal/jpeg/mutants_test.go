package jpeg

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

var mutantsFlag = flag.Int("mutants", 1000, "how many damaged files to compare with Pillow")

// mutate damages a file in one to four places.
func mutate(rng *rand.Rand, f file) file {
	data := slices.Clone(f.data)
	name := f.name
	for range 1 + rng.IntN(4)*rng.IntN(2) {
		if len(data) < 4 {
			break
		}
		at := rng.IntN(len(data))
		switch kind := rng.IntN(8); kind {
		case 0, 1, 2:
			bit := rng.IntN(8)
			data[at] ^= 1 << bit
			name += fmt.Sprintf(" flip %d.%d", at, bit)
		case 3:
			data[at] = []byte{0, 0xFF, 0xD0, 0xD9, 0xC4, byte(rng.IntN(256))}[rng.IntN(6)]
			name += fmt.Sprintf(" set %d=%02X", at, data[at])
		case 4:
			n := min(1+rng.IntN(40), len(data)-at)
			data = slices.Delete(data, at, at+n)
			name += fmt.Sprintf(" delete %d+%d", at, n)
		case 5:
			insert := make([]byte, 1+rng.IntN(8))
			for i := range insert {
				insert[i] = byte(rng.IntN(256))
			}
			if rng.IntN(2) == 0 {
				insert = []byte{0xFF, byte(0xC0 + rng.IntN(64))}
			}
			data = slices.Insert(data, at, insert...)
			name += fmt.Sprintf(" insert %d %X", at, insert)
		case 6:
			if rng.IntN(2) == 0 {
				at = max(4, len(data)-rng.IntN(16))
			}
			data = data[:at]
			name += fmt.Sprintf(" cut %d", at)
		case 7:
			other := rng.IntN(len(data))
			n := min(1+rng.IntN(64), len(data)-max(at, other))
			copy(data[at:at+n], slices.Clone(data[other:other+n]))
			name += fmt.Sprintf(" copy %d to %d+%d", other, at, n)
		}
	}
	return file{name, data}
}

// Damaged files are accepted and refused as Pillow does, and those accepted have the same pixels.
func TestMutantsEqualPillow(t *testing.T) {
	const seed = 1
	rng := rand.New(rand.NewPCG(seed, 0))
	committed := committed(t)
	var small []file
	for _, f := range append(committed, madeUp(t, seed)...) {
		if len(f.data) < 20000 {
			small = append(small, f)
		}
	}
	var mutants []file
	for range *mutantsFlag {
		f := small[rng.IntN(len(small))]
		switch rng.IntN(4) {
		case 0:
			f = oddFrame(rng)
		case 1:
			f = small[rng.IntN(len(committed))]
		}
		mutants = append(mutants, mutate(rng, f))
	}
	compare(t, mutants)
}
