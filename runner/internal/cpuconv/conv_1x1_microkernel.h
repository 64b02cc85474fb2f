// 1x1 convolutions: products of matrices, y[m][n] = x[m][k] * w[k][n]. A task is
//
//   for each k block                     kc of k; the filter's panels stay in the first cache
//     pack x to a[kc/8][MC][8]           not where it is TILED
//     for each panel of the n block      nr output channels
//       for each tile                    mr pixels: a GEMM micro-kernel
//
// of one m block (at most MC pixels of the batch) or an m split of it. Between k blocks the sums
// are in y.

#pragma once

#include "conv2d_call.h"
#include "threadpool.h"

// A pixel is prefetched so many before it is packed.
#define PREFETCH_PIXELS 8
#define CACHE_LINE_FLOATS 16

// prefetched is memory that is needed soon: so many cache lines of it for each eight k.
struct prefetched {
  const float* next;
  int64_t lines;
};

// f32_gemm: x[k8][..][8] with k8_stride from eight k to the next, mr pixels 8 floats apart;
// w[8 * k8][nr].
typedef void f32_gemm_microkernel(const float* x, int64_t k8_stride, int64_t k8, const float* w,
                                  struct prefetched p, const struct output_tile* o, int k_flags);

#define DEFINE_GEMM(nv, mr)                                                          \
  static void f32_gemm_##mr##x##nv##v(const float* x, int64_t k8_stride, int64_t k8, \
                                      const float* w, struct prefetched p,           \
                                      const struct output_tile* o, int k_flags) {    \
    assert(k8 > 0 && o->c8 > 0 && o->c8 <= nv * LANES / 8);                          \
    vector acc[mr][2];                                                               \
    load_accumulators(mr, nv, acc, o, k_flags);                                      \
    for (; k8 > 0; k8--, x += k8_stride, w += 8 * LANES * nv) {                      \
      for (int64_t i = 0; i < p.lines; i++, p.next += CACHE_LINE_FLOATS)             \
        __builtin_prefetch(p.next, 0, 2);                                            \
      k_loop(mr, nv, 8, x, 8, w, acc);                                               \
    }                                                                                \
    epilogue(mr, nv, acc, o, k_flags);                                               \
  }
// lines_for returns how many lines a tile prefetches for each eight k: all tiles of a panel have
// then the next panel.
static int64_t lines_for(int64_t tiles, int64_t nr) {
  return div_round_up(8 * nr / CACHE_LINE_FLOATS, tiles);
}
FOR_EACH_MR(DEFINE_GEMM)
FOR_EACH_MR_NARROW(DEFINE_GEMM)

#define GEMM_NAME(nv, mr) f32_gemm_##mr##x##nv##v,
static f32_gemm_microkernel* const f32_gemm[2][MR_NARROW + 1] = {
    {NULL, FOR_EACH_MR_NARROW(GEMM_NAME)}, {NULL, FOR_EACH_MR(GEMM_NAME)}};

// reads_in_place returns whether the matrix x[m][k] is the image as it lies there.
static int reads_in_place(const struct kerasrun_conv2d* c) {
  return c->x.kind == KERASRUN_TILED && c->stride_h == 1 && c->stride_w == 1;
}

// pack_pixels copies kc channels, from k on, of the n pixels that the output's need from first on,
// to a[div_round_up(kc, 8)][MC][8].
static void pack_pixels(const struct conv2d_call* call, int64_t first, int64_t n, int64_t k,
                        int64_t kc, float* a) {
  assert(n <= KERASRUN_MC && k % 8 == 0);
  const struct kerasrun_conv2d* c = call->c;
  const float* base = call->x.data + k / 8 * call->x.c8_stride;
  float* to = a;
  int dense = c->x.kind == KERASRUN_NHWC && c->stride_h == 1 && c->stride_w == 1;
  int64_t k8 = kc / 8, k8_stride = 8 * KERASRUN_MC;
  int64_t column = first % call->y.w, row = first / call->y.w;  // a row of all images
  for (int64_t i = 0; i < n; i++, to += 8) {
    int64_t offset = (first + i) * call->x.pixel_stride;
    if (!dense) {
      int64_t x_row = row / call->y.h * call->x.h + row % call->y.h * c->stride_h;
      kerasrun_pixel_offsets(&call->x, x_row * call->x.w + column * c->stride_w, 1, &offset);
      if (++column == call->y.w) {
        column = 0;
        row++;
      }
    }
    const float* x = base + offset;
    for (int64_t j = 0; j < k8; j++) {
      const float* p = x + j * call->x.c8_stride;
      __builtin_prefetch(p + PREFETCH_PIXELS * c->stride_w * call->x.pixel_stride);
      _mm256_storeu_ps(to + j * k8_stride, _mm256_loadu_ps(p));
    }
    if (8 * k8 < kc) {
      memset(to + k8 * k8_stride, 0, 8 * sizeof(float));
      memcpy(to + k8 * k8_stride, x + 8 * k8, (kc - 8 * k8) * sizeof(float));
    }
  }
  for (int64_t j = 0; needs_rounding(c) && j < div_round_up(kc, 8); j++)
    round_to_bf16(a + j * k8_stride, 8 * n);
}

// Memory that is to be prefetched.
struct prefetch_range {
  const float *next, *end;
};

static void conv_1x1_task(void* context, int64_t task) {
  struct conv2d_call* call = context;
  const struct kerasrun_conv2d* c = call->c;
  int64_t n_block = task % call->n_blocks, m_split = task / call->n_blocks % call->m_splits;
  int64_t m_block = task / call->n_blocks / call->m_splits, block_first = m_block * KERASRUN_MC;
  int64_t pixels = min(KERASRUN_MC, call->n * call->y.h * call->y.w - block_first);
  int64_t first = pixels * m_split / call->m_splits;
  int64_t n = pixels * (m_split + 1) / call->m_splits - first;
  if (n == 0) return;
  float* a = NULL;
  // k blocks begin at multiples of 8, so that the largest may have some more than KC.
  if (!reads_in_place(c)) {
    a = thread_scratch(call, (KC + 2 * 8) * KERASRUN_MC * sizeof(float));
    if (!a) return;
  }
  int64_t y_offsets[KERASRUN_MC + MR_NARROW], add_offsets[KERASRUN_MC + MR_NARROW];
  output_offsets(&call->y, block_first + first, n, y_offsets);
  output_offsets(&call->add, block_first + first, n, add_offsets);
  int64_t panel_begin = n_block * call->n_block_panels, panel_end = n_block_end(call, n_block);
  // The m block that this thread is likely to come to next.
  struct prefetch_range x_next = {0};
  int64_t next_m = (task + kerasrun_threadpool_size()) / call->n_blocks / call->m_splits;
  if (reads_in_place(c) && next_m != m_block && next_m < call->m_blocks) {
    const float* tile = call->x.data + next_m * call->x.tile_stride;
    x_next = (struct prefetch_range){tile, tile + call->x.tile_stride};
  }
  const float* w_block = call->packed;
  for (int64_t k_block = 0; k_block < k_blocks(c); k_block++) {
    int64_t k = k_block_begin(c, k_block), kc = k_block_begin(c, k_block + 1) - k;
    int64_t kc_padded = padded_kc(c, kc);
    const float* x = a;
    if (reads_in_place(c))
      x = call->x.data + m_block * call->x.tile_stride + k / 8 * call->x.c8_stride + first * 8;
    else
      pack_pixels(call, block_first + first, n, k, kc, a);
    int flags = (k_block == 0 ? K_FIRST : 0) | (k_block == k_blocks(c) - 1 ? K_LAST : 0);
    for (int64_t panel = panel_begin; panel < panel_end; panel++) {
      int64_t channels = panel_channels(c, panel), nr = round_up_lanes(channels);
      int wide = nr == NR;
      int64_t tiles = m_tiles(n, wide);
      const float* w = w_block + panel * NR * kc_padded;
      const float* w_then = w + nr * kc_padded;
      if (panel + 1 == panel_end)
        w_then = w_block + kc_padded * group_packed_oc(c) + panel_begin * NR * kc_padded;
      struct prefetch_range w_next = {w_then, w_then + nr * kc_padded};
      for (int64_t tile = 0; tile < tiles; tile++) {
        int w_first = w_next.next < w_next.end || x_next.next >= x_next.end;
        struct prefetch_range* p = w_first ? &w_next : &x_next;
        int64_t m = n * tile / tiles, mr = n * (tile + 1) / tiles - m;
        struct output_tile o =
            output_tile_of(call, y_offsets + m, add_offsets + m, panel * NR, channels);
        int64_t lines = p == &w_next ? lines_for(tiles, nr) : 1;
        f32_gemm[wide][mr](x + m * 8, 8 * KERASRUN_MC, kc_padded / 8, w,
                           (struct prefetched){p->next, lines}, &o, flags);
        p->next += kc_padded / 8 * lines * CACHE_LINE_FLOATS;
      }
    }
    w_block += kc_padded * group_packed_oc(c);
  }
}
