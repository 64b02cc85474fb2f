// Convolutions of float32 for processors with AVX2 and FMA, in TensorFlow's layouts: pictures NHWC, kernels HWIO, whose groups are in the order of
// the output channels.

#include <stddef.h>

// A convolution, all but the picture's size.
struct kerasrun_conv {
  long kernel_h, kernel_w, in, out;  // in: channels of a group
  long groups;
  long stride_h, stride_w;
  long top, bottom, left, right;  // rows and columns of zeros around the picture
  int relu;
};

// The output's size for a picture's; below 1 where the kernel is larger than the picture and its zeros.
static inline long kerasrun_conv_out_h(const struct kerasrun_conv* c, long h) {
  long rest = h + c->top + c->bottom - c->kernel_h;
  return rest < 0 ? 0 : rest / c->stride_h + 1;
}
static inline long kerasrun_conv_out_w(const struct kerasrun_conv* c, long w) {
  long rest = w + c->left + c->right - c->kernel_w;
  return rest < 0 ? 0 : rest / c->stride_w + 1;
}

// Says whether this processor has AVX2 and FMA, and no wider vectors, which TensorFlow's own convolutions use.
int kerasrun_conv_preferred(void);

// Returns the kernel in the order in which it is read, NULL where there is no memory for it. free takes it back.
float* kerasrun_conv_pack(const struct kerasrun_conv* c, const float* kernel);

// Computes y = act(conv(x) + bias + add). add is like y or NULL, and may be y itself.
// Returns 0 where there is no memory.
int kerasrun_conv_run(const struct kerasrun_conv* c, const float* packed, const float* bias, const float* add, const float* x, long n, long h, long w, float* y);
