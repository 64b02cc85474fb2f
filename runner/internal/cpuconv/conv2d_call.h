// What the tasks of a convolution share, and how the filter is divided. In the words of BLIS:
//
//   m   output pixels       in m_blocks of at most MC, each in m_splits
//   n   output channels     of a group: in n_blocks of whole panels; a panel is nr channels
//   k   filter[kh][kw][ic]  of a 1x1 convolution: in k_blocks of at most KC
//
// packed[groups][k_blocks][panels][kc][nr], with zeros where a panel has not whole vectors.

#pragma once

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "conv2d.h"
#include "microkernel.h"

// So many k, of a panel of the filter, stay in the first cache: 16 KB.
#define KC 256

struct conv2d_call {
  const struct kerasrun_conv2d* c;
  const float *packed, *bias;
  struct kerasrun_view x, add, y;  // add.data is NULL where nothing is added
  int64_t n;                       // images
  int64_t tasks;
  int64_t m_blocks, m_splits;  // of a 1x1 convolution: of all pixels; otherwise rows of an image
  int64_t group_blocks;
  int64_t n_blocks, n_block_panels;
  atomic_int failed;
};

// channel_block is how many channels of a pixel lie together for a filter of several pixels.
static inline int64_t channel_block(const struct kerasrun_conv2d* c) {
  return c->ic % 8 == 0 ? 8 : c->ic;
}

// is_kw3 returns whether the kw3 micro-kernels of direct_conv_microkernels.h compute it.
static inline int is_kw3(const struct kerasrun_conv2d* c) {
  return c->kw == 3 && channel_block(c) == 8 && c->stride_w <= 2;
}

// The channels of a group are panels of two vectors, with a rest of one or two; for kw3 all of one.
static inline int64_t panel_nr(const struct kerasrun_conv2d* c) {
  return is_kw3(c) ? NR_NARROW : NR;
}
static inline int64_t panels(const struct kerasrun_conv2d* c) {
  return div_round_up(c->oc / c->groups, panel_nr(c));
}
static inline int64_t panel_channels(const struct kerasrun_conv2d* c, int64_t panel) {
  return min(panel_nr(c), c->oc / c->groups - panel * panel_nr(c));
}
static inline int64_t round_up_lanes(int64_t channels) {
  return div_round_up(channels, LANES) * LANES;
}
static inline int64_t group_packed_oc(const struct kerasrun_conv2d* c) {
  return round_up_lanes(c->oc / c->groups);
}

// m_tiles divides pixels into tiles as even as can be.
static inline int64_t m_tiles(int64_t pixels, int wide) {
  return div_round_up(pixels, wide ? MR : MR_NARROW);
}

static inline int64_t k_size(const struct kerasrun_conv2d* c) { return c->kh * c->kw * c->ic; }

static inline int64_t k_blocks(const struct kerasrun_conv2d* c) {
  return kerasrun_conv2d_is_1x1(c) ? div_round_up(k_size(c), KC) : 1;
}

// k_block_begin is at a multiple of eight.
static inline int64_t k_block_begin(const struct kerasrun_conv2d* c, int64_t block) {
  return block == k_blocks(c) ? k_size(c) : k_size(c) * block / k_blocks(c) / 8 * 8;
}

// padded_kc is how many k a block of kc has in memory, those of zeros included.
static inline int64_t padded_kc(const struct kerasrun_conv2d* c, int64_t kc) {
  return kerasrun_conv2d_is_1x1(c) ? div_round_up(kc, 8) * 8 : kc;
}

// n_block_end is the panel behind those of a block.
static inline int64_t n_block_end(const struct conv2d_call* call, int64_t block) {
  return min((block + 1) * call->n_block_panels, panels(call->c));
}

// output_offsets writes where n pixels are, and MR_NARROW more, which a tile prefetches.
static inline void output_offsets(const struct kerasrun_view* v, int64_t first, int64_t n,
                                  int64_t* offsets) {
  assert(n > 0);
  if (!v->data) return;
  kerasrun_pixel_offsets(v, first, n, offsets);
  for (int i = 0; i < MR_NARROW; i++) offsets[n + i] = offsets[n - 1];
}

static inline struct output_tile output_tile_of(const struct conv2d_call* call,
                                                const int64_t* y_offsets,
                                                const int64_t* add_offsets, int64_t channel,
                                                int64_t channels) {
  assert(channel % 8 == 0 && channels % 8 == 0 && channel + channels <= call->c->oc);
  const float* add = call->add.data ? call->add.data + channel / 8 * call->add.c8_stride : NULL;
  return (struct output_tile){.c8 = channels / 8,
                              .y = call->y.data + channel / 8 * call->y.c8_stride,
                              .y_offsets = y_offsets,
                              .y_c8_stride = call->y.c8_stride,
                              .add = add,
                              .add_offsets = add_offsets,
                              .add_c8_stride = call->add.c8_stride,
                              .bias = call->bias + channel,
                              .act = call->c->act,
                              .bf16 = call->c->bf16};
}

// thread_scratch returns memory of this thread's, aligned to 64 bytes, NULL where there is none.
static inline void* thread_scratch(struct conv2d_call* call, size_t bytes) {
  static __thread void* memory;
  static __thread size_t capacity;
  if (capacity < bytes) {
    free(memory);
    capacity = 0;
    if (posix_memalign(&memory, 64, bytes)) {
      memory = NULL;
      atomic_store(&call->failed, 1);
      return NULL;
    }
    capacity = bytes;
  }
  return memory;
}

// round_to_bf16 rounds n floats in place.
static inline void round_to_bf16(float* x, int64_t n) {
  int64_t whole = n / 8 * 8;
  for (int64_t i = 0; i < whole; i += 8)
    _mm256_storeu_ps(x + i, round_bf16(_mm256_loadu_ps(x + i)));
  float rest[8] = {0};
  memcpy(rest, x + whole, (n - whole) * sizeof(float));
  _mm256_storeu_ps(rest, round_bf16(_mm256_loadu_ps(rest)));
  memcpy(x + whole, rest, (n - whole) * sizeof(float));
}

// needs_rounding returns whether x is copied as bfloat16: in NHWC it may come from TensorFlow. What
// a region's other steps make in another layout is read as it is.
static inline int needs_rounding(const struct kerasrun_conv2d* c) {
  return c->bf16 && c->x.kind == KERASRUN_NHWC;
}
