// Pooling of float32, eight channels at a time:
//
//   y[n][oh][ow][c] = max over i < kh, j < kw of
//                       x[n][oh * stride_h + i - pad_top][ow * stride_w + j - pad_left][c]
//
// where that is in the image, NaN is the largest; or the mean of those numbers.

#pragma once

#include "conv2d.h"

// kerasrun_pool_valid checks the attributes of a pool, in a convolution's terms: kh and kw are
// the window, ic and oc the channels. Each window reaches into the image.
static inline int kerasrun_pool_valid(const struct kerasrun_conv2d* c) {
  return kerasrun_conv2d_window_valid(c) && c->kh <= INT32_MAX && c->kw <= INT32_MAX &&
         c->kh > max(c->pad_top, c->pad_bottom) && c->kw > max(c->pad_left, c->pad_right) &&
         c->oc > 0 && c->oc <= INT32_MAX && c->oc % 8 == 0 && c->x.kind != KERASRUN_TILED;
}

// kerasrun_pool_run pools n images of h x w pixels: the mean, or else the largest. c is valid, and
// sizes fit the layouts.
void kerasrun_pool_run(const struct kerasrun_conv2d* c, int mean, const float* x, int64_t n,
                       int64_t h, int64_t w, float* y);
