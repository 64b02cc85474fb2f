// Package cpuconv has operations for TensorFlow that compute convolutions, and what lies between
// them, faster, on Linux and processors with AVX2 or AVX-512.
//
// Regions makes one operation of all that it can of a graph, if it can have all convolutions
// (operations.go says what becomes a step of one, region.h what a step computes). Else Replace puts
// single ones into a graph in the place of TensorFlow's. Register comes before a session of either.
// A convolution reads its filter as Pack has packed it, in memory of NewMemory: the caller frees
// that (Memory.Free) after the last session that reads it.
//
// Between two of our operations images lie in memory as the next one reads them (layout.h):
//
//	NHWC     x[n][h][w][c]                             TensorFlow's
//	TILED    x[ceil(n*h*w / 102)][c/8][102][8]         for 1x1 convolutions
//	NCHW8C   x[n][c/8][p + h + p][p + w + p][8]        for larger filters: p zeros around
//
// The C is in layers: tf_*_op (TensorFlow's operations), region.h (the steps of one), conv2d.h,
// max_pool.h and isa.h (what is computed), conv2d_driver.h (packing, tasks),
// conv_1x1_microkernel.h and direct_conv_microkernels.h (micro-kernels, and the loops around them),
// depthwise.h, image_ops.h, threadpool.h. Every size is checked in tf_*_op, and those of a region's
// values in region_linux_amd64.c. It knows nothing of TensorFlow below tf_*_op. The f32_* files
// compile the micro-kernels for one instruction set each, and say their tiles. The build tag
// emulate_avx512 computes AVX-512's with AVX2's, to be tested where there is no AVX-512. With it
// assert is on, which a release leaves out; `make test-native` has it on too, beside sanitizers.
package cpuconv
