// A 1x1 convolution and the depthwise one that alone reads it, as they stand in mobile networks. What
// lies between them never leaves the second cache. A task is, for rows of an image and some panels,
//
//   for each panel                          nr channels
//     for each tile of the rows needed      a GEMM micro-kernel, to between[nr/8][height][width][8]
//     for each eight channels               depthwise_plane
//
// Rows at the edge of a task are computed by both of its neighbours.

#pragma once

#include "conv_1x1_microkernel.h"
#include "depthwise.h"

struct expand_call {
  struct conv2d_call expand;
  struct depthwise_call depthwise;
  int64_t n_blocks;
};

// So many floats between the two stay in the second cache, beside what they are made of.
#define MAX_BETWEEN 131072
// So many rows an image has for its rows to be shared by the threads; else its channels are.
#define EXPAND_MIN_ROWS 14

// expand_rows computes n pixels of a panel, from first on, which offsets place.
static void expand_rows(const struct conv2d_call* call, int64_t panel, int64_t first, int64_t n,
                        struct output_tile o, const int64_t* offsets) {
  const struct kerasrun_conv2d* c = call->c;
  int wide = round_up_lanes(8 * o.c8) == NR;
  int64_t nr = wide ? NR : NR_NARROW;
  const float* w_block = call->packed;
  for (int64_t k_block = 0; k_block < k_blocks(c); k_block++) {
    int64_t k = k_block_begin(c, k_block), kc = k_block_begin(c, k_block + 1) - k;
    int64_t kc_padded = padded_kc(c, kc);
    const float* w = w_block + panel * NR * kc_padded;
    struct prefetched next = {w + nr * kc_padded,  // the next panel, more or less
                              lines_for(m_tiles(n, wide), nr)};
    int flags = (k_block == 0 ? K_FIRST : 0) | (k_block == k_blocks(c) - 1 ? K_LAST : 0);
    for (int64_t at = 0, block; at < n; at += block) {
      int64_t pixel = (first + at) % KERASRUN_MC, m_block = (first + at) / KERASRUN_MC;
      block = min(n - at, KERASRUN_MC - pixel);
      const float* x =
          call->x.data + m_block * call->x.tile_stride + k / 8 * call->x.c8_stride + pixel * 8;
      int64_t tiles = m_tiles(block, wide);
      for (int64_t tile = 0; tile < tiles; tile++) {
        int64_t m = block * tile / tiles, mr = block * (tile + 1) / tiles - m;
        o.y_offsets = offsets + at + m;
        f32_gemm[wide][mr](x + m * 8, 8 * KERASRUN_MC, kc_padded / 8, w, next, &o, flags);
        next.next += kc_padded / 8 * next.lines * CACHE_LINE_FLOATS;
      }
    }
    w_block += kc_padded * group_packed_oc(c);
  }
}

static void expand_task(void* context, int64_t task) {
  struct expand_call* call = context;
  struct conv2d_call* e = &call->expand;
  const struct kerasrun_conv2d* d = call->depthwise.c;
  int64_t n_block = task % call->n_blocks, m_block = task / call->n_blocks % e->m_blocks;
  int64_t image = task / call->n_blocks / e->m_blocks, out_h = call->depthwise.y.h;
  int64_t first_row = out_h * m_block / e->m_blocks, end_row = out_h * (m_block + 1) / e->m_blocks;
  int64_t top = first_row * d->stride_h - d->pad_top;  // the first row that is needed
  int64_t height = (end_row - first_row - 1) * d->stride_h + d->kh;
  int64_t width = max(d->pad_left + e->x.w, (call->depthwise.y.w - 1) * d->stride_w + d->kw);
  int64_t begin = max(top, 0), end = min(top + height, e->x.h), n = max(0, end - begin) * e->x.w;
  // A gap behind each plane, as in layout.h.
  int64_t plane = height * width * 8 / 32 * 32 + 48, planes = NR / 8;
  float* between =
      thread_scratch(e, planes * plane * sizeof(float) + (n + MR_NARROW) * sizeof(int64_t));
  if (!between) return;
  int64_t* offsets = (int64_t*)(between + planes * plane);
  memset(between, 0, planes * plane * sizeof(float));
  for (int64_t row = begin, i = 0; row < end; row++)
    for (int64_t column = 0; column < e->x.w; column++)
      offsets[i++] = ((row - top) * width + d->pad_left + column) * 8;
  for (int i = 0; n > 0 && i < MR_NARROW; i++) offsets[n + i] = offsets[n - 1];
  int64_t panel = panels(e->c) * n_block / call->n_blocks;
  for (; panel < panels(e->c) * (n_block + 1) / call->n_blocks; panel++) {
    int64_t channels = panel_channels(e->c, panel);
    struct output_tile o = {.c8 = channels / 8,
                            .y = between,
                            .y_c8_stride = plane,
                            .bias = e->bias + panel * NR,
                            .act = e->c->act,
                            .near = 1};
    if (n > 0) expand_rows(e, panel, (image * e->x.h + begin) * e->x.w, n, o, offsets);
    for (int64_t i = 0; i < channels / 8; i++)
      depthwise_plane(&call->depthwise, image, panel * NR / 8 + i, first_row, end_row,
                      between + i * plane, 8 * width);
  }
}

// expand_depthwise computes y = depthwise(expand(x)) of n images of h x w pixels.
static int expand_depthwise(const struct kerasrun_conv2d* e, const float* packed,
                            const float* e_bias, const struct kerasrun_conv2d* d,
                            const float* filter, const float* d_bias, const float* x, int64_t n,
                            int64_t h, int64_t w, float* y) {
  int64_t out_h = kerasrun_conv2d_out_h(d, h), out_w = kerasrun_conv2d_out_w(d, w);
  assert(n > 0 && kerasrun_expand_depthwise_valid(e, d));
  assert(kerasrun_conv2d_fits(e, n, h, w) && kerasrun_depthwise_fits(d, n, h, w));
  assert(out_h > 0 && out_w > 0);
  struct expand_call call = {.expand = {.c = e, .packed = packed, .bias = e_bias, .n = n},
                             .depthwise = {.c = d, .filter = filter, .bias = d_bias}};
  call.expand.x = kerasrun_view(e->x, x, h, w, e->ic);
  call.depthwise.y = kerasrun_view(d->y, y, out_h, out_w, d->oc);
  kerasrun_zero_padding(&call.depthwise.y, n, d->oc);
  int64_t threads = kerasrun_threadpool_size();
  int64_t row = (w + d->kw) * min(d->stride_h, h) * NR;  // of the output: floats between
  int64_t blocks = out_h >= EXPAND_MIN_ROWS ? div_round_up(threads, n) : 1;
  blocks = max(blocks, div_round_up(out_h * row, MAX_BETWEEN));
  call.expand.m_blocks = max(1, min(div_round_up(blocks, threads) * threads, out_h / 4));
  call.n_blocks = min(panels(e), div_round_up(4 * threads, n * call.expand.m_blocks));
  kerasrun_threadpool_run(expand_task, &call, n * call.expand.m_blocks * call.n_blocks);
  return !atomic_load(&call.expand.failed);
}
