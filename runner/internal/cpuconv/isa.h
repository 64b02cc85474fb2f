// Convolutions by the vectors that a processor has.

#pragma once

#include "conv2d.h"

// What conv.h has, of one kind of vectors.
struct kerasrun_vectors {
  long (*packed)(const struct kerasrun_conv* c);
  void (*pack)(const struct kerasrun_conv* c, const float* kernel, float* packed);
  int (*run)(const struct kerasrun_conv* c, const float* packed, const float* bias, const float* add, const float* x, long n, long h, long w, float* y);
};

extern const struct kerasrun_vectors kerasrun_avx2, kerasrun_avx512;
