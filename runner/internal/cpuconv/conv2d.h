// A fused 2-D convolution of float32, for processors with AVX2 and FMA, or AVX-512:
//
//   y[n][oh][ow][o] = act(bias[o] + add[n][oh][ow][o]
//                         + sum over i < kh, j < kw, k < ic of
//                             x[n][row(oh, i)][column(ow, j)][g * ic + k] * filter[i][j][k][o])
//
//   row(oh, i) = oh * stride_h + i - pad_top
//   column(ow, j) = ow * stride_w + j - pad_left
//   g = o / (oc / groups)
//
// filter[kh][kw][ic][oc] is TensorFlow's HWIO; outside the image x is 0.

#pragma once

#include <stdint.h>

#include "activation.h"
#include "layout.h"

// kerasrun_conv2d is a convolution, all but the image's size.
struct kerasrun_conv2d {
  int64_t kh, kw, ic, oc;  // ic: channels of a group; oc: of all groups
  int64_t groups;
  int64_t stride_h, stride_w;
  int64_t pad_top, pad_bottom, pad_left, pad_right;
  enum kerasrun_act act;
  int bf16;  // x, the filter and y are rounded to bfloat16; products and sums are not
  struct kerasrun_layout x, add, y;
};

// kerasrun_conv2d_set_filter takes kh, kw, ic, oc and groups.
#define KERASRUN_FILTER_SIZES 5
static inline void kerasrun_conv2d_set_filter(struct kerasrun_conv2d* c, const int32_t* sizes) {
  c->kh = sizes[0];
  c->kw = sizes[1];
  c->ic = sizes[2];
  c->oc = sizes[3];
  c->groups = sizes[4];
}

// The output's size for an image's; 0 where the filter is larger than the image and its padding.
static inline int64_t kerasrun_conv2d_out_h(const struct kerasrun_conv2d* c, int64_t h) {
  int64_t rest = h + c->pad_top + c->pad_bottom - c->kh;
  return rest < 0 ? 0 : rest / c->stride_h + 1;
}
static inline int64_t kerasrun_conv2d_out_w(const struct kerasrun_conv2d* c, int64_t w) {
  int64_t rest = w + c->pad_left + c->pad_right - c->kw;
  return rest < 0 ? 0 : rest / c->stride_w + 1;
}

// kerasrun_conv2d_is_1x1 returns whether an output pixel is a product of one pixel and the filter.
static inline int kerasrun_conv2d_is_1x1(const struct kerasrun_conv2d* c) {
  return c->kh == 1 && c->kw == 1 && c->groups == 1 && c->pad_top == 0 && c->pad_left == 0 &&
         c->pad_bottom == 0 && c->pad_right == 0;
}

// kerasrun_conv2d_window_valid checks strides, padding, layouts and the activation.
static inline int kerasrun_conv2d_window_valid(const struct kerasrun_conv2d* c) {
  const int64_t pads[] = {c->pad_top, c->pad_bottom, c->pad_left, c->pad_right};
  for (int i = 0; i < 4; i++)
    if (pads[i] < 0 || pads[i] > INT32_MAX) return 0;
  return (unsigned)c->act < KERASRUN_ACTS && c->stride_h > 0 && c->stride_h <= INT32_MAX &&
         c->stride_w > 0 && c->stride_w <= INT32_MAX && kerasrun_layout_valid(c->x) &&
         kerasrun_layout_valid(c->add) && kerasrun_layout_valid(c->y);
}

// kerasrun_conv2d_filter_valid checks the filter: eight output channels a group or a multiple.
static inline int kerasrun_conv2d_filter_valid(const struct kerasrun_conv2d* c) {
  const int64_t sizes[] = {c->kh, c->kw, c->ic, c->oc};
  int64_t floats = 1;
  for (int i = 0; i < 4; i++) {
    if (sizes[i] < 1 || sizes[i] > KERASRUN_MAX_FLOATS / floats) return 0;
    floats *= sizes[i];
  }
  return c->groups > 0 && c->groups <= c->oc && c->oc % (8 * c->groups) == 0;
}

// kerasrun_conv2d_layout_readable checks that x's layout is one that the filter can read.
static inline int kerasrun_conv2d_layout_readable(const struct kerasrun_conv2d* c) {
  if (c->x.kind == KERASRUN_NHWC) return 1;
  return c->ic % 8 == 0 && (c->x.kind == KERASRUN_NCHW8C || kerasrun_conv2d_is_1x1(c));
}

static inline int kerasrun_conv2d_valid(const struct kerasrun_conv2d* c) {
  return kerasrun_conv2d_window_valid(c) && kerasrun_conv2d_filter_valid(c) &&
         kerasrun_conv2d_layout_readable(c);
}

// kerasrun_conv2d_fits checks that the sizes of a call do not overflow: n images of h x w pixels,
// their copies with padding, and the output.
static inline int kerasrun_conv2d_fits(const struct kerasrun_conv2d* c, int64_t n, int64_t h,
                                       int64_t w) {
  const struct kerasrun_layout nhwc = {KERASRUN_NHWC, 0};
  int64_t channels = c->ic * c->groups, out_h = kerasrun_conv2d_out_h(c, h);
  int64_t out_w = kerasrun_conv2d_out_w(c, w);
  return kerasrun_layout_fits(c->x, n, h, w, channels) &&
         kerasrun_layout_fits(nhwc, 1, h + c->pad_top + c->pad_bottom,
                              w + c->pad_left + c->pad_right, channels) &&
         kerasrun_layout_fits(c->add, n, out_h, out_w, c->oc) &&
         kerasrun_layout_fits(c->y, n, out_h, out_w, c->oc);
}

// kerasrun_conv2d_has_padding returns whether x has the zeros around it that the filter reads.
static inline int kerasrun_conv2d_has_padding(const struct kerasrun_conv2d* c) {
  return c->x.kind == KERASRUN_NCHW8C &&
         c->x.padding >= max(max(c->pad_top, c->pad_bottom), max(c->pad_left, c->pad_right));
}

// kerasrun_depthwise_valid checks a depthwise convolution: groups and oc are the channels, ic is 1,
// and x has the zeros around it that the filter reads.
static inline int kerasrun_depthwise_valid(const struct kerasrun_conv2d* c) {
  return kerasrun_conv2d_window_valid(c) && c->ic == 1 && c->groups == c->oc && c->oc > 0 &&
         c->oc <= INT32_MAX && c->oc % 8 == 0 && c->kh > 0 && c->kw > 0 && c->kh <= INT32_MAX &&
         c->kw <= INT32_MAX && c->kh * c->kw <= KERASRUN_MAX_FLOATS / c->oc && !c->bf16 &&
         kerasrun_conv2d_has_padding(c);
}

static inline int kerasrun_depthwise_fits(const struct kerasrun_conv2d* c, int64_t n, int64_t h,
                                          int64_t w) {
  return kerasrun_layout_fits(c->x, n, h, w, c->oc) &&
         kerasrun_layout_fits(c->y, n, kerasrun_conv2d_out_h(c, h), kerasrun_conv2d_out_w(c, w),
                              c->oc);
}

// kerasrun_expand_depthwise_valid returns whether a 1x1 convolution and a depthwise one that reads
// it can be computed together.
static inline int kerasrun_expand_depthwise_valid(const struct kerasrun_conv2d* e,
                                                  const struct kerasrun_conv2d* d) {
  return kerasrun_conv2d_valid(e) && kerasrun_depthwise_valid(d) && kerasrun_conv2d_is_1x1(e) &&
         e->x.kind == KERASRUN_TILED && e->stride_h == 1 && e->stride_w == 1 && !e->bf16 &&
         e->oc == d->oc && e->y.kind == d->x.kind && e->y.padding == d->x.padding;
}

// kerasrun_conv2d_preferred returns whether this processor has AVX2 and FMA; for bfloat16, whether
// it has no instructions for that, which TensorFlow's own convolutions use.
int kerasrun_conv2d_preferred(int bf16);

// kerasrun_conv2d_packed_size returns the floats of a packed filter. c is valid.
int64_t kerasrun_conv2d_packed_size(const struct kerasrun_conv2d* c);

// kerasrun_conv2d_pack writes filter[kh][kw][ic][oc] to packed[..] of conv2d_call.h. c is valid.
void kerasrun_conv2d_pack(const struct kerasrun_conv2d* c, const float* filter, float* packed);

// kerasrun_conv2d_run computes n images of h x w pixels. c is valid, and fits n, h and w. add is of
// y's shape or NULL, in a layout of its own, and may be y itself where the layouts are equal.
// Returns 0 where there is no memory.
int kerasrun_conv2d_run(const struct kerasrun_conv2d* c, const float* packed, const float* bias,
                        const float* add, const float* x, int64_t n, int64_t h, int64_t w,
                        float* y);
