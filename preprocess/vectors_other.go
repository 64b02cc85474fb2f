//go:build !amd64

package preprocess

const (
	hasVectors              = false
	vectorSize, vectorSlack = 0, 0
)

func horizontalVectors(out, row []uint8, windows []window) { horizontal(out, row, windows) }

func verticalVectors(out, rows []uint8, stride int, weights []int32) {
	vertical(out, rows, stride, weights)
}
