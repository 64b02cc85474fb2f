#include "tf_ops.h"

#include <stdlib.h>
#include <string.h>

#include "tf_op.h"
#include "threadpool.h"

static void* op_new(TF_OpKernelConstruction* construction) {
  struct geometry* op = calloc(1, sizeof *op);
  TF_Status* status = TF_NewStatus();
  unsigned char relu = 0, bf16 = 0;
  int32_t kernel[KERASRUN_KERNEL_SIZES] = {0};
  if (!op) TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, "out of memory");
  if (TF_GetCode(status) == TF_OK) geometry_of(construction, op, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrInt32List(construction, "kernel", kernel, KERASRUN_KERNEL_SIZES, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrBool(construction, "relu", &relu, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrBool(construction, "bf16", &bf16, status);
  if (TF_GetCode(status) == TF_OK) {
    struct kerasrun_conv* c = &op->conv;
    kerasrun_conv_kernel(c, kernel);
    c->relu = relu;
    c->bf16 = bf16;
    if (c->kernel_h < 1 || c->kernel_w < 1 || c->in < 1 || c->groups < 1 || c->out < 1 || c->out % (8 * c->groups) != 0)
      TF_SetStatus(status, TF_INVALID_ARGUMENT, "want a kernel of a pixel or more, with 8 channels a group or a multiple");
    else if (c->x.order == KERASRUN_BLOCKS ? c->in % 8 != 0 || !kerasrun_conv_pointwise(c) : c->x.order == KERASRUN_PLANES && c->in % 8 != 0)
      TF_SetStatus(status, TF_INVALID_ARGUMENT, "want a form of the picture that the kernel can read, got another");
  }
  return constructed(construction, op, status);
}

enum { PICTURE, KERNEL, BIAS, ADD, INPUTS };

static void compute(const struct geometry* op, TF_OpKernelContext* context, TF_Tensor** in, TF_Tensor** out, TF_Status* status) {
  TF_GetInput(context, PICTURE, &in[PICTURE], status);
  if (TF_GetCode(status) == TF_OK) TF_GetInput(context, KERNEL, &in[KERNEL], status);
  if (TF_GetCode(status) == TF_OK) TF_GetInput(context, BIAS, &in[BIAS], status);
  if (TF_GetCode(status) != TF_OK) return;
  const struct kerasrun_conv* c = &op->conv;
  // A row of a matrix is a picture of one pixel.
  int matrix = c->x.order == KERASRUN_NHWC && TF_NumDims(in[PICTURE]) == 2;
  struct pictures p = matrix ? (struct pictures){TF_Dim(in[PICTURE], 0), 1, 1, TF_Dim(in[PICTURE], 1)} : pictures_of(op, in[PICTURE], status);
  if (TF_GetCode(status) != TF_OK) return;
  int64_t out_h = kerasrun_conv_out_h(c, p.h), out_w = kerasrun_conv_out_w(c, p.w);
  struct shape kernel = {1, {kerasrun_conv_packed(c)}}, bias = {1, {c->out}};
  if (p.channels != c->in * c->groups || !has(in[KERNEL], kernel) || !has(in[BIAS], bias) || out_h < 1 || out_w < 1) {
    TF_SetStatus(status, TF_INVALID_ARGUMENT, "want a picture, a packed kernel and a bias that fit each other");
    return;
  }
  struct shape output = shape_of(c->y, p.n, out_h, out_w, c->out);
  if (matrix && c->y.order == KERASRUN_NHWC) output = (struct shape){2, {p.n, out_h * out_w * c->out}};
  const float* add = NULL;
  // What is added is taken before a reference to it: only memory that nobody else has becomes the output's.
  if (TF_NumInputs(context) > ADD && c->add.order == c->y.order && c->add.border == c->y.border) {
    int candidate = ADD, forwarded = -1;
    *out = TF_ForwardInputOrAllocateOutput(context, &candidate, 1, 0, output.dims, output.rank, &forwarded, status);
    if (TF_GetCode(status) == TF_OK && forwarded == ADD) add = TF_TensorData(*out);
  } else {
    *out = allocate(context, output, status);
  }
  if (TF_GetCode(status) != TF_OK) return;
  if (TF_NumInputs(context) > ADD && !add) {
    TF_GetInput(context, ADD, &in[ADD], status);
    if (TF_GetCode(status) != TF_OK) return;
    if (!has(in[ADD], shape_of(c->add, p.n, out_h, out_w, c->out))) {
      TF_SetStatus(status, TF_INVALID_ARGUMENT, "want what is added to be like the output");
      return;
    }
    add = TF_TensorData(in[ADD]);
  }
  if (p.n > 0 && !kerasrun_conv_run(c, TF_TensorData(in[KERNEL]), TF_TensorData(in[BIAS]), add, TF_TensorData(in[PICTURE]), p.n, p.h, p.w, TF_TensorData(*out)))
    TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, "out of memory");
}

static void op_compute(void* op, TF_OpKernelContext* context) {
  TF_Status* status = TF_NewStatus();
  TF_Tensor *in[INPUTS] = {NULL}, *out = NULL;
  compute(op, context, in, &out, status);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelContext_Failure(context, status);
  for (int i = 0; i < INPUTS; i++)
    if (in[i]) TF_DeleteTensor(in[i]);
  if (out) TF_DeleteTensor(out);
  TF_DeleteStatus(status);
}

static void define_conv(const char* name, TF_Status* status) {
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name);
  TF_OpDefinitionBuilderAddInput(op, "picture: float");
  TF_OpDefinitionBuilderAddInput(op, "packed: float");  // the kernel, as kerasrun_conv_pack packs it
  TF_OpDefinitionBuilderAddInput(op, "bias: float");
  TF_OpDefinitionBuilderAddInput(op, "add: added * float");
  TF_OpDefinitionBuilderAddOutput(op, "output: float");
  TF_OpDefinitionBuilderAddAttr(op, "kernel: list(int)");  // its sizes, see conv.h
  TF_OpDefinitionBuilderAddAttr(op, "added: int >= 0");
  TF_OpDefinitionBuilderAddAttr(op, "relu: bool");
  TF_OpDefinitionBuilderAddAttr(op, "bf16: bool");  // see conv.h
  add_geometry(op);
  make_known(op, name, op_new, op_compute, free, status);
}

char* kerasrun_conv_register(const char* conv, const char* max_pool, int threads) {
  kerasrun_pool_start(threads);
  TF_Status* status = TF_NewStatus();
  define_conv(conv, status);
  if (TF_GetCode(status) == TF_OK) kerasrun_define_max_pool(max_pool, status);
  char* fault = TF_GetCode(status) == TF_OK ? NULL : strdup(TF_Message(status));
  TF_DeleteStatus(status);
  return fault;
}
