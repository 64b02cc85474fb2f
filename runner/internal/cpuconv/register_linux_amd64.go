package cpuconv

/*
#cgo CFLAGS: -O2 -g1
#include <stdlib.h>
#include "conv2d.h"
#include "tf_ops.h"
*/
import "C"

import (
	"fmt"
	"sync"
	"unsafe"

	_ "kerasrun/runner/internal/needtensorflow"
)

// Preferred returns whether the operations are to be taken on this processor in place of
// TensorFlow's own, in float32 or in bfloat16.
func Preferred(bf16 bool) bool {
	n := C.int(0)
	if bf16 {
		n = 1
	}
	return C.kerasrun_conv2d_preferred(n) != 0
}

var registered struct {
	sync.Once
	err error
}

// Register makes the operations known to TensorFlow, once for the process. The first call says how
// many threads compute. Safe for concurrent use.
func Register(threads int) error {
	registered.Do(func() {
		if threads < 1 {
			registered.err = fmt.Errorf("cpuconv: expected a thread or more, got %d", threads)
			return
		}
		names := [...]*C.char{C.CString(Op), C.CString(MaxPoolOp), C.CString(RegionOp)}
		for _, name := range names {
			defer C.free(unsafe.Pointer(name))
		}
		fault := C.kerasrun_register_ops(names[0], names[1], names[2], C.int(threads))
		if fault != nil {
			registered.err = fmt.Errorf("cpuconv: TensorFlow: %s", C.GoString(fault))
			C.free(unsafe.Pointer(fault))
		}
	})
	return registered.err
}
