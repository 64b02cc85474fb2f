// Convolutions with filters of several pixels, in groups or not. A task is, for rows of an image,
//
//   copy x with padding to padded[ic/cb][height][width][cb]    not where it has the padding
//   for each group
//     for each panel of the n block                            nr output channels
//       for each output row
//         for each tile                                        mr pixels: a direct micro-kernel
//
// cb is channel_block: 8 channels, or all of a group's.

#pragma once

#include "conv2d_call.h"

// direct_input is what a row of the output is computed from: x[count][..][..][cb].
struct direct_input {
  int64_t cb;
  int64_t count, plane_stride, row_stride;  // of a group
  int64_t kh, kw, stride;
  int64_t next_row;  // from a window to that of the pixel below
  int64_t ahead;     // of kw3: what is prefetched lies so far behind w
};

// f32_direct: x is the first pixel's window. w is [count][kh][kw][cb][nr], for kw3
// [count][kh][cb][3][nr].
typedef void f32_direct_microkernel(const float* x, const struct direct_input* p, const float* w,
                                    const struct output_tile* o);

INLINE void direct_loop(int mr, int nv, int k_step, int64_t x_stride, const float* x,
                        const struct direct_input* p, const float* w, vector acc[][2]) {
  for (int64_t c = 0; c < p->count; c++, x += p->plane_stride) {
    const float* line = x;
    for (int64_t i = 0; i < p->kh; i++, line += p->row_stride)
      for (int64_t k = 0; k < p->kw * p->cb; k += k_step, w += k_step * LANES * nv)
        k_loop(mr, nv, k_step, line + k, x_stride, w, acc);
  }
}

// direct_loop_kw3 is direct_loop for filters three pixels wide, of eight channels: a float of the
// image is read once for the three sums that it is part of. It takes half the loads, which are
// scarce. It computes one row of mr pixels, or two: a short row alone has too few sums.
INLINE void direct_loop_kw3(int mr, int rows, int stride, const float* x,
                            const struct direct_input* p, const float* w, vector acc[][2]) {
  for (int64_t c = 0; c < p->count; c++, x += p->plane_stride) {
    const float* line = x;
    for (int64_t i = 0; i < p->kh; i++, line += p->row_stride)
      for (int k = 0; k < 8; k++, w += 3 * LANES) {
        __builtin_prefetch(w + p->ahead, 0, 2);
        vector b[3];
#pragma GCC unroll 3
        for (int t = 0; t < 3; t++) b[t] = load(w + t * LANES);
#pragma GCC unroll 2
        for (int row = 0; row < rows; row++)
#pragma GCC unroll 29
          for (int j = 0; j < (mr - 1) * stride + 3; j++) {
            vector a = broadcast(line + row * p->next_row + j * 8 + k);
#pragma GCC unroll 3
            for (int t = 0; t < 3; t++) {
              int m = (j - t) / stride, sum = row * mr + m;
              if (j >= t && (j - t) % stride == 0 && m < mr)
                acc[sum][0] = fmadd(a, b[t], acc[sum][0]);
            }
          }
      }
  }
}

#define DEFINE_DIRECT(nv, mr)                                                          \
  static void f32_direct_##mr##x##nv##v(const float* x, const struct direct_input* p,  \
                                        const float* w, const struct output_tile* o) { \
    assert(p->count > 0 && o->c8 > 0 && o->c8 <= nv * LANES / 8);                      \
    vector acc[mr][2];                                                                 \
    load_accumulators(mr, nv, acc, o, K_FIRST | K_LAST);                               \
    if (p->cb == 8 && p->stride == 1)                                                  \
      direct_loop(mr, nv, 8, 8, x, p, w, acc);                                         \
    else if (p->cb == 3 && p->stride == 2)                                             \
      direct_loop(mr, nv, 3, 6, x, p, w, acc);                                         \
    else                                                                               \
      direct_loop(mr, nv, 1, p->cb * p->stride, x, p, w, acc);                         \
    epilogue(mr, nv, acc, o, K_FIRST | K_LAST);                                        \
  }
#define DEFINE_DIRECT_KW3(nv, mr)                                                          \
  static void f32_direct_kw3_##mr##x##nv##v(const float* x, const struct direct_input* p,  \
                                            const float* w, const struct output_tile* o) { \
    assert(p->cb == 8 && p->kw == 3 && (p->stride == 1 || p->stride == 2));                \
    assert(p->count > 0 && o->c8 > 0 && o->c8 <= nv * LANES / 8);                          \
    vector acc[mr][2];                                                                     \
    load_accumulators(mr, nv, acc, o, K_FIRST | K_LAST);                                   \
    if (p->stride == 1)                                                                    \
      direct_loop_kw3(mr, 1, 1, x, p, w, acc);                                             \
    else                                                                                   \
      direct_loop_kw3(mr, 1, 2, x, p, w, acc);                                             \
    epilogue(mr, nv, acc, o, K_FIRST | K_LAST);                                            \
  }
#define DEFINE_DIRECT_TWO_ROWS(mr)                                                                \
  static void f32_direct_kw3_2x##mr(const float* x, const struct direct_input* p, const float* w, \
                                    const struct output_tile* o) {                                \
    assert(p->cb == 8 && p->kw == 3 && p->stride == 1 && p->count > 0 && o->c8 > 0);              \
    assert(o->c8 <= LANES / 8);                                                                   \
    vector acc[2 * mr][2];                                                                        \
    load_accumulators(2 * mr, 1, acc, o, K_FIRST | K_LAST);                                       \
    direct_loop_kw3(mr, 2, 1, x, p, w, acc);                                                      \
    epilogue(2 * mr, 1, acc, o, K_FIRST | K_LAST);                                                \
  }
FOR_EACH_MR(DEFINE_DIRECT)
FOR_EACH_MR_NARROW(DEFINE_DIRECT)
FOR_EACH_MR_NARROW(DEFINE_DIRECT_KW3)

#define DIRECT_NAME(nv, mr) f32_direct_##mr##x##nv##v,
#define DIRECT_KW3_NAME(nv, mr) f32_direct_kw3_##mr##x##nv##v,
static f32_direct_microkernel* const f32_direct[2][MR_NARROW + 1] = {
    {NULL, FOR_EACH_MR_NARROW(DIRECT_NAME)}, {NULL, FOR_EACH_MR(DIRECT_NAME)}};
static f32_direct_microkernel* const f32_direct_kw3[MR_NARROW + 1] = {
    NULL, FOR_EACH_MR_NARROW(DIRECT_KW3_NAME)};

#define TWO_ROWS_NAME(mr) f32_direct_kw3_2x##mr,
FOR_EACH_TWO_ROWS(DEFINE_DIRECT_TWO_ROWS)
static f32_direct_microkernel* const f32_direct_two_rows[MR_NARROW / 2 + 1] = {
    NULL, FOR_EACH_TWO_ROWS(TWO_ROWS_NAME)};

// copy_line copies n pixels, cb channels at a time, each to its plane. The compiler makes more of a
// cb that it knows.
INLINE void copy_line(int64_t cb, int64_t count, int64_t plane_size, const float* x,
                      int64_t pixel_stride, int64_t c_stride, int64_t n, float* to) {
  for (int64_t j = 0; j < n; j++)
    for (int64_t p = 0; p < count; p++)
      memcpy(to + p * plane_size + j * cb, x + j * pixel_stride + p * c_stride, cb * sizeof(float));
}

// copy_padded writes padded[groups * ic / cb][height][width][cb], with the zeros around the image,
// for the output's rows from first_row on.
static void copy_padded(const struct conv2d_call* call, int64_t image, int64_t first_row,
                        int64_t group, int64_t groups, int64_t height, int64_t width,
                        float* padded) {
  const struct kerasrun_conv2d* c = call->c;
  int64_t cb = channel_block(c), count = groups * c->ic / cb, size = height * width * cb;
  int64_t c_stride = c->x.kind == KERASRUN_NCHW8C ? call->x.c8_stride : cb;
  // Columns that the image has.
  int64_t left = min(c->pad_left, width), right = min(call->x.w + c->pad_left, width);
  for (int64_t i = 0; i < height; i++) {
    int64_t row = first_row * c->stride_h + i - c->pad_top;
    float* line = padded + i * width * cb;
    int outside = row < 0 || row >= call->x.h;
    for (int64_t p = 0; p < count; p++) {
      memset(line + p * size, 0, (outside ? width : left) * cb * sizeof(float));
      if (!outside) memset(line + p * size + right * cb, 0, (width - right) * cb * sizeof(float));
    }
    if (outside) continue;
    const float* x = call->x.data + image * call->x.image_stride + row * call->x.row_stride +
                     group * c->ic / cb * c_stride;
    float* to = line + left * cb;
    if (count == 1 && call->x.pixel_stride == cb)
      memcpy(to, x, (right - left) * cb * sizeof(float));
    else if (cb == 8)
      copy_line(8, count, size, x, call->x.pixel_stride, c_stride, right - left, to);
    else
      copy_line(cb, count, size, x, call->x.pixel_stride, c_stride, right - left, to);
  }
  if (needs_rounding(c)) round_to_bf16(padded, count * size);
}

// next_panel returns how far ahead the filter is prefetched in a pass over it: each of the first
// three fetches a third of the next panel to the second cache.
static int64_t next_panel(const struct kerasrun_conv2d* c, int64_t pass) {
  return pass < 3 ? (k_size(c) + pass) * LANES : 0;
}

static void direct_conv_task(void* context, int64_t task) {
  struct conv2d_call* call = context;
  const struct kerasrun_conv2d* c = call->c;
  int64_t n_block = task % call->n_blocks, rest = task / call->n_blocks;
  int64_t group_block = rest % call->group_blocks;
  int64_t m_block = rest / call->group_blocks % call->m_blocks;
  int64_t image = rest / call->group_blocks / call->m_blocks;
  int64_t first_row = call->y.h * m_block / call->m_blocks;
  int64_t rows = call->y.h * (m_block + 1) / call->m_blocks - first_row;
  int64_t group = c->groups * group_block / call->group_blocks;
  int64_t groups = c->groups * (group_block + 1) / call->group_blocks - group;
  int64_t height = (rows - 1) * c->stride_h + c->kh, width = (call->y.w - 1) * c->stride_w + c->kw;
  int64_t cb = channel_block(c), line = call->y.w + MR_NARROW;
  int64_t copied = kerasrun_conv2d_has_padding(c) ? 0 : groups * c->ic * height * width;
  int64_t* y_offsets =
      thread_scratch(call, 2 * rows * line * sizeof(int64_t) + copied * sizeof(float));
  if (!y_offsets) return;
  int64_t* add_offsets = y_offsets + rows * line;
  for (int64_t row = 0; row < rows; row++) {
    int64_t pixel = (image * call->y.h + first_row + row) * call->y.w;
    output_offsets(&call->y, pixel, call->y.w, y_offsets + row * line);
    output_offsets(&call->add, pixel, call->y.w, add_offsets + row * line);
  }
  struct direct_input p = {
      .cb = cb, .count = c->ic / cb, .kh = c->kh, .kw = c->kw, .stride = c->stride_w};
  const float* x;
  if (kerasrun_conv2d_has_padding(c)) {
    p.plane_stride = call->x.c8_stride;
    p.row_stride = call->x.row_stride;
    x = call->x.data + image * call->x.image_stride +
        (first_row * c->stride_h - c->pad_top) * p.row_stride - c->pad_left * cb +
        group * p.count * p.plane_stride;
  } else {
    float* copy = (float*)(add_offsets + rows * line);
    copy_padded(call, image, first_row, group, groups, height, width, copy);
    p.row_stride = width * cb;
    p.plane_stride = height * p.row_stride;
    x = copy;
  }
  p.next_row = c->stride_h * p.row_stride;
  int two_rows = is_kw3(c) && c->stride_w == 1 && 2 * call->y.w <= MR_NARROW;
  int64_t group_oc = c->oc / c->groups;
  for (int64_t g = 0; g < groups; g++, x += p.count * p.plane_stride)
    for (int64_t panel = n_block * call->n_block_panels; panel < n_block_end(call, n_block);
         panel++) {
      int64_t channels = panel_channels(c, panel);
      int64_t packed = (group + g) * group_packed_oc(c) + panel * panel_nr(c);
      int wide = round_up_lanes(channels) == NR;
      int64_t tiles = m_tiles(call->y.w, wide);
      int64_t channel = (group + g) * group_oc + panel * panel_nr(c);
      int64_t row = 0;
      for (; two_rows && row + 1 < rows; row += 2) {
        // As many again are prefetched.
        int64_t y_both[2 * MR_NARROW], add_both[2 * MR_NARROW];
        for (int64_t i = 0; i < 2 * MR_NARROW; i++) {
          int64_t at = min(row + i / call->y.w, row + 1) * line + i % call->y.w;
          y_both[i] = y_offsets[at];
          add_both[i] = call->add.data ? add_offsets[at] : 0;
        }
        p.ahead = next_panel(c, row / 2);
        struct output_tile o = output_tile_of(call, y_both, add_both, channel, channels);
        f32_direct_two_rows[call->y.w](x + row * p.next_row, &p, call->packed + packed * k_size(c),
                                       &o);
      }
      for (; row < rows; row++) {
        p.ahead = next_panel(c, two_rows ? row / 2 : row);
        for (int64_t tile = 0; tile < tiles; tile++) {
          int64_t m = call->y.w * tile / tiles, mr = call->y.w * (tile + 1) / tiles - m;
          struct output_tile o = output_tile_of(call, y_offsets + row * line + m,
                                                add_offsets + row * line + m, channel, channels);
          f32_direct_microkernel* const* kernels = is_kw3(c) ? f32_direct_kw3 : f32_direct[wide];
          kernels[mr](x + row * c->stride_h * p.row_stride + m * c->stride_w * cb, &p,
                      call->packed + packed * k_size(c), &o);
        }
      }
    }
}
