// The functions of conv2d.h and region.h, compiled for one instruction set each.

#pragma once

#include "conv2d.h"

// So many channels may an image have that are no multiple of eight.
enum { KERASRUN_MAX_ODD_CHANNELS = 256 };

// kerasrun_scale is y = act(x * scale + shift + add), where x is the channels of all inputs, one
// behind the other. Channels are multiples of eight, but for one input in NHWC, to which nothing is
// added and whose scale is the same for all images.
struct kerasrun_scale {
  int64_t inputs;
  const struct kerasrun_view* x;
  const int64_t* channels;     // of each input
  const float *scale, *shift;  // [y's channels] or NULL: 1, 0
  int64_t scale_stride;        // from an image's scale to the next one's; 0: one for all
  struct kerasrun_view add;    // data is NULL where nothing is added
  enum kerasrun_act act;
};

// kerasrun_dense is y[n][o] = act(bias[o] + sum over k < ic of x[n][k] * filter[k][o]).
struct kerasrun_dense {
  int64_t ic, oc;
  const float *filter, *bias;
  enum kerasrun_act act;
};

struct kerasrun_conv2d_isa {
  int64_t (*packed_size)(const struct kerasrun_conv2d* c);
  void (*pack)(const struct kerasrun_conv2d* c, const float* filter, float* packed);
  int (*run)(const struct kerasrun_conv2d* c, const float* packed, const float* bias,
             const float* add, const float* x, int64_t n, int64_t h, int64_t w, float* y);
  // A convolution in which each channel has a filter of its own: filter[kh][kw][oc].
  void (*depthwise)(const struct kerasrun_conv2d* c, const float* filter, const float* bias,
                    const float* x, int64_t n, int64_t h, int64_t w, float* y);
  // depthwise(e), computed together: kerasrun_expand_depthwise_valid. x has h x w pixels. Returns 0
  // where there is no memory.
  int (*expand_depthwise)(const struct kerasrun_conv2d* e, const float* packed, const float* e_bias,
                          const struct kerasrun_conv2d* d, const float* filter, const float* d_bias,
                          const float* x, int64_t n, int64_t h, int64_t w, float* y);
  // y has n images of so many channels. It may be the only x or add, where the layouts are equal.
  void (*scale)(const struct kerasrun_scale* s, int64_t n, const struct kerasrun_view* y,
                int64_t channels);
  // y[n][channels] is the mean of an image's pixels.
  void (*mean)(const struct kerasrun_view* x, int64_t n, int64_t channels, float* y);
  void (*dense)(const struct kerasrun_dense* d, const float* x, int64_t n, float* y);
};

extern const struct kerasrun_conv2d_isa kerasrun_conv2d_avx2, kerasrun_conv2d_avx512;

// kerasrun_isa returns the one that this processor is computed with.
const struct kerasrun_conv2d_isa* kerasrun_isa(void);
