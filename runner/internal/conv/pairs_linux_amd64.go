//go:build pairs

package conv

// #cgo CFLAGS: -DKERASRUN_PAIRS
import "C"
