package tfimage

//go:noescape
func gatherRowsUint8AVX2(out *float32, rows *uint8, weights *float32, stride, taps, size int,
	scale float32)

//go:noescape
func gatherRowsFloat32AVX2(out, rows, weights *float32, stride, taps, size int, scale float32)

//go:noescape
func gatherColumnsUint8AVX2(out *float32, row *uint8, spans *span, count, channels int)

//go:noescape
func gatherColumnsFloat32AVX2(out, row *float32, spans *span, count, channels int)

//go:noescape
func lerpColumnsUint8AVX2(out *float32, row *uint8, lerps *lerp, count, channels int)

//go:noescape
func lerpColumnsFloat32AVX2(out, row *float32, lerps *lerp, count, channels int)

//go:noescape
func lerpRowsAVX2(out, top, bottom *float32, weight float32, size int)
