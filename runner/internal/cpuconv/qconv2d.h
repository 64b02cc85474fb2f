// A 2-D convolution of bytes, and what follows it in float32:
//
//   sum[n][oh][ow][o] = sum over i < kh, j < kw, k < ic of
//                         (x[n][row(oh, i)][column(ow, j)][g * ic + k] - zero) * filter[i][j][k][o]
//   y[n][oh][ow][o]   = act(sum * multiplier[o] + bias[o] + add[n][oh][ow][o])
//   z[n][oh][ow][o]   = the byte of y
//
// with rows, columns and groups as in conv2d.h. x has bytes of 0 to 255, of which zero stands for
// the number 0, as outside of the image; the filter has -127 to 127. A sum is exact in 32 bits.
// What follows is rounded to float32 after each multiplication and addition, as numpy does it, so
// that each instruction set makes the same bits of it (but for sigmoid and swish).
//
// The byte of a number is TensorFlow's of FakeQuantWithMinMaxArgs:
//
//   floor((min(max(y, min), max) - min) * inverse - zero + 0.5) + zero

#pragma once

#include <stdint.h>

#include "conv2d.h"

struct kerasrun_quantization {
  float min, max, inverse;  // inverse of the distance between two bytes' numbers
  int32_t zero;
};

// kerasrun_quantization_valid checks that bytes are what it makes.
static inline int kerasrun_quantization_valid(const struct kerasrun_quantization* q) {
  return q->zero >= 0 && q->zero <= 255 && q->min <= 0 && q->max >= 0 && q->min < q->max &&
         q->inverse > 0 && q->inverse <= __FLT_MAX__ && q->min >= -__FLT_MAX__ &&
         q->max <= __FLT_MAX__;
}

// Images of bytes in memory: x[n][p + h + p][p + w + p][c, and up to 3], with zero in the p pixels
// around. KERASRUN_BYTES_BEHIND more may be read, whose values do not matter.
struct kerasrun_bytes {
  uint8_t* data;  // the first pixel, behind the padding
  int64_t h, w, padding;
  int64_t pixel_stride, row_stride, image_stride;
};

enum { KERASRUN_BYTES_BEHIND = 64 };

static inline struct kerasrun_bytes kerasrun_bytes(const void* data, int64_t padding, int64_t h,
                                                   int64_t w, int64_t c) {
  struct kerasrun_bytes b = {.h = h, .w = w, .padding = padding};
  b.pixel_stride = div_round_up(c, 4) * 4;
  b.row_stride = (w + 2 * padding) * b.pixel_stride;
  b.image_stride = (h + 2 * padding) * b.row_stride;
  b.data = (uint8_t*)data;
  if (data) b.data += padding * (b.row_stride + b.pixel_stride);
  return b;
}

// kerasrun_bytes_floats returns how many floats' memory n images take. They fit the layout NHWC
// (kerasrun_layout_fits) with that padding.
static inline int64_t kerasrun_bytes_floats(int64_t padding, int64_t n, int64_t h, int64_t w,
                                            int64_t c) {
  return (n * kerasrun_bytes(NULL, padding, h, w, c).image_stride + KERASRUN_BYTES_BEHIND) / 4;
}

// So much may the products of one sum add up to.
#define KERASRUN_MAX_SUM (INT32_MAX / (255 * 127))

// kerasrun_qconv2d_valid checks all but the layouts, which have no say here.
static inline int kerasrun_qconv2d_valid(const struct kerasrun_conv2d* c) {
  const int64_t sizes[] = {c->kh, c->kw, c->ic};
  int64_t products = 1;
  for (int i = 0; i < 3; i++) {
    if (sizes[i] < 1 || sizes[i] > KERASRUN_MAX_SUM / products) return 0;
    products *= sizes[i];
  }
  return kerasrun_conv2d_window_valid(c) && c->oc > 0 && c->oc <= INT32_MAX && c->groups > 0 &&
         c->groups <= c->oc && c->oc % c->groups == 0 && c->groups <= INT32_MAX / c->ic && !c->bf16;
}

// kerasrun_qconv2d_call are the operands of a call. x has the padding that the filter reads; z may
// have any. add and y are in NHWC, and may be the same memory.
struct kerasrun_qconv2d_call {
  const struct kerasrun_conv2d* c;
  const float *packed, *bias;
  struct kerasrun_bytes x;
  const float* add;         // or NULL: nothing is added
  float* y;                 // or NULL: it is not needed
  struct kerasrun_bytes z;  // data is NULL where it is not needed
  struct kerasrun_quantization q;
  int64_t n, out_h, out_w;
};

struct kerasrun_qconv2d_isa {
  // packed_size returns the floats of a packed filter, with its multipliers.
  int64_t (*packed_size)(const struct kerasrun_conv2d* c);
  // pack packs filter[kh][kw][ic][oc] for images whose byte of 0 is zero.
  void (*pack)(const struct kerasrun_conv2d* c, const int8_t* filter, const float* multiplier,
               int32_t zero, float* packed);
  void (*run)(const struct kerasrun_qconv2d_call* call);
  // quantize writes the bytes of n images of c channels, and the padding around.
  void (*quantize)(const struct kerasrun_quantization* q, const struct kerasrun_view* x, int64_t n,
                   int64_t c, const struct kerasrun_bytes* z);
};

extern const struct kerasrun_qconv2d_isa kerasrun_qconv2d_avx2, kerasrun_qconv2d_avx512vnni;

// kerasrun_qconv2d_isa returns the one that this processor computes with.
const struct kerasrun_qconv2d_isa* kerasrun_qconv2d_isa(void);

// kerasrun_qconv2d_packed_size and kerasrun_qconv2d_pack are those of it.
int64_t kerasrun_qconv2d_packed_size(const struct kerasrun_conv2d* c);
void kerasrun_qconv2d_pack(const struct kerasrun_conv2d* c, const int8_t* filter,
                           const float* multiplier, int32_t zero, float* packed);
