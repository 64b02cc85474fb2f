package cvimage

// exactCubic says whether the wheel's IPP uses AVX-512 here, which is what cubic computes.
var exactCubic = hasWide

// vectorKinds are the ways in which vectors can be used, and how many images each resizes. use
// returns what ends the use.
var vectorKinds = []struct {
	name   string
	images int
	use    func() (end func())
}{
	{"all", 1500, func() func() { return func() {} }},
	{"AVX2", 400, func() func() {
		wide := hasWide
		hasWide = false
		return func() { hasWide = wide }
	}},
	{"none", 150, func() func() {
		vectors, wide := hasVectors, hasWide
		hasVectors, hasWide = false, false
		return func() { hasVectors, hasWide = vectors, wide }
	}},
}
