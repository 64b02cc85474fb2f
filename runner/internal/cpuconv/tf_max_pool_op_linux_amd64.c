// TensorFlow's operation of max pooling: image -> output, both float32 in the layouts that the
// attributes say (tf_op.h).

#include <stdlib.h>

#include "max_pool.h"
#include "tf_op.h"

static void* max_pool_create(TF_OpKernelConstruction* construction) {
  struct tf_op* op = calloc(1, sizeof *op);
  TF_Status* status = TF_NewStatus();
  int32_t window[2] = {0};
  if (!op) TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, "out of memory");
  if (ok(status)) read_attrs(construction, op, status);
  if (ok(status)) get_ints(construction, "window", window, 2, status);
  if (ok(status)) {
    struct kerasrun_conv2d* c = &op->conv;
    c->kh = window[0];
    c->kw = window[1];
    c->ic = c->oc = op->sizes[2];
    if (!kerasrun_pool_valid(c))
      set_invalid(
          status,
          "expected a window larger than the padding, 8 channels or a multiple, and no tiled "
          "image, got window %dx%d, %d channels, image layout %d",
          window[0], window[1], op->sizes[2], (int)c->x.kind);
  }
  return finish_create(construction, op, status);
}

static void max_pool_compute(void* data, TF_OpKernelContext* context) {
  const struct tf_op* op = data;
  const struct kerasrun_conv2d* c = &op->conv;
  TF_Status* status = TF_NewStatus();
  TF_Tensor *in = NULL, *out = NULL;
  struct images x = {0};
  int64_t out_h = 0, out_w = 0;
  TF_GetInput(context, 0, &in, status);
  if (ok(status)) x = images_of(op, in, status);
  if (ok(status)) {
    out_h = kerasrun_conv2d_out_h(c, x.h);
    out_w = kerasrun_conv2d_out_w(c, x.w);
    if (x.c != c->oc || out_h < 1 || out_w < 1 ||
        !kerasrun_layout_fits(c->y, x.n, out_h, out_w, c->oc))
      set_invalid(status, "expected an image with a window, of %d channels, got " IMAGE_FORMAT,
                  op->sizes[2], IMAGE_ARGS(x));
  }
  if (ok(status)) out = allocate(context, 0, shape_of(c->y, x.n, out_h, out_w, c->oc), status);
  if (ok(status) && x.n > 0)
    kerasrun_pool_run(c, 0, TF_TensorData(in), x.n, x.h, x.w, TF_TensorData(out));
  if (!ok(status)) TF_OpKernelContext_Failure(context, status);
  if (in) TF_DeleteTensor(in);
  if (out) TF_DeleteTensor(out);
  TF_DeleteStatus(status);
}

void kerasrun_define_max_pool(const char* name, TF_Status* status) {
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name);
  TF_OpDefinitionBuilderAddInput(op, "image: float");
  TF_OpDefinitionBuilderAddOutput(op, "output: float");
  TF_OpDefinitionBuilderAddAttr(op, "window: list(int)");  // height and width
  add_attrs(op);
  register_op(op, name, max_pool_create, max_pool_compute, free, status);
}
