// The largest numbers of windows of a picture, eight channels at a time.

#include <immintrin.h>
#include <math.h>
#include <stdlib.h>

#include "tf_op.h"
#include "threadpool.h"

// call is a batch of pictures of which a piece of work is a row of the output.
struct call {
  const struct kerasrun_conv* c;
  struct view x, y;
};

// Of a row so many pixels are looked up at a time.
#define PIXELS 64

__attribute__((target("avx2"))) static void pool_row(void* of, long piece) {
  const struct call* call = of;
  const struct kerasrun_conv* c = call->c;
  const struct view *x = &call->x, *y = &call->y;
  long picture = piece / y->h, i = piece % y->h, first = i * c->stride_h - c->top;
  long begin = most(first, 0), end = least(first + c->kernel_h, x->h);
  for (long from = 0; from < y->w; from += PIXELS) {
    long n = least(PIXELS, y->w - from), at[PIXELS];
    kerasrun_positions(y, piece * y->w + from, n, at);
    for (long eight = 0; eight < c->out / 8; eight++)
      for (long j = 0; j < n; j++) {
        long left = (from + j) * c->stride_w - c->left, column = most(left, 0), columns = least(left + c->kernel_w, x->w);
        __m256 largest = _mm256_set1_ps(-INFINITY);
        for (long row = begin; row < end; row++)
          for (long k = column; k < columns; k++) {
            __m256 number = _mm256_loadu_ps(x->at + picture * x->picture + row * x->row + k * x->pixel + eight * x->eight);
            // The larger is the second where either is NaN; one that was found stays.
            largest = _mm256_blendv_ps(_mm256_max_ps(largest, number), largest, _mm256_cmp_ps(largest, largest, _CMP_UNORD_Q));
          }
        _mm256_storeu_ps(y->at + eight * y->eight + at[j], largest);
      }
  }
}

static void* max_pool_new(TF_OpKernelConstruction* construction) {
  struct geometry* op = calloc(1, sizeof *op);
  TF_Status* status = TF_NewStatus();
  int32_t window[2] = {0};
  if (!op) TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, "out of memory");
  if (TF_GetCode(status) == TF_OK) geometry_of(construction, op, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrInt32List(construction, "window", window, 2, status);
  if (TF_GetCode(status) == TF_OK) {
    struct kerasrun_conv* c = &op->conv;
    c->kernel_h = window[0];
    c->kernel_w = window[1];
    c->in = c->out = op->sizes[2];
    if (c->kernel_h <= most(c->top, c->bottom) || c->kernel_w <= most(c->left, c->right) || c->out < 8 || c->out % 8 != 0 || c->x.order == KERASRUN_BLOCKS)
      TF_SetStatus(status, TF_INVALID_ARGUMENT, "want windows that are larger than what they reach beyond the picture, 8 channels or a multiple, and no blocks");
  }
  return constructed(construction, op, status);
}

static void max_pool_compute(void* of, TF_OpKernelContext* context) {
  const struct geometry* op = of;
  const struct kerasrun_conv* c = &op->conv;
  TF_Status* status = TF_NewStatus();
  TF_Tensor *in = NULL, *out = NULL;
  struct pictures p = {0};
  TF_GetInput(context, 0, &in, status);
  if (TF_GetCode(status) == TF_OK) p = pictures_of(op, in, status);
  int64_t out_h = kerasrun_conv_out_h(c, p.h), out_w = kerasrun_conv_out_w(c, p.w);
  if (TF_GetCode(status) == TF_OK && (p.channels != c->out || out_h < 1 || out_w < 1))
    TF_SetStatus(status, TF_INVALID_ARGUMENT, "want a picture with a window, of the channels that the operation was made for");
  if (TF_GetCode(status) == TF_OK) out = allocate(context, shape_of(c->y, p.n, out_h, out_w, c->out), status);
  if (TF_GetCode(status) == TF_OK && p.n > 0) {
    struct call call = {c, kerasrun_view(c->x, TF_TensorData(in), p.h, p.w, c->out), kerasrun_view(c->y, TF_TensorData(out), out_h, out_w, c->out)};
    kerasrun_border(&call.y, p.n, c->out);
    kerasrun_pool_run(pool_row, &call, p.n * out_h);
  }
  if (TF_GetCode(status) != TF_OK) TF_OpKernelContext_Failure(context, status);
  if (in) TF_DeleteTensor(in);
  if (out) TF_DeleteTensor(out);
  TF_DeleteStatus(status);
}

void kerasrun_define_max_pool(const char* name, TF_Status* status) {
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name);
  TF_OpDefinitionBuilderAddInput(op, "picture: float");
  TF_OpDefinitionBuilderAddOutput(op, "output: float");
  TF_OpDefinitionBuilderAddAttr(op, "window: list(int)");  // height and width
  add_geometry(op);
  make_known(op, name, max_pool_new, max_pool_compute, free, status);
}
