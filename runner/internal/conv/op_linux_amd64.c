#include "op.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "conv.h"
#include "kernels.h"
#include "pool.h"

// op is a convolution of a graph. Its kernel does not change, and is packed in the first run.
struct op {
  struct kerasrun_conv conv;
  int32_t sizes[3];  // of the picture: height, width and channels, which a form other than NHWC does not show
  pthread_mutex_t packing;
  int64_t kernel[4];
  TF_Tensor* packed;
};

// sound says whether there is a convolution of that kind. An operation can come from a file.
static int sound(const struct kerasrun_conv* c) {
  const struct kerasrun_form* forms[] = {&c->x, &c->add, &c->y};
  for (int i = 0; i < 3; i++)
    if ((unsigned)forms[i]->order > KERASRUN_PLANES || forms[i]->border < 0 || (forms[i]->border > 0 && forms[i]->order != KERASRUN_PLANES)) return 0;
  return c->stride_h > 0 && c->stride_w > 0 && c->top >= 0 && c->bottom >= 0 && c->left >= 0 && c->right >= 0;
}

static void* op_new(TF_OpKernelConstruction* construction) {
  struct op* op = calloc(1, sizeof *op);
  TF_Status* status = TF_NewStatus();
  int32_t strides[2] = {0}, padding[4] = {0}, forms[6] = {0}, sizes[3] = {0};
  unsigned char relu = 0, bf16 = 0;
  TF_OpKernelConstruction_GetAttrInt32List(construction, "strides", strides, 2, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrInt32List(construction, "padding", padding, 4, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrInt32List(construction, "forms", forms, 6, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrInt32List(construction, "sizes", sizes, 3, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrBool(construction, "relu", &relu, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrBool(construction, "bf16", &bf16, status);
  if (!op && TF_GetCode(status) == TF_OK) TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, "out of memory");
  if (TF_GetCode(status) == TF_OK) {
    op->conv = (struct kerasrun_conv){.stride_h = strides[0], .stride_w = strides[1], .relu = relu, .bf16 = bf16,
                                      .top = padding[0], .bottom = padding[1], .left = padding[2], .right = padding[3],
                                      .x = {forms[0], forms[1]}, .add = {forms[2], forms[3]}, .y = {forms[4], forms[5]}};
    memcpy(op->sizes, sizes, sizeof sizes);
    pthread_mutex_init(&op->packing, NULL);
    if (!sound(&op->conv)) TF_SetStatus(status, TF_INVALID_ARGUMENT, "want strides of 1 or more, zeros around a picture of 0 or more, and a border in planes alone");
  }
  if (TF_GetCode(status) != TF_OK) {
    TF_OpKernelConstruction_Failure(construction, status);
    free(op);
    op = NULL;
  }
  TF_DeleteStatus(status);
  return op;
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
    struct kerasrun_conv* c = &op->conv;
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

// shape is a tensor's.
struct shape {
  int rank;
  int64_t dims[4];
};

// shape_of has no sizes for a form other than NHWC, but for that of the batch.
static struct shape shape_of(struct kerasrun_form f, int64_t n, int64_t h, int64_t w, int64_t channels) {
  if (f.order == KERASRUN_NHWC) return (struct shape){4, {n, h, w, channels}};
  int64_t size = kerasrun_form_size(f, n, h, w, channels);
  return (struct shape){2, {n, n > 0 ? (size + n - 1) / n : 0}};
}

static int has(const TF_Tensor* t, struct shape s) {
  if (TF_NumDims(t) != s.rank) return 0;
  for (int i = 0; i < s.rank; i++)
    if (TF_Dim(t, i) != s.dims[i]) return 0;
  return 1;
}

enum { PICTURE, KERNEL, BIAS, ADD, INPUTS };

static void compute(struct op* op, TF_OpKernelContext* context, TF_Tensor** in, TF_Tensor** out, TF_Status* status) {
  TF_GetInput(context, PICTURE, &in[PICTURE], status);
  if (TF_GetCode(status) == TF_OK) TF_GetInput(context, KERNEL, &in[KERNEL], status);
  if (TF_GetCode(status) == TF_OK) TF_GetInput(context, BIAS, &in[BIAS], status);
  if (TF_GetCode(status) != TF_OK) return;
  int64_t n = TF_NumDims(in[PICTURE]) > 0 ? TF_Dim(in[PICTURE], 0) : 0, h = op->sizes[0], w = op->sizes[1], channels = op->sizes[2];
  const struct kerasrun_conv* c = &op->conv;
  if (c->x.order == KERASRUN_NHWC && TF_NumDims(in[PICTURE]) == 4) {
    h = TF_Dim(in[PICTURE], 1);
    w = TF_Dim(in[PICTURE], 2);
    channels = TF_Dim(in[PICTURE], 3);
  }
  if (!has(in[PICTURE], shape_of(c->x, n, h, w, channels))) {
    TF_SetStatus(status, TF_INVALID_ARGUMENT, "want pictures in the form that the operation was made for, got another shape");
    return;
  }
  pack(op, context, in[KERNEL], channels, status);
  if (TF_GetCode(status) != TF_OK) return;
  int64_t out_h = kerasrun_conv_out_h(c, h), out_w = kerasrun_conv_out_w(c, w);
  struct shape kernel = {4, {op->kernel[0], op->kernel[1], op->kernel[2], op->kernel[3]}}, bias = {1, {c->out}};
  if (channels != c->in * c->groups || !has(in[KERNEL], kernel) || !has(in[BIAS], bias) || out_h < 1 || out_w < 1) {
    TF_SetStatus(status, TF_INVALID_ARGUMENT, "want a picture, a kernel and a bias that fit each other, and the kernel of the first run");
    return;
  }
  struct shape output = shape_of(c->y, n, out_h, out_w, c->out);
  const float* add = NULL;
  // What is added is taken before a reference to it: only memory that nobody else has becomes the output's.
  if (TF_NumInputs(context) > ADD && c->add.order == c->y.order && c->add.border == c->y.border) {
    int candidate = ADD, forwarded = -1;
    *out = TF_ForwardInputOrAllocateOutput(context, &candidate, 1, 0, output.dims, output.rank, &forwarded, status);
    if (TF_GetCode(status) == TF_OK && forwarded == ADD) add = TF_TensorData(*out);
  } else {
    size_t bytes = sizeof(float);
    for (int i = 0; i < output.rank; i++) bytes *= output.dims[i];
    *out = TF_AllocateOutput(context, 0, TF_FLOAT, output.dims, output.rank, bytes, status);
  }
  if (TF_GetCode(status) != TF_OK) return;
  if (TF_NumInputs(context) > ADD && !add) {
    TF_GetInput(context, ADD, &in[ADD], status);
    if (TF_GetCode(status) != TF_OK) return;
    if (!has(in[ADD], shape_of(c->add, n, out_h, out_w, c->out))) {
      TF_SetStatus(status, TF_INVALID_ARGUMENT, "want what is added to be like the output");
      return;
    }
    add = TF_TensorData(in[ADD]);
  }
  if (n > 0 && !kerasrun_conv_run(c, TF_TensorData(op->packed), TF_TensorData(in[BIAS]), add, TF_TensorData(in[PICTURE]), n, h, w, TF_TensorData(*out)))
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

static void shape_not_known(TF_ShapeInferenceContext* context, TF_Status* status) { TF_ShapeInferenceContextSetUnknownShape(context, status); }

char* kerasrun_conv_register(const char* name, int threads) {
  kerasrun_pool_start(threads);
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name);
  TF_OpDefinitionBuilderAddInput(op, "picture: float");
  TF_OpDefinitionBuilderAddInput(op, "kernel: float");
  TF_OpDefinitionBuilderAddInput(op, "bias: float");
  TF_OpDefinitionBuilderAddInput(op, "add: added * float");
  TF_OpDefinitionBuilderAddOutput(op, "output: float");
  TF_OpDefinitionBuilderAddAttr(op, "added: int >= 0");
  TF_OpDefinitionBuilderAddAttr(op, "strides: list(int)");
  TF_OpDefinitionBuilderAddAttr(op, "padding: list(int)");
  TF_OpDefinitionBuilderAddAttr(op, "relu: bool");
  TF_OpDefinitionBuilderAddAttr(op, "bf16: bool");  // see conv.h
  TF_OpDefinitionBuilderAddAttr(op, "forms: list(int)");    // order and border of the picture, of what is added and of the output
  TF_OpDefinitionBuilderAddAttr(op, "sizes: list(int)");  // height, width and channels of the picture, where its form is not NHWC
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, shape_not_known);
  TF_Status* status = TF_NewStatus();
  TF_RegisterOpDefinition(op, status);
  if (TF_GetCode(status) == TF_OK)
    TF_RegisterKernelBuilder(name, TF_NewKernelBuilder(name, "CPU", op_new, op_compute, op_delete), status);
  char* fault = TF_GetCode(status) == TF_OK ? NULL : strdup(TF_Message(status));
  TF_DeleteStatus(status);
  return fault;
}
