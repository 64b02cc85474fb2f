package tfimage

const slack = 8

func lerpColumns[T pixels](out []float32, row []T, width, channels int, lerps []lerp) {
	lerpColumnsGo(out, row, channels, lerps)
}

func lerpRows(out, top, bottom []float32, weight float32) { lerpRowsGo(out, top, bottom, weight) }

func gatherRows[T pixels](out []float32, rows []T, stride int, weights []float32, scale float32) {
	gatherRowsGo(out, rows, stride, weights, scale)
}

func gatherColumns(out, row []float32, channels int, all []span) {
	gatherColumnsGo(out, row, channels, all)
}

func gatherArea[T pixels](out []float32, row []T, channels int, all []span) {
	gatherColumnsGo(out, row, channels, all)
}
