// Package cpuconv has operations for TensorFlow that compute its fused convolutions, products of
// matrices and max pools faster, on Linux and processors with AVX2 or AVX-512.
//
// Regions makes one operation of all that it can of a graph (lowering.go says what that is, region.h
// what an operation computes), if it can have all convolutions. Else Replace puts single ones into a
// graph in the place of TensorFlow's. Register comes before a session of either. A convolution
// reads its filter as Pack has packed it, in memory of NewMemory: the caller frees that
// (Memory.Free) after the last session that reads it.
//
// Between two of our operations images lie in memory as the next one reads them (layout.h):
//
//	NHWC     x[n][h][w][c]                             TensorFlow's
//	TILED    x[ceil(n*h*w / 102)][c/8][102][8]         for 1x1 convolutions
//	NCHW8C   x[n][c/8][p + h + p][p + w + p][8]        for larger filters: p zeros around
//
// The C is in layers: tf_*_op (TensorFlow's operations; every size is checked there), conv2d.h and
// max_pool.h (what they compute), conv2d_driver.h (packing, tasks), conv_1x1_microkernel.h and
// direct_conv_microkernels.h
// (micro-kernels, and the loops around them), threadpool.h. It knows nothing of TensorFlow below
// tf_*_op. The f32_* files compile the micro-kernels for one instruction set each, and say their
// tiles. The build tag emulate_avx512 computes AVX-512's with AVX2's, to be tested where there is
// no AVX-512. With it assert is on, which a release leaves out; `make test-native` has it on too,
// beside sanitizers.
package cpuconv
