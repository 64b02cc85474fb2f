// Depthwise convolutions: each channel has a filter of its own. A task is, for rows of an image and
// eight channels,
//
//   for each output row
//     for each span of pixels that lie one after the other
//       for each tile                                mr pixels: sums in registers
//       activate the span
//
// What includes this defines what activation_vector.h needs.

#pragma once

#include "conv2d.h"
#include "isa.h"
#include "microkernel.h"
#include "threadpool.h"

// With as many sums neither the registers nor the latency of a multiply-add are short.
#define DEPTHWISE_MR 8

struct depthwise_call {
  const struct kerasrun_conv2d* c;
  const float *filter, *bias;
  struct kerasrun_view x, y;
  int64_t m_blocks;  // of an image's rows
};

// depthwise_tile computes mr pixels, 8 floats apart, of eight channels: relu's are applied here.
// x is the first pixel's window, w[kh][kw][oc] the filter from these channels on.
typedef void depthwise_tile(const struct kerasrun_conv2d* c, const float* x, int64_t row_stride,
                            const float* w, __m256 bias, float* y);

INLINE void depthwise_sums(int mr, int64_t stride, int64_t kw, const struct kerasrun_conv2d* c,
                           const float* x, int64_t row_stride, const float* w, __m256 bias,
                           float* y) {
  __m256 acc[DEPTHWISE_MR];
#pragma GCC unroll 8
  for (int m = 0; m < mr; m++) acc[m] = bias;
  for (int64_t i = 0; i < c->kh; i++, x += row_stride)
#pragma GCC unroll 5
    for (int64_t j = 0; j < kw; j++, w += c->oc) {
      __m256 b = _mm256_loadu_ps(w);
#pragma GCC unroll 8
      for (int m = 0; m < mr; m++)
        acc[m] = _mm256_fmadd_ps(_mm256_loadu_ps(x + 8 * (j + m * stride)), b, acc[m]);
    }
  int relu = c->act == KERASRUN_RELU || c->act == KERASRUN_RELU6;
#pragma GCC unroll 8
  for (int m = 0; m < mr; m++) {
    if (relu) acc[m] = _mm256_max_ps(_mm256_setzero_ps(), acc[m]);
    if (c->act == KERASRUN_RELU6) acc[m] = _mm256_min_ps(_mm256_set1_ps(6), acc[m]);
    _mm256_storeu_ps(y + 8 * m, acc[m]);
  }
}

// The compiler makes more of a stride and a width that it knows.
#define DEFINE_DEPTHWISE(mr)                                                                   \
  static void depthwise_tile_##mr(const struct kerasrun_conv2d* c, const float* x,             \
                                  int64_t row_stride, const float* w, __m256 bias, float* y) { \
    if (c->stride_w == 1 && c->kw == 3)                                                        \
      depthwise_sums(mr, 1, 3, c, x, row_stride, w, bias, y);                                  \
    else if (c->stride_w == 1 && c->kw == 5)                                                   \
      depthwise_sums(mr, 1, 5, c, x, row_stride, w, bias, y);                                  \
    else if (c->stride_w == 2 && c->kw == 3)                                                   \
      depthwise_sums(mr, 2, 3, c, x, row_stride, w, bias, y);                                  \
    else                                                                                       \
      depthwise_sums(mr, c->stride_w, c->kw, c, x, row_stride, w, bias, y);                    \
  }
#define FOR_EACH_DEPTHWISE(f) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8)
#define DEPTHWISE_NAME(mr) depthwise_tile_##mr,
FOR_EACH_DEPTHWISE(DEFINE_DEPTHWISE)
static depthwise_tile* const depthwise_tiles[DEPTHWISE_MR + 1] = {
    NULL, FOR_EACH_DEPTHWISE(DEPTHWISE_NAME)};

// activate_span applies an activation to n floats, a multiple of eight.
static void activate_span(float* y, int64_t n, enum kerasrun_act act) {
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) store_split(y + i, 8, 1, activated(load(y + i), act));
  if (i < n) store_split(y + i, 8, 0, activated(load_split(y + i, 8, 0), act));
}

static void depthwise_task(void* context, int64_t task) {
  const struct depthwise_call* call = context;
  const struct kerasrun_conv2d* c = call->c;
  int64_t m_block = task % call->m_blocks, plane = task / call->m_blocks;
  int64_t c8 = plane % (c->oc / 8), image = plane / (c->oc / 8);
  int64_t first_row = call->y.h * m_block / call->m_blocks;
  int64_t end_row = call->y.h * (m_block + 1) / call->m_blocks;
  const float* x = call->x.data + image * call->x.image_stride + c8 * call->x.c8_stride -
                   c->pad_top * call->x.row_stride - c->pad_left * 8;
  float* y = call->y.data + c8 * call->y.c8_stride;
  __m256 bias = _mm256_loadu_ps(call->bias + 8 * c8);
  for (int64_t row = first_row; row < end_row; row++) {
    const float* line = x + row * c->stride_h * call->x.row_stride;
    for (int64_t first = 0, n; first < call->y.w; first += n) {
      int64_t pixel = (image * call->y.h + row) * call->y.w + first, offset;
      kerasrun_pixel_offsets(&call->y, pixel, 1, &offset);
      n = call->y.w - first;
      if (call->y.layout.kind == KERASRUN_NHWC) n = 1;
      if (call->y.layout.kind == KERASRUN_TILED) n = min(n, KERASRUN_MC - pixel % KERASRUN_MC);
      int64_t tiles = div_round_up(n, DEPTHWISE_MR);
      for (int64_t tile = 0; tile < tiles; tile++) {
        int64_t m = n * tile / tiles, mr = n * (tile + 1) / tiles - m;
        depthwise_tiles[mr](c, line + (first + m) * c->stride_w * 8, call->x.row_stride,
                            call->filter + 8 * c8, bias, y + offset + 8 * m);
      }
      if (c->act > KERASRUN_RELU6) activate_span(y + offset, 8 * n, c->act);
    }
  }
}

static void depthwise(const struct kerasrun_conv2d* c, const float* filter, const float* bias,
                      const float* x, int64_t n, int64_t h, int64_t w, float* y) {
  int64_t out_h = kerasrun_conv2d_out_h(c, h), out_w = kerasrun_conv2d_out_w(c, w);
  assert(kerasrun_depthwise_valid(c) && filter && bias && x && y);
  assert(n > 0 && out_h > 0 && out_w > 0 && kerasrun_depthwise_fits(c, n, h, w));
  struct depthwise_call call = {.c = c, .filter = filter, .bias = bias};
  call.x = kerasrun_view(c->x, x, h, w, c->oc);
  call.y = kerasrun_view(c->y, y, out_h, out_w, c->oc);
  kerasrun_zero_padding(&call.y, n, c->oc);
  int64_t planes = n * (c->oc / 8), wanted = 4 * kerasrun_threadpool_size();
  call.m_blocks = min(out_h, div_round_up(wanted, planes));
  kerasrun_threadpool_run(depthwise_task, &call, planes * call.m_blocks);
}
