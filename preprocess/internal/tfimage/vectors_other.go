//go:build !amd64

package tfimage

func gatherRowsUint8AVX2(*float32, *uint8, *float32, int, int, int, float32) { panic("no AVX2") }

func gatherRowsFloat32AVX2(_, _, _ *float32, _, _, _ int, _ float32) { panic("no AVX2") }

func gatherColumnsUint8AVX2(*float32, *uint8, *span, int, int) { panic("no AVX2") }

func gatherColumnsFloat32AVX2(_, _ *float32, _ *span, _, _ int) { panic("no AVX2") }

func lerpColumnsUint8AVX2(*float32, *uint8, *lerp, int, int) { panic("no AVX2") }

func lerpColumnsFloat32AVX2(_, _ *float32, _ *lerp, _, _ int) { panic("no AVX2") }

func lerpRowsAVX2(_, _, _ *float32, _ float32, _ int) { panic("no AVX2") }
