package png

// paeth3AVX2 undoes the filter of the first n pixels of a row, n 1 or more. Two more are behind
// them.
//
//go:noescape
func paeth3AVX2(cur, prev *byte, n int)

// paeth4AVX2 undoes the filter of n pixels, n 1 or more.
//
//go:noescape
func paeth4AVX2(cur, prev *byte, n int)
