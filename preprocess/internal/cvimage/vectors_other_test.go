//go:build !amd64

package cvimage

// exactCubic is false: other wheels have no IPP.
const exactCubic = false

// vectorKinds are the ways in which vectors can be used: not at all.
var vectorKinds = []struct {
	name   string
	images int
	use    func() (end func())
}{
	{"none", 3000, func() func() { return func() {} }},
}
