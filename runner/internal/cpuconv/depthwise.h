// Depthwise convolutions: each channel has a filter of its own. A task is, for rows of an image and
// some blocks of eight channels,
//
//   for each block of eight channels
//     for each two rows of the output, or the last one
//       for each tile                          so many pixels of each: sums in registers
//
// A vector is eight channels of one pixel, or of two. A number of the image is read once for both
// rows. What includes this defines what activation_vector.h needs, DEPTHWISE_VECTORS and
// FOR_EACH_DEPTHWISE.

#pragma once

#include "conv2d.h"
#include "isa.h"
#include "microkernel.h"
#include "threadpool.h"

#define VECTOR_PIXELS (LANES / 8)
#define DEPTHWISE_PIXELS (DEPTHWISE_VECTORS * VECTOR_PIXELS)

struct depthwise_call {
  const struct kerasrun_conv2d* c;
  const float *filter, *bias;
  struct kerasrun_view x, y;
  int64_t m_blocks, c_blocks;  // of an image's rows, and of blocks of eight channels
};

// depthwise_input is the window of a tile's first pixel, and w[kh][kw][w_stride] the filter from
// its channels on.
struct depthwise_input {
  const float* x;
  int64_t row_stride;
  int64_t last;  // floats from the last vector's first pixel to its second one: 0 if it has none
  const float* w;
  int64_t w_stride;
  __m256 bias;
};

// depthwise_tile computes pixels of a row, or two, eight channels each: y[row][8 * pixels], but for
// the activations that are no relu.
typedef void depthwise_tile(const struct kerasrun_conv2d* c, const struct depthwise_input* in,
                            int rows, float* const y[2]);

// pixels_at returns a vector of the image, stride pixels from one to the next.
INLINE vector pixels_at(const float* x, int64_t stride, int64_t second) {
#if LANES == 8
  return (void)stride, (void)second, load(x);
#else
  if (stride == 1) return load(x);  // behind a plane is a gap, so that there is a second one
  return concat(_mm256_loadu_ps(x), _mm256_loadu_ps(x + second));
#endif
}

// depthwise_row adds a row of the image to both rows of sums, or one: w0, w1 are the filter's.
INLINE void depthwise_row(int nv, int64_t stride, int64_t kw, const struct depthwise_input* in,
                          const float* x, const float* w0, const float* w1, vector acc[][2]) {
#pragma GCC unroll 7
  for (int64_t j = 0; j < kw; j++) {
    vector b0 = zero(), b1 = zero();
    if (w0) b0 = broadcast8(w0 + j * in->w_stride);
    if (w1) b1 = broadcast8(w1 + j * in->w_stride);
#pragma GCC unroll 7
    for (int m = 0; m < nv; m++) {
      int64_t second = m == nv - 1 ? in->last : 8 * stride;
      vector a = pixels_at(x + 8 * (j + m * VECTOR_PIXELS * stride), stride, second);
      if (w0) acc[m][0] = fmadd(a, b0, acc[m][0]);
      if (w1) acc[m][1] = fmadd(a, b1, acc[m][1]);
    }
  }
}

INLINE void depthwise_sums(int nv, int64_t stride, int64_t kh, int64_t kw,
                           const struct kerasrun_conv2d* c, const struct depthwise_input* in,
                           int rows, float* const y[2]) {
  vector acc[DEPTHWISE_VECTORS][2];
  float bias[8];
  _mm256_storeu_ps(bias, in->bias);
#pragma GCC unroll 7
  for (int m = 0; m < nv; m++) acc[m][0] = acc[m][1] = broadcast8(bias);
  const float* x = in->x;
  int64_t w_row = kw * in->w_stride;
  int64_t both = rows == 2 ? c->stride_h : kh;  // the first row that is part of both sums
  for (int64_t i = 0; i < min(both, kh); i++, x += in->row_stride)
    depthwise_row(nv, stride, kw, in, x, in->w + i * w_row, NULL, acc);
  if (rows == 2) {
    if (both > kh) x += (both - kh) * in->row_stride;
    for (int64_t i = both; i < kh; i++, x += in->row_stride)
      depthwise_row(nv, stride, kw, in, x, in->w + i * w_row, in->w + (i - both) * w_row, acc);
    for (int64_t i = max(kh - both, 0); i < kh; i++, x += in->row_stride)
      depthwise_row(nv, stride, kw, in, x, NULL, in->w + i * w_row, acc);
  }
  int relu = c->act == KERASRUN_RELU || c->act == KERASRUN_RELU6;
#pragma GCC unroll 2
  for (int row = 0; row < 2; row++) {
    if (row == rows) break;
#pragma GCC unroll 7
    for (int m = 0; m < nv; m++) {
      vector sum = acc[m][row];
      if (relu) sum = at_least(zero(), sum);
      if (c->act == KERASRUN_RELU6) sum = at_most(all(6), sum);
      store_split(y[row] + m * LANES, 8, m < nv - 1 || in->last > 0, sum);
    }
  }
}

// The compiler makes more of a stride and a width that it knows.
#define DEFINE_DEPTHWISE(nv)                                                                       \
  static void depthwise_tile_##nv(const struct kerasrun_conv2d* c,                                 \
                                  const struct depthwise_input* in, int rows, float* const y[2]) { \
    if (c->stride_w == 1 && c->kw == 3 && c->kh == 3)                                              \
      depthwise_sums(nv, 1, 3, 3, c, in, rows, y);                                                 \
    else if (c->stride_w == 1 && c->kw == 5)                                                       \
      depthwise_sums(nv, 1, c->kh, 5, c, in, rows, y);                                             \
    else if (c->stride_w == 2 && c->kw == 3)                                                       \
      depthwise_sums(nv, 2, c->kh, 3, c, in, rows, y);                                             \
    else                                                                                           \
      depthwise_sums(nv, c->stride_w, c->kh, c->kw, c, in, rows, y);                               \
  }
#define DEPTHWISE_NAME(nv) depthwise_tile_##nv,
FOR_EACH_DEPTHWISE(DEFINE_DEPTHWISE)
static depthwise_tile* const depthwise_tiles[DEPTHWISE_VECTORS + 1] = {
    NULL, FOR_EACH_DEPTHWISE(DEPTHWISE_NAME)};

// activate_span applies an activation to n floats, a multiple of eight.
static void activate_span(float* y, int64_t n, enum kerasrun_act act) {
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) store_split(y + i, 8, 1, activated(load(y + i), act));
  if (i < n) store_split(y + i, 8, 0, activated(load_split(y + i, 8, 0), act));
}

// depthwise_pixels computes n pixels of a row, or two, from those on whose numbers are in pixel. y
// is their channels of the output. Where they do not lie together they are computed beside it.
static void depthwise_pixels(const struct depthwise_call* call, const struct depthwise_input* in,
                             int rows, const int64_t pixel[2], int64_t n, float* y) {
  const struct kerasrun_conv2d* c = call->c;
  float beside[2][8 * DEPTHWISE_PIXELS], *to[2] = {beside[0], beside[1]};
  int64_t offsets[2][DEPTHWISE_PIXELS];
  for (int row = 0; row < rows; row++) {
    int together =
        call->y.layout.kind == KERASRUN_NCHW8C ||
        (call->y.layout.kind == KERASRUN_TILED && pixel[row] % KERASRUN_MC + n <= KERASRUN_MC);
    kerasrun_pixel_offsets(&call->y, pixel[row], together ? 1 : n, offsets[row]);
    if (together) to[row] = y + offsets[row][0];
  }
  depthwise_tiles[div_round_up(n, VECTOR_PIXELS)](c, in, rows, to);
  for (int row = 0; row < rows; row++) {
    if (c->act > KERASRUN_RELU6) activate_span(to[row], 8 * n, c->act);
    for (int64_t i = 0; to[row] == beside[row] && i < n; i++)
      memcpy(y + offsets[row][i], beside[row] + 8 * i, 8 * sizeof(float));
  }
}

// depthwise_plane computes rows of eight channels of an image. x is the window of the first pixel.
static void depthwise_plane(const struct depthwise_call* call, int64_t image, int64_t c8,
                            int64_t first_row, int64_t end_row, const float* x,
                            int64_t x_row_stride) {
  const struct kerasrun_conv2d* c = call->c;
  struct depthwise_input in = {.row_stride = x_row_stride,
                               .w = call->filter + 8 * c8,
                               .w_stride = c->oc,
                               .bias = _mm256_loadu_ps(call->bias + 8 * c8)};
  float* y = call->y.data + c8 * call->y.c8_stride;
  int64_t vectors = div_round_up(call->y.w, VECTOR_PIXELS);
  int64_t tiles = div_round_up(vectors, DEPTHWISE_VECTORS);
  for (int64_t row = first_row; row < end_row; row += 2, x += 2 * c->stride_h * x_row_stride)
    for (int64_t tile = 0; tile < tiles; tile++) {
      int64_t first = vectors * tile / tiles * VECTOR_PIXELS;
      int64_t n = min(vectors * (tile + 1) / tiles * VECTOR_PIXELS, call->y.w) - first;
      in.x = x + 8 * first * c->stride_w;
      in.last = n % VECTOR_PIXELS == 0 && VECTOR_PIXELS > 1 ? 8 * c->stride_w : 0;
      int64_t pixel = (image * call->y.h + row) * call->y.w + first;
      depthwise_pixels(call, &in, row + 1 < end_row ? 2 : 1, (int64_t[]){pixel, pixel + call->y.w},
                       n, y);
    }
}

static void depthwise_task(void* context, int64_t task) {
  const struct depthwise_call* call = context;
  const struct kerasrun_conv2d* c = call->c;
  int64_t c_block = task % call->c_blocks, m_block = task / call->c_blocks % call->m_blocks;
  int64_t image = task / call->c_blocks / call->m_blocks;
  int64_t first_row = call->y.h * m_block / call->m_blocks;
  int64_t end_row = call->y.h * (m_block + 1) / call->m_blocks;
  int64_t c8 = c->oc / 8 * c_block / call->c_blocks;
  for (; c8 < c->oc / 8 * (c_block + 1) / call->c_blocks; c8++)
    depthwise_plane(call, image, c8, first_row, end_row,
                    call->x.data + image * call->x.image_stride + c8 * call->x.c8_stride -
                        c->pad_left * 8 +
                        (first_row * c->stride_h - c->pad_top) * call->x.row_stride,
                    call->x.row_stride);
}

// So many rows an image has for its rows to be shared by the threads, as those of 1x1 convolutions
// are; else its channels are.
#define DEPTHWISE_MIN_ROWS 14

static void depthwise(const struct kerasrun_conv2d* c, const float* filter, const float* bias,
                      const float* x, int64_t n, int64_t h, int64_t w, float* y) {
  int64_t out_h = kerasrun_conv2d_out_h(c, h), out_w = kerasrun_conv2d_out_w(c, w);
  assert(kerasrun_depthwise_valid(c) && filter && bias && x && y);
  assert(n > 0 && out_h > 0 && out_w > 0 && kerasrun_depthwise_fits(c, n, h, w));
  struct depthwise_call call = {.c = c, .filter = filter, .bias = bias, .m_blocks = 1};
  call.x = kerasrun_view(c->x, x, h, w, c->oc);
  call.y = kerasrun_view(c->y, y, out_h, out_w, c->oc);
  kerasrun_zero_padding(&call.y, n, c->oc);
  int64_t threads = kerasrun_threadpool_size();
  if (out_h >= DEPTHWISE_MIN_ROWS) call.m_blocks = min(div_round_up(threads, n), out_h / 2);
  call.c_blocks = min(c->oc / 8, div_round_up(4 * threads, n * call.m_blocks));
  kerasrun_threadpool_run(depthwise_task, &call, n * call.m_blocks * call.c_blocks);
}
