// Convolutions of float32 for processors with AVX2 and FMA, or AVX-512. Kernels are HWIO, as TensorFlow has them, with the groups in the order of the output channels.

#pragma once

#include <stdint.h>

#include "layout.h"

// A convolution, all but the picture's size.
struct kerasrun_conv {
  long kernel_h, kernel_w, in, out;  // in: channels of a group
  long groups;
  long stride_h, stride_w;
  long top, bottom, left, right;  // rows and columns of zeros around the picture
  int relu;
  int bf16;  // the picture, the kernel and the output are rounded to bfloat16; products and sums are not
  struct kerasrun_form x, add, y;
};

// A kernel's height and width, the channels of a group, those of the output, and the groups.
#define KERASRUN_KERNEL_SIZES 5
static inline void kerasrun_conv_kernel(struct kerasrun_conv* c, const int32_t* sizes) {
  c->kernel_h = sizes[0];
  c->kernel_w = sizes[1];
  c->in = sizes[2];
  c->out = sizes[3];
  c->groups = sizes[4];
}

// The output's size for a picture's; below 1 where the kernel is larger than the picture and its zeros.
static inline long kerasrun_conv_out_h(const struct kerasrun_conv* c, long h) {
  long rest = h + c->top + c->bottom - c->kernel_h;
  return rest < 0 ? 0 : rest / c->stride_h + 1;
}
static inline long kerasrun_conv_out_w(const struct kerasrun_conv* c, long w) {
  long rest = w + c->left + c->right - c->kernel_w;
  return rest < 0 ? 0 : rest / c->stride_w + 1;
}

// A pixel of the output is a product of a pixel of the picture and the kernel alone where the kernel has one pixel.
static inline int kerasrun_conv_pointwise(const struct kerasrun_conv* c) {
  return c->kernel_h == 1 && c->kernel_w == 1 && c->groups == 1 && c->top == 0 && c->left == 0 && c->bottom == 0 && c->right == 0;
}

// Says whether this processor has AVX2 and FMA; for bfloat16, whether it has no instructions for that, which TensorFlow's own convolutions use.
int kerasrun_conv_preferred(int bf16);

// Numbers of a kernel that is packed.
long kerasrun_conv_packed(const struct kerasrun_conv* c);

// Packs a kernel: it lies then in the order in which it is read.
void kerasrun_conv_pack(const struct kerasrun_conv* c, const float* kernel, float* packed);

// Computes y = act(conv(x) + bias + add). x may be in blocks where the convolution is pointwise, and in planes where a group's channels are a multiple of
// eight. add is like y or NULL, in a form of its own, and may be y itself where the form is one.
// Returns 0 where there is no memory.
int kerasrun_conv_run(const struct kerasrun_conv* c, const float* packed, const float* bias, const float* add, const float* x, long n, long h, long w, float* y);
