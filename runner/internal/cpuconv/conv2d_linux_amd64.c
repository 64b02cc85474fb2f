#include "conv2d.h"

#include "isa.h"

static int has_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}

int kerasrun_conv_preferred(int bf16) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && !(bf16 && __builtin_cpu_supports("avx512bf16"));
}

static const struct kerasrun_vectors* vectors(void) {
#ifdef KERASRUN_EMULATE_AVX512
  return &kerasrun_avx512;
#else
  return has_avx512() ? &kerasrun_avx512 : &kerasrun_avx2;
#endif
}

long kerasrun_conv_packed(const struct kerasrun_conv* c) { return vectors()->packed(c); }

void kerasrun_conv_pack(const struct kerasrun_conv* c, const float* kernel, float* packed) { vectors()->pack(c, kernel, packed); }

int kerasrun_conv_run(const struct kerasrun_conv* c, const float* packed, const float* bias, const float* add, const float* x, long n, long h, long w, float* y) {
  return vectors()->run(c, packed, bias, add, x, n, h, w, y);
}
