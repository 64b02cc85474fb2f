package preinit

// #cgo LDFLAGS: -ldl
import "C"
