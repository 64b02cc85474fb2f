// TensorFlow's operation of a region: inputs -> outputs, all float32, as region.h describes them by
// the integers of the attribute plan.

#include <stdlib.h>
#include <string.h>

#include "region.h"
#include "tf_op.h"

static void* region_create(TF_OpKernelConstruction* construction) {
  struct kerasrun_region* region = NULL;
  TF_Status* status = TF_NewStatus();
  int32_t length = 0, total = 0, *plan = NULL;
  TF_OpKernelConstruction_GetAttrSize(construction, "plan", &length, &total, status);
  if (ok(status) && !(plan = calloc(max(length, 1), sizeof *plan)))
    TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, "out of memory");
  if (ok(status))
    TF_OpKernelConstruction_GetAttrInt32List(construction, "plan", plan, length, status);
  if (ok(status)) {
    char fault[KERASRUN_FAULT] = "";
    region = kerasrun_region_new(kerasrun_isa(), kerasrun_qconv2d_isa(), plan, length, fault);
    if (!region) set_invalid(status, "attribute plan: %s", fault);
  }
  free(plan);
  if (!ok(status)) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return region;
}

// value_of returns a tensor as a value, its memory and sizes checked.
static struct kerasrun_value value_of(const TF_Tensor* t, int i, TF_Status* status) {
  struct kerasrun_value v = {.rank = TF_NumDims(t), .n = 1, .h = 1, .w = 1, .c = 1};
  int64_t dims[4] = {1, 1, 1, 1}, floats = 1;
  int fits = TF_TensorType(t) == TF_FLOAT && v.rank >= 1 && v.rank <= 4 && v.rank != 3;
  for (int j = 0; fits && j < v.rank; j++) {
    dims[j] = TF_Dim(t, j);
    fits = dims[j] >= 0 && !__builtin_mul_overflow(floats, dims[j], &floats);
  }
  if (!fits || (uint64_t)floats > TF_TensorByteSize(t) / sizeof(float)) {
    set_invalid(status,
                "input %d: expected float32 of 1, 2 or 4 dimensions, got type %d, %d dimensions "
                "and %zu bytes",
                i, (int)TF_TensorType(t), v.rank, TF_TensorByteSize(t));
    return v;
  }
  if (v.rank == 4)
    v.n = dims[0], v.h = dims[1], v.w = dims[2], v.c = dims[3];
  else if (v.rank == 2)
    v.n = dims[0], v.c = dims[1];
  else
    v.c = dims[0];
  v.data = TF_TensorData(t);
  return v;
}

struct outputs {
  TF_OpKernelContext* context;
  TF_Status* status;
};

static float* output(void* context, int64_t i, const struct kerasrun_value* v) {
  static float nothing;  // of no images
  struct outputs* o = context;
  struct shape s = {4, {v->n, v->h, v->w, v->c}};
  if (v->rank == 2) s = (struct shape){2, {v->n, v->c}};
  TF_Tensor* t = allocate(o->context, i, s, o->status);
  float* data = ok(o->status) ? TF_TensorData(t) : NULL;
  if (ok(o->status) && TF_TensorByteSize(t) == 0) data = &nothing;
  if (t) TF_DeleteTensor(t);  // the context has it
  return data;
}

static void region_compute(void* data, TF_OpKernelContext* context) {
  struct kerasrun_region* region = data;
  TF_Status* status = TF_NewStatus();
  int64_t inputs = kerasrun_region_inputs(region);
  TF_Tensor** in = calloc(inputs, sizeof *in);
  struct kerasrun_value* values = calloc(inputs, sizeof *values);
  if (!in || !values) TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, "out of memory");
  if (ok(status) && TF_NumInputs(context) != inputs)
    set_invalid(status, "expected %" PRId64 " inputs, got %d", inputs, TF_NumInputs(context));
  for (int i = 0; ok(status) && i < inputs; i++) {
    TF_GetInput(context, i, &in[i], status);
    if (ok(status)) values[i] = value_of(in[i], i, status);
  }
  if (ok(status)) {
    char fault[KERASRUN_FAULT] = "";
    struct outputs o = {context, status};
    switch (kerasrun_region_run(region, values, output, &o, fault)) {
      case KERASRUN_DONE:
        break;
      case KERASRUN_INVALID:
        set_invalid(status, "%s", fault);
        break;
      default:
        if (ok(status)) TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, fault);
    }
  }
  if (!ok(status)) TF_OpKernelContext_Failure(context, status);
  for (int i = 0; in && i < inputs; i++)
    if (in[i]) TF_DeleteTensor(in[i]);
  free(in);
  free(values);
  TF_DeleteStatus(status);
}

static void region_delete(void* region) { kerasrun_region_free(region); }

void kerasrun_define_region(const char* name, TF_Status* status) {
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name);
  TF_OpDefinitionBuilderAddInput(op, "in: inputs * float");
  TF_OpDefinitionBuilderAddOutput(op, "out: outputs * float");
  TF_OpDefinitionBuilderAddAttr(op, "inputs: int >= 1");
  TF_OpDefinitionBuilderAddAttr(op, "outputs: int >= 1");
  TF_OpDefinitionBuilderAddAttr(op, "plan: list(int)");
  register_op(op, name, region_create, region_compute, region_delete, status);
}
