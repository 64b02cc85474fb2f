// The functions of conv2d.h, compiled for one instruction set each.

#pragma once

#include "conv2d.h"

struct kerasrun_conv2d_isa {
  int64_t (*packed_size)(const struct kerasrun_conv2d* c);
  void (*pack)(const struct kerasrun_conv2d* c, const float* filter, float* packed);
  int (*run)(const struct kerasrun_conv2d* c, const float* packed, const float* bias,
             const float* add, const float* x, int64_t n, int64_t h, int64_t w, float* y);
};

extern const struct kerasrun_conv2d_isa kerasrun_conv2d_avx2, kerasrun_conv2d_avx512;
