// Convolutions of bytes: packing, micro-kernels and the loops around them, for the vectors that the
// file has which includes this.
//
//   m   output pixels, in tiles of at most MR that lie in one row; a 1x1 convolution has one row
//   n   output channels of a block of groups, in panels of NV vectors
//   k   filter[kh][kw][ic], four channels at a time
//
//   packed = first[panels][NV * LANES], multiplier[panels][NV * LANES], weights
//   weights[panels][kh][kw][ceil(ic / 4)][vectors][WEIGHT_BYTES]
//
// panels are those of all blocks of groups. first is what a sum begins with: what the image's zero
// points add up to. Groups of few channels are computed together, with zeros in their filters; a
// depthwise convolution has weights[panels][kh][kw][vectors][LANES] of 32 bits.

#pragma once

#include <assert.h>
#include <string.h>

#include "activation_vector.h"
#include "qconv2d.h"
#include "threadpool.h"

enum { NV = 2, NR = NV * LANES };
// So many tiles have a panel of the filter while it is in the first cache.
enum { M_BLOCK_TILES = 12 };

static inline int is_depthwise(const struct kerasrun_conv2d* c) {
  return c->ic == 1 && c->groups == c->oc && c->oc > 1;
}

// blocking is how a convolution's groups are put together.
struct blocking {
  int64_t blocks, ic, oc;  // of a block
  int64_t panels, k4;      // of a block
};

static inline struct blocking blocking_of(const struct kerasrun_conv2d* c) {
  int64_t oc = c->oc / c->groups, together = 1;
  if (is_depthwise(c)) {
    int64_t panels = div_round_up(c->oc, NR);
    return (struct blocking){1, c->oc, c->oc, panels, 1};
  }
  while (c->groups % (2 * together) == 0 && 2 * together * oc <= LANES) together *= 2;
  struct blocking b = {c->groups / together, c->ic * together, oc * together, 0, 0};
  b.panels = div_round_up(b.oc, NR);
  b.k4 = div_round_up(b.ic, 4);
  return b;
}

static inline int64_t panel_channels(const struct blocking* b, int64_t panel) {
  return min(NR, b->oc - panel * NR);
}

// panel_bytes is what the weights of a panel take: all but the last panel of a block are whole.
static inline int64_t panel_bytes(const struct kerasrun_conv2d* c, const struct blocking* b,
                                  int64_t panel) {
  int64_t vectors = div_round_up(panel_channels(b, panel), LANES), taps = c->kh * c->kw;
  return is_depthwise(c) ? taps * vectors * LANES * 4 : taps * b->k4 * vectors * WEIGHT_BYTES;
}

static inline int64_t block_bytes(const struct kerasrun_conv2d* c, const struct blocking* b) {
  return (b->panels - 1) * panel_bytes(c, b, 0) + panel_bytes(c, b, b->panels - 1);
}

static int64_t packed_size(const struct kerasrun_conv2d* c) {
  assert(kerasrun_qconv2d_valid(c));
  struct blocking b = blocking_of(c);
  return b.blocks * (b.panels * 2 * NR + block_bytes(c, &b) / 4);
}

// pack_panel packs the weights of a panel, and what its sums begin with.
static void pack_panel(const struct kerasrun_conv2d* c, const struct blocking* b, int64_t block,
                       int64_t panel, const int8_t* filter, int32_t zero, int32_t* first,
                       void* weights) {
  int64_t oc = c->oc / c->groups, channels = panel_channels(b, panel);
  int64_t vectors = div_round_up(channels, LANES), taps = c->kh * c->kw;
  for (int64_t i = 0; i < channels; i++) {
    int64_t o = block * b->oc + panel * NR + i, group = o / oc, sum = 0;
    for (int64_t tap = 0; tap < taps; tap++)
      for (int64_t k = 0; k < c->ic; k++) {
        int8_t weight = filter[(tap * c->ic + k) * c->oc + o];
        sum += weight;
        if (is_depthwise(c)) {
          ((int32_t*)weights)[tap * vectors * LANES + i] = weight;
          continue;
        }
        int64_t channel = group * c->ic + k - block * b->ic;  // of the block
        char* step = (char*)weights + (tap * b->k4 + channel / 4) * vectors * WEIGHT_BYTES;
        put_weight(step + i / LANES * WEIGHT_BYTES, i % LANES, channel % 4, weight);
      }
    first[i] = -zero * (int32_t)sum;
  }
}

static void pack_filter(const struct kerasrun_conv2d* c, const int8_t* filter,
                        const float* multiplier, int32_t zero, float* packed) {
  memset(packed, 0, packed_size(c) * sizeof(float));
  struct blocking b = blocking_of(c);
  int64_t panels = b.blocks * b.panels;
  int32_t* first = (int32_t*)packed;
  float* multipliers = packed + panels * NR;
  char* weights = (char*)(packed + 2 * panels * NR);
  for (int64_t i = 0; i < panels; i++) {
    int64_t block = i / b.panels, panel = i % b.panels;
    pack_panel(c, &b, block, panel, filter, zero, first + i * NR,
               weights + block * block_bytes(c, &b) + panel * panel_bytes(c, &b, 0));
    memcpy(multipliers + i * NR, multiplier + block * b.oc + panel * NR,
           panel_channels(&b, panel) * sizeof(float));
  }
}

// load_n and store_n are of n floats. AddressSanitizer, which does not know instructions with
// masks, sees an access of the last one.
INLINE void see(const float* p, int64_t n) {
#ifdef __SANITIZE_ADDRESS__
  (void)*(const volatile float*)(p + n - 1);
#endif
  (void)p, (void)n;
}
INLINE vector load_n(const float* p, mask m, int64_t n) {
  see(p, n);
  return load_some(p, m);
}
INLINE void store_n(float* p, vector x, mask m, int64_t n) {
  see(p, n);
  store_some(p, x, m);
}

// tile is some pixels of a row, and the channels of a panel.
struct tile {
  const struct kerasrun_qconv2d_call* call;
  const uint8_t* x;      // what the filter's first weight reads, for the first pixel
  int64_t x_step;        // from a pixel to the next one, in bytes
  const void* weights;   // of the panel
  const int32_t* first;  // of the panel
  const float* multiplier;
  int64_t channel, channels;  // of all groups: the first; how many
  int64_t pixel;              // of the output, of all images
  const int64_t* z_offsets;   // of each pixel
};

// bytes_of returns the byte of each number as 32 bits.
INLINE ivector bytes_of(vector y, const struct kerasrun_quantization* q) {
  vector shifted = add(at_least(all(q->min), at_most(all(q->max), y)), all(-q->min));
  vector scaled = add(add(mul(shifted, all(q->inverse)), all(-(float)q->zero)), all(0.5f));
  return add_int(floor_int(scaled), all_int(q->zero));
}

// bytes_of_positive returns the bytes where that of 0 is 0 and y is not negative: steps that change
// nothing are left out.
INLINE ivector bytes_of_positive(vector y, const struct kerasrun_quantization* q) {
  return floor_int(add(mul(at_most(all(q->max), y), all(q->inverse)), all(0.5f)));
}

enum { QUANTIZE_NOTHING, QUANTIZE_POSITIVE, QUANTIZE_ANY };

// finish_vectors computes what follows the sums. What it is called with is constant.
INLINE void finish_vectors(const struct tile* t, int64_t mr, const int32_t* sums, int act,
                           int added, int has_y, int quantize) {
  const struct kerasrun_qconv2d_call* call = t->call;
  int64_t oc = call->c->oc;
  for (int64_t v = 0; v * LANES < t->channels; v++) {
    int64_t n = min(LANES, t->channels - v * LANES), channel = t->channel + v * LANES;
    mask m = mask_of(n);
    vector multiplier = load(t->multiplier + v * LANES), bias = load_n(call->bias + channel, m, n);
    for (int64_t i = 0; i < mr; i++) {
      int64_t at = (t->pixel + i) * oc + channel;
      vector y = to_float(load_int(sums + i * NR + v * LANES));
      y = add(mul(y, multiplier), bias);
      if (added) y = add(y, load_n(call->add + at, m, n));
      y = activated(y, act);
      if (has_y) store_n(call->y + at, y, m, n);
      if (quantize == QUANTIZE_NOTHING) continue;
      ivector bytes =
          quantize == QUANTIZE_POSITIVE ? bytes_of_positive(y, &call->q) : bytes_of(y, &call->q);
      store_bytes(call->z.data + t->z_offsets[i] + channel, bytes, n);
    }
  }
}

// finish computes what follows the sums of mr pixels: the usual cases without a branch in the loop.
static void finish(const struct tile* t, int64_t mr, const int32_t* sums) {
  const struct kerasrun_qconv2d_call* call = t->call;
  int act = call->c->act, relu = act == KERASRUN_RELU;
  int added = call->add != NULL, has_y = call->y != NULL, has_z = call->z.data != NULL;
  if (relu && call->q.zero == 0 && has_z) {
    if (added && has_y)
      finish_vectors(t, mr, sums, KERASRUN_RELU, 1, 1, QUANTIZE_POSITIVE);
    else if (has_y)
      finish_vectors(t, mr, sums, KERASRUN_RELU, 0, 1, QUANTIZE_POSITIVE);
    else if (added)
      finish_vectors(t, mr, sums, KERASRUN_RELU, 1, 0, QUANTIZE_POSITIVE);
    else
      finish_vectors(t, mr, sums, KERASRUN_RELU, 0, 0, QUANTIZE_POSITIVE);
  } else if (act == KERASRUN_LINEAR && !added && !has_z) {
    finish_vectors(t, mr, sums, KERASRUN_LINEAR, 0, 1, QUANTIZE_NOTHING);
  } else {
    finish_vectors(t, mr, sums, act, added, has_y, has_z ? QUANTIZE_ANY : QUANTIZE_NOTHING);
  }
}

// The sums are in registers only where all loops over them are unrolled.
#define UNROLL _Pragma("GCC unroll 12")

// row_of returns what the i-th of up to twelve pixels reads, by sums of few registers.
INLINE const uint8_t* row_of(const uint8_t* x, const uint8_t* x6, int64_t step, int64_t step3,
                             int64_t step5, int i) {
  const uint8_t* base = i < 6 ? x : x6;
  const int64_t offsets[] = {0, step, 2 * step, step3, 4 * step, step5};
  return base + offsets[i % 6];
}

// multiply computes the sums of a tile, of mr pixels and nv vectors, which are constant.
INLINE void multiply(const struct tile* t, int nv, int mr, int64_t k4, int32_t* sums) {
  ivector acc[MR][NV];
  const struct kerasrun_qconv2d_call* call = t->call;
  UNROLL for (int v = 0; v < nv; v++) UNROLL for (int i = 0; i < mr; i++) acc[i][v] =
      load_int(t->first + v * LANES);
  const char* weights = t->weights;
  int64_t step = t->x_step, step3 = 3 * step, step5 = 5 * step;
  for (int64_t kh = 0; kh < call->c->kh; kh++)
    for (int64_t kw = 0; kw < call->c->kw; kw++) {
      const uint8_t* x = t->x + kh * call->x.row_stride + kw * call->x.pixel_stride;
      const uint8_t* x6 = x + 6 * step;
      for (int64_t k = 0; k < k4; k++, x += 4, x6 += 4, weights += nv * WEIGHT_BYTES) {
        weight_vector w[NV];
        UNROLL for (int v = 0; v < nv; v++) w[v] = load_weights(weights + v * WEIGHT_BYTES);
        UNROLL for (int i = 0; i < mr; i++) {
          four_bytes four = broadcast_bytes(row_of(x, x6, step, step3, step5, i));
          UNROLL for (int v = 0; v < nv; v++) acc[i][v] = dot(acc[i][v], four, w[v]);
        }
      }
    }
  UNROLL for (int i = 0; i < mr; i++) UNROLL for (int v = 0; v < nv; v++)
      store_int(sums + i * NR + v * LANES, acc[i][v]);
}

// multiply_channels is multiply for a depthwise convolution: t->x is the tile's first channel.
INLINE void multiply_channels(const struct tile* t, int nv, int mr, int32_t* sums) {
  ivector acc[MR][NV];
  const struct kerasrun_qconv2d_call* call = t->call;
  UNROLL for (int v = 0; v < nv; v++) UNROLL for (int i = 0; i < mr; i++) acc[i][v] =
      load_int(t->first + v * LANES);
  const int32_t* weights = t->weights;
  for (int64_t kh = 0; kh < call->c->kh; kh++)
    for (int64_t kw = 0; kw < call->c->kw; kw++, weights += nv * LANES) {
      const uint8_t* x = t->x + kh * call->x.row_stride + kw * call->x.pixel_stride;
      UNROLL for (int v = 0; v < nv; v++) {
        ivector w = load_int(weights + v * LANES);
        UNROLL for (int i = 0; i < mr; i++) acc[i][v] =
            dot_bytes(acc[i][v], x + i * t->x_step + v * LANES, w);
      }
    }
  UNROLL for (int i = 0; i < mr; i++) UNROLL for (int v = 0; v < nv; v++)
      store_int(sums + i * NR + v * LANES, acc[i][v]);
}

#define DEFINE_TILE(nv, mr)                                            \
  static void tile_##nv##x##mr(const struct tile* t, int64_t k4) {     \
    _Alignas(64) int32_t sums[MR * NR];                                \
    multiply(t, nv, mr, k4, sums);                                     \
    finish(t, mr, sums);                                               \
  }                                                                    \
  static void channels_##nv##x##mr(const struct tile* t, int64_t k4) { \
    _Alignas(64) int32_t sums[MR * NR];                                \
    (void)k4;                                                          \
    multiply_channels(t, nv, mr, sums);                                \
    finish(t, mr, sums);                                               \
  }
#define TILE(nv, mr) [nv - 1][mr - 1] = tile_##nv##x##mr,
#define CHANNELS(nv, mr) [nv - 1][mr - 1] = channels_##nv##x##mr,

FOR_EACH_TILE(DEFINE_TILE)

typedef void tile_function(const struct tile* t, int64_t k4);
static tile_function* const tiles[NV][MR] = {FOR_EACH_TILE(TILE)};
static tile_function* const channel_tiles[NV][MR] = {FOR_EACH_TILE(CHANNELS)};

// run_call is a call and how it is divided into tasks.
struct run_call {
  const struct kerasrun_qconv2d_call* call;
  struct blocking b;
  int64_t rows, width, row_tiles;  // tiles of a row
  int64_t m_blocks, n_blocks;      // of all tiles, of all blocks' panels
};

// z_offsets_of writes where n pixels of the output lie in z.
static void z_offsets_of(const struct kerasrun_qconv2d_call* call, int64_t pixel, int64_t n,
                         int64_t* offsets) {
  const struct kerasrun_bytes* z = &call->z;
  if (!z->data) return;
  int64_t column = pixel % z->w, row = pixel / z->w % z->h, image = pixel / z->w / z->h;
  for (int64_t i = 0; i < n; i++) {
    offsets[i] = image * z->image_stride + row * z->row_stride + column * z->pixel_stride;
    if (++column < z->w) continue;
    column = 0;
    if (++row < z->h) continue;
    row = 0;
    image++;
  }
}

// run_tile computes a tile of pixels for a panel.
static void run_tile(const struct run_call* r, int64_t index, int64_t panel) {
  const struct kerasrun_qconv2d_call* call = r->call;
  const struct kerasrun_conv2d* c = call->c;
  const struct blocking* b = &r->b;
  int64_t row = index / r->row_tiles, in_row = index % r->row_tiles;
  int64_t begin = r->width * in_row / r->row_tiles, end = r->width * (in_row + 1) / r->row_tiles;
  int64_t block = panel / b->panels, of_block = panel % b->panels;
  int64_t all_panels = b->blocks * b->panels, offsets[MR], first_channel = block * b->ic;
  struct tile t = {.call = call, .z_offsets = offsets};
  t.x = call->x.data;
  t.x_step = c->stride_w * call->x.pixel_stride;
  if (r->rows > 1 || r->width == call->out_w) {
    int64_t image = row / call->out_h, oh = row % call->out_h;
    t.x += image * call->x.image_stride + (oh * c->stride_h - c->pad_top) * call->x.row_stride +
           (begin * c->stride_w - c->pad_left) * call->x.pixel_stride;
  } else {
    t.x += begin * call->x.pixel_stride;
  }
  t.pixel = row * r->width + begin;
  z_offsets_of(call, t.pixel, end - begin, offsets);
  t.channels = panel_channels(b, of_block);
  t.channel = block * b->oc + of_block * NR;
  t.x += is_depthwise(c) ? t.channel : first_channel;
  t.first = (const int32_t*)call->packed + panel * NR;
  t.multiplier = call->packed + (all_panels + panel) * NR;
  t.weights = (const char*)(call->packed + 2 * all_panels * NR) + block * block_bytes(c, b) +
              of_block * panel_bytes(c, b, 0);
  int64_t nv = div_round_up(t.channels, LANES), mr = end - begin;
  assert(nv > 0 && nv <= NV && mr > 0 && mr <= MR);
  tile_function* compute = tiles[nv - 1][mr - 1];
  if (is_depthwise(c)) compute = channel_tiles[nv - 1][mr - 1];
  compute(&t, b->k4);
}

static void run_task(void* context, int64_t task) {
  const struct run_call* r = context;
  int64_t n_block = task % r->n_blocks, m_block = task / r->n_blocks;
  int64_t all_tiles = r->rows * r->row_tiles, all_panels = r->b.blocks * r->b.panels;
  int64_t tile_begin = all_tiles * m_block / r->m_blocks;
  int64_t tile_end = all_tiles * (m_block + 1) / r->m_blocks;
  int64_t panel_end = all_panels * (n_block + 1) / r->n_blocks;
  for (int64_t p = all_panels * n_block / r->n_blocks; p < panel_end; p++)
    for (int64_t i = tile_begin; i < tile_end; i++) run_tile(r, i, p);
}

// fill_padding writes the zero point around the images.
static void fill_padding(const struct kerasrun_bytes* z, int64_t n, int32_t zero) {
  int64_t p = z->padding, side = p * z->pixel_stride, strip = p * z->row_stride;
  for (int64_t i = 0; p > 0 && i < n; i++) {
    uint8_t* row = z->data + i * z->image_stride - side;
    memset(row - strip, zero, strip);
    for (int64_t j = 0; j < z->h; j++, row += z->row_stride) {
      memset(row, zero, side);
      memset(row + side + z->w * z->pixel_stride, zero, side);
    }
    memset(row, zero, strip);
  }
}

static void run(const struct kerasrun_qconv2d_call* call) {
  const struct kerasrun_conv2d* c = call->c;
  assert(kerasrun_qconv2d_valid(c) && call->n > 0 && call->out_h > 0 && call->out_w > 0);
  assert(call->x.padding >= max(max(c->pad_top, c->pad_bottom), max(c->pad_left, c->pad_right)));
  struct run_call r = {.call = call, .b = blocking_of(c)};
  int64_t pixels = call->out_h * call->out_w;
  int whole =
      kerasrun_conv2d_is_1x1(c) && c->stride_h == 1 && c->stride_w == 1 && call->x.padding == 0;
  r.rows = whole ? 1 : call->n * call->out_h;
  r.width = whole ? call->n * pixels : call->out_w;
  r.row_tiles = div_round_up(r.width, MR);
  int64_t wanted = 4 * kerasrun_threadpool_size(), panels = r.b.blocks * r.b.panels;
  r.m_blocks = div_round_up(r.rows * r.row_tiles, M_BLOCK_TILES);
  r.n_blocks = r.m_blocks >= wanted ? 1 : min(panels, div_round_up(wanted, r.m_blocks));
  if (call->z.data) fill_padding(&call->z, call->n, call->q.zero);
  kerasrun_threadpool_run(run_task, &r, r.m_blocks * r.n_blocks);
}

struct quantize_call {
  const struct kerasrun_quantization* q;
  const struct kerasrun_view* x;
  const struct kerasrun_bytes* z;
  int64_t c;
};

// quantize_row computes a row of an image.
static void quantize_row(void* context, int64_t row) {
  const struct quantize_call* call = context;
  const struct kerasrun_view* x = call->x;
  int64_t w = x->w, at_once = x->layout.kind == KERASRUN_NHWC ? LANES : 8;
  uint8_t* z =
      call->z->data + row / x->h * call->z->image_stride + row % x->h * call->z->row_stride;
  for (int64_t i = 0; i < w; i++, z += call->z->pixel_stride) {
    int64_t offset;
    kerasrun_pixel_offsets(x, row * w + i, 1, &offset);
    for (int64_t c = 0; c < call->c; c += at_once) {
      int64_t n = min(at_once, call->c - c);
      const float* from = x->data + offset + (at_once == 8 ? c / 8 * x->c8_stride : c);
      store_bytes(z + c, bytes_of(load_n(from, mask_of(n), n), call->q), n);
    }
  }
}

static void quantize(const struct kerasrun_quantization* q, const struct kerasrun_view* x,
                     int64_t n, int64_t c, const struct kerasrun_bytes* z) {
  assert(kerasrun_quantization_valid(q) && x->h == z->h && x->w == z->w && n > 0);
  struct quantize_call call = {q, x, z, c};
  fill_padding(z, n, q->zero);
  kerasrun_threadpool_run(quantize_row, &call, n * x->h);
}
