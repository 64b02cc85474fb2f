// Chooses by the processor which instructions a convolution is computed with.

#include "conv2d.h"

#include "isa.h"
#include "qconv2d.h"

static int has_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}

int kerasrun_conv2d_preferred(int bf16) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         !(bf16 && __builtin_cpu_supports("avx512bf16"));
}

const struct kerasrun_conv2d_isa* kerasrun_isa(void) {
#ifdef KERASRUN_EMULATE_AVX512
  return &kerasrun_conv2d_avx512;
#else
  return has_avx512() ? &kerasrun_conv2d_avx512 : &kerasrun_conv2d_avx2;
#endif
}

const struct kerasrun_qconv2d_isa* kerasrun_qconv2d_isa(void) {
  int has_vnni = has_avx512() && __builtin_cpu_supports("avx512vnni");
  return has_vnni ? &kerasrun_qconv2d_avx512vnni : &kerasrun_qconv2d_avx2;
}

int64_t kerasrun_qconv2d_packed_size(const struct kerasrun_conv2d* c) {
  return kerasrun_qconv2d_isa()->packed_size(c);
}

void kerasrun_qconv2d_pack(const struct kerasrun_conv2d* c, const int8_t* filter,
                           const float* multiplier, int32_t zero, float* packed) {
  kerasrun_qconv2d_isa()->pack(c, filter, multiplier, zero, packed);
}

int64_t kerasrun_conv2d_packed_size(const struct kerasrun_conv2d* c) {
  assert(kerasrun_conv2d_valid(c));
  return kerasrun_isa()->packed_size(c);
}

void kerasrun_conv2d_pack(const struct kerasrun_conv2d* c, const float* filter, float* packed) {
  assert(kerasrun_conv2d_valid(c) && filter && packed);
  kerasrun_isa()->pack(c, filter, packed);
}

int kerasrun_conv2d_run(const struct kerasrun_conv2d* c, const float* packed, const float* bias,
                        const float* add, const float* x, int64_t n, int64_t h, int64_t w,
                        float* y) {
  return kerasrun_isa()->run(c, packed, bias, add, x, n, h, w, y);
}
