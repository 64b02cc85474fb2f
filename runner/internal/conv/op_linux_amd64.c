#include "op.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "geometry_linux_amd64.h"
#include "pool.h"

// op is a convolution of a graph. Its kernel does not change, and is packed in the first run.
struct op {
  struct geometry geometry;
  pthread_mutex_t packing;
  int64_t kernel[4];
  TF_Tensor* packed;
};

static void* op_new(TF_OpKernelConstruction* construction) {
  struct op* op = calloc(1, sizeof *op);
  TF_Status* status = TF_NewStatus();
  unsigned char relu = 0, bf16 = 0;
  if (!op) TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, "out of memory");
  if (TF_GetCode(status) == TF_OK) geometry_of(construction, &op->geometry, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrBool(construction, "relu", &relu, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrBool(construction, "bf16", &bf16, status);
  if (TF_GetCode(status) == TF_OK) {
    op->geometry.conv.relu = relu;
    op->geometry.conv.bf16 = bf16;
    pthread_mutex_init(&op->packing, NULL);
  }
  return constructed(construction, op, status);
}

static void op_delete(void* pointer) {
  struct op* op = pointer;
  if (!op) return;
  pthread_mutex_destroy(&op->packing);
  if (op->packed) TF_DeleteTensor(op->packed);
  free(op);
}

// pack takes the kernel of the first run; channels are those of the picture. The memory is TensorFlow's, which has some left of the session that optimised
// the graph and never gives it back.
static void pack(struct op* op, TF_OpKernelContext* context, const TF_Tensor* kernel, int64_t channels, TF_Status* status) {
  pthread_mutex_lock(&op->packing);
  if (!op->packed) {
    struct kerasrun_conv* c = &op->geometry.conv;
    for (int i = 0; i < 4; i++) op->kernel[i] = TF_NumDims(kernel) == 4 ? TF_Dim(kernel, i) : 0;
    c->kernel_h = op->kernel[0];
    c->kernel_w = op->kernel[1];
    c->in = op->kernel[2];
    c->out = op->kernel[3];
    c->groups = c->in > 0 ? channels / c->in : 0;
    if (c->kernel_h < 1 || c->kernel_w < 1 || c->groups < 1 || channels % c->in != 0 || c->out < 1 || c->out % (8 * c->groups) != 0)
      TF_SetStatus(status, TF_INVALID_ARGUMENT, "want a kernel that fits the picture, with 8 channels a group or a multiple, got another");
    else if (c->x.order == KERASRUN_BLOCKS ? channels % 8 != 0 || !kerasrun_conv_pointwise(c) : c->x.order == KERASRUN_PLANES && c->in % 8 != 0)
      TF_SetStatus(status, TF_INVALID_ARGUMENT, "want a form of the picture that the kernel can read, got another");
    if (TF_GetCode(status) == TF_OK) {
      int64_t size = kerasrun_conv_packed(c);
      TF_AllocatorAttributes here = {TF_ALLOCATOR_ATTRIBUTES_STRUCT_SIZE, 1};
      TF_Tensor* packed = TF_AllocateTemp(context, TF_FLOAT, &size, 1, &here, status);
      if (TF_GetCode(status) == TF_OK) kerasrun_conv_pack(c, TF_TensorData(kernel), TF_TensorData(op->packed = packed));
    }
  }
  pthread_mutex_unlock(&op->packing);
}

enum { PICTURE, KERNEL, BIAS, ADD, INPUTS };

static void compute(struct op* op, TF_OpKernelContext* context, TF_Tensor** in, TF_Tensor** out, TF_Status* status) {
  TF_GetInput(context, PICTURE, &in[PICTURE], status);
  if (TF_GetCode(status) == TF_OK) TF_GetInput(context, KERNEL, &in[KERNEL], status);
  if (TF_GetCode(status) == TF_OK) TF_GetInput(context, BIAS, &in[BIAS], status);
  if (TF_GetCode(status) != TF_OK) return;
  const struct kerasrun_conv* c = &op->geometry.conv;
  struct pictures p = pictures_of(&op->geometry, in[PICTURE], status);
  if (TF_GetCode(status) != TF_OK) return;
  pack(op, context, in[KERNEL], p.channels, status);
  if (TF_GetCode(status) != TF_OK) return;
  int64_t out_h = kerasrun_conv_out_h(c, p.h), out_w = kerasrun_conv_out_w(c, p.w);
  struct shape kernel = {4, {op->kernel[0], op->kernel[1], op->kernel[2], op->kernel[3]}}, bias = {1, {c->out}};
  if (p.channels != c->in * c->groups || !has(in[KERNEL], kernel) || !has(in[BIAS], bias) || out_h < 1 || out_w < 1) {
    TF_SetStatus(status, TF_INVALID_ARGUMENT, "want a picture, a kernel and a bias that fit each other, and the kernel of the first run");
    return;
  }
  struct shape output = shape_of(c->y, p.n, out_h, out_w, c->out);
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
  if (p.n > 0 && !kerasrun_conv_run(c, TF_TensorData(op->packed), TF_TensorData(in[BIAS]), add, TF_TensorData(in[PICTURE]), p.n, p.h, p.w, TF_TensorData(*out)))
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
  TF_OpDefinitionBuilderAddInput(op, "kernel: float");
  TF_OpDefinitionBuilderAddInput(op, "bias: float");
  TF_OpDefinitionBuilderAddInput(op, "add: added * float");
  TF_OpDefinitionBuilderAddOutput(op, "output: float");
  TF_OpDefinitionBuilderAddAttr(op, "added: int >= 0");
  TF_OpDefinitionBuilderAddAttr(op, "relu: bool");
  TF_OpDefinitionBuilderAddAttr(op, "bf16: bool");  // see conv.h
  add_geometry(op);
  make_known(op, name, op_new, op_compute, op_delete, status);
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
