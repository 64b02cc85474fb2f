// TensorFlow's operation of a fused convolution: image, packed_filter[packed_size], bias[oc] and,
// if added is 1, add -> output, all float32. A matrix [n, c] is n images of one pixel. Images, add
// and output are in the layouts that the attributes say (tf_op.h).

#include <stdlib.h>
#include <string.h>

#include "tf_op.h"
#include "tf_ops.h"
#include "threadpool.h"

static void* conv2d_create(TF_OpKernelConstruction* construction) {
  struct tf_op* op = calloc(1, sizeof *op);
  TF_Status* status = TF_NewStatus();
  unsigned char relu = 0, bf16 = 0;
  int32_t filter[KERASRUN_FILTER_SIZES] = {0};
  if (!op) TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, "out of memory");
  if (ok(status)) read_attrs(construction, op, status);
  if (ok(status)) get_ints(construction, "filter", filter, KERASRUN_FILTER_SIZES, status);
  if (ok(status)) TF_OpKernelConstruction_GetAttrBool(construction, "relu", &relu, status);
  if (ok(status)) TF_OpKernelConstruction_GetAttrBool(construction, "bf16", &bf16, status);
  if (ok(status)) {
    struct kerasrun_conv2d* c = &op->conv;
    kerasrun_conv2d_set_filter(c, filter);
    c->act = relu ? KERASRUN_RELU : KERASRUN_LINEAR;
    c->bf16 = bf16;
    if (!kerasrun_conv2d_filter_valid(c))
      set_invalid(
          status,
          "expected a filter of a pixel or more, with 8 channels a group or a multiple, got "
          "%dx%dx%dx%d in %d groups",
          filter[0], filter[1], filter[2], filter[3], filter[4]);
    else if (!kerasrun_conv2d_layout_readable(c))
      set_invalid(status, "expected an image layout that the filter can read, got %d",
                  (int)c->x.kind);
  }
  return finish_create(construction, op, status);
}

enum { IMAGE, FILTER, BIAS, ADD, INPUTS };

static void compute(const struct tf_op* op, TF_OpKernelContext* context, TF_Tensor** in,
                    TF_Tensor** out, TF_Status* status) {
  TF_GetInput(context, IMAGE, &in[IMAGE], status);
  if (ok(status)) TF_GetInput(context, FILTER, &in[FILTER], status);
  if (ok(status)) TF_GetInput(context, BIAS, &in[BIAS], status);
  if (!ok(status)) return;
  const struct kerasrun_conv2d* c = &op->conv;
  int is_matrix = c->x.kind == KERASRUN_NHWC && TF_NumDims(in[IMAGE]) == 2;
  struct images x;
  if (is_matrix)
    x = (struct images){TF_Dim(in[IMAGE], 0), 1, 1, TF_Dim(in[IMAGE], 1)};
  else
    x = images_of(op, in[IMAGE], status);
  if (!ok(status)) return;
  int64_t out_h = kerasrun_conv2d_out_h(c, x.h), out_w = kerasrun_conv2d_out_w(c, x.w);
  struct shape filter = {1, {kerasrun_conv2d_packed_size(c)}}, bias = {1, {c->oc}};
  if (x.c != c->ic * c->groups || !shape_is(in[FILTER], filter) || !shape_is(in[BIAS], bias) ||
      out_h < 1 || out_w < 1 || !kerasrun_conv2d_fits(c, x.n, x.h, x.w)) {
    set_invalid(status,
                "expected images of %" PRId64 " channels, a packed filter of %" PRId64
                " floats and a bias of %" PRId64 ", got " IMAGE_FORMAT ", %zu and %zu bytes",
                c->ic * c->groups, filter.dims[0], c->oc, IMAGE_ARGS(x),
                TF_TensorByteSize(in[FILTER]), TF_TensorByteSize(in[BIAS]));
    return;
  }
  struct shape output = shape_of(c->y, x.n, out_h, out_w, c->oc);
  if (is_matrix && c->y.kind == KERASRUN_NHWC)
    output = (struct shape){2, {x.n, out_h * out_w * c->oc}};
  const float* add = NULL;
  // What is added is taken before a reference to it: only memory that nobody else has becomes the
  // output's.
  if (TF_NumInputs(context) > ADD && c->add.kind == c->y.kind && c->add.padding == c->y.padding) {
    int candidate = ADD, forwarded = -1;
    *out = TF_ForwardInputOrAllocateOutput(context, &candidate, 1, 0, output.dims, output.rank,
                                           &forwarded, status);
    if (ok(status) && forwarded == ADD) add = TF_TensorData(*out);
  } else {
    *out = allocate(context, 0, output, status);
  }
  if (!ok(status)) return;
  if (TF_NumInputs(context) > ADD && !add) {
    TF_GetInput(context, ADD, &in[ADD], status);
    if (!ok(status)) return;
    if (!shape_is(in[ADD], shape_of(c->add, x.n, out_h, out_w, c->oc))) {
      set_invalid(status,
                  "expected what is added to be like the output, " IMAGE_FORMAT
                  ", got a tensor of %d dimensions and %zu bytes",
                  x.n, out_h, out_w, c->oc, TF_NumDims(in[ADD]), TF_TensorByteSize(in[ADD]));
      return;
    }
    add = TF_TensorData(in[ADD]);
  }
  if (x.n > 0 && !kerasrun_conv2d_run(c, TF_TensorData(in[FILTER]), TF_TensorData(in[BIAS]), add,
                                      TF_TensorData(in[IMAGE]), x.n, x.h, x.w, TF_TensorData(*out)))
    TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, "out of memory");
}

static void conv2d_compute(void* op, TF_OpKernelContext* context) {
  TF_Status* status = TF_NewStatus();
  TF_Tensor *in[INPUTS] = {NULL}, *out = NULL;
  compute(op, context, in, &out, status);
  if (!ok(status)) TF_OpKernelContext_Failure(context, status);
  for (int i = 0; i < INPUTS; i++)
    if (in[i]) TF_DeleteTensor(in[i]);
  if (out) TF_DeleteTensor(out);
  TF_DeleteStatus(status);
}

static void define_conv2d(const char* name, TF_Status* status) {
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name);
  TF_OpDefinitionBuilderAddInput(op, "image: float");
  TF_OpDefinitionBuilderAddInput(op, "packed_filter: float");
  TF_OpDefinitionBuilderAddInput(op, "bias: float");
  TF_OpDefinitionBuilderAddInput(op, "add: added * float");
  TF_OpDefinitionBuilderAddOutput(op, "output: float");
  TF_OpDefinitionBuilderAddAttr(op, "filter: list(int)");  // kh, kw, ic, oc, groups
  TF_OpDefinitionBuilderAddAttr(op, "added: int >= 0");
  TF_OpDefinitionBuilderAddAttr(op, "relu: bool");
  TF_OpDefinitionBuilderAddAttr(op, "bf16: bool");
  add_attrs(op);
  register_op(op, name, conv2d_create, conv2d_compute, free, status);
}

char* kerasrun_register_ops(const char* conv2d, const char* max_pool, const char* region,
                            int threads) {
  kerasrun_threadpool_start(threads);
  TF_Status* status = TF_NewStatus();
  define_conv2d(conv2d, status);
  if (ok(status)) kerasrun_define_max_pool(max_pool, status);
  if (ok(status)) kerasrun_define_region(region, status);
  char* fault = ok(status) ? NULL : strdup(TF_Message(status));
  TF_DeleteStatus(status);
  return fault;
}
