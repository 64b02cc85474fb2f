//go:build !amd64

package png

func paeth3AVX2(cur, prev *byte, n int) { panic("no AVX2") }

func paeth4AVX2(cur, prev *byte, n int) { panic("no AVX2") }
