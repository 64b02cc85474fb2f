// Convolutions with vectors of eight floats: micro-kernels of 6 x 16 and 12 x 8 (mr x nr).
// Their bodies, for any vectors, are conv_1x1_microkernel.h and direct_conv_microkernels.h.

#pragma GCC target("avx2,fma")

#include "vectors_avx2.h"

// 6 x 2 accumulators, two vectors of the filter and one float of the image take 15 of 16 registers.
// With one vector a row, 12 rows make as many accumulators.
#define MR 6
#define MR_NARROW 12
enum { K_UNROLL = 8 };
#define FOR_EACH_MR(f) f(2, 1) f(2, 2) f(2, 3) f(2, 4) f(2, 5) f(2, 6)
#define FOR_EACH_MR_NARROW(f) \
  f(1, 1) f(1, 2) f(1, 3) f(1, 4) f(1, 5) f(1, 6) f(1, 7) f(1, 8) f(1, 9) f(1, 10) f(1, 11) f(1, 12)

#define FOR_EACH_TWO_ROWS(f) f(1) f(2) f(3) f(4) f(5) f(6)

// 2 x 6 sums of a depthwise convolution, two vectors of the filter and one of the image.
#define DEPTHWISE_VECTORS 6
#define FOR_EACH_DEPTHWISE(f) f(1) f(2) f(3) f(4) f(5) f(6)

#include "conv2d_driver.h"
#include "depthwise.h"
#include "expand_depthwise.h"
#include "image_ops.h"

const struct kerasrun_conv2d_isa kerasrun_conv2d_avx2 = {
    packed_size, pack_filter, run, depthwise, expand_depthwise, scale, mean, dense};
