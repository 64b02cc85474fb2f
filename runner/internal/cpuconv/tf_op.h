// What TensorFlow's operations on images have in common. A tensor in NHWC has the shape
// [n, h, w, c]; in another layout [n, floats / n], whose sizes the attributes say:
//
//   strides: [h, w]    padding: [top, bottom, left, right]    sizes: the image's [h, w, c]
//   layouts: [kind, padding] of the image, of what is added, of the output

#pragma once

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conv2d.h"
#include "tf_custom_op_api.h"

struct tf_op {
  struct kerasrun_conv2d conv;
  int32_t sizes[3];
};

static inline int ok(const TF_Status* status) { return TF_GetCode(status) == TF_OK; }

__attribute__((format(printf, 2, 3))) static inline void set_invalid(TF_Status* status,
                                                                     const char* format, ...) {
  char message[512];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  TF_SetStatus(status, TF_INVALID_ARGUMENT, message);
}

// get_ints reads an attribute of exactly n integers. TensorFlow writes no more than n, and says
// nothing where there are fewer or more.
static inline void get_ints(TF_OpKernelConstruction* construction, const char* name,
                            int32_t* values, int n, TF_Status* status) {
  int32_t length = 0, total = 0;
  TF_OpKernelConstruction_GetAttrSize(construction, name, &length, &total, status);
  if (ok(status) && length != n)
    set_invalid(status, "attribute %s: expected %d integers, got %" PRId32, name, n, length);
  if (ok(status)) TF_OpKernelConstruction_GetAttrInt32List(construction, name, values, n, status);
}

// read_attrs reads the attributes, and refuses those that no operation can have: one may come from
// a file.
static inline void read_attrs(TF_OpKernelConstruction* construction, struct tf_op* op,
                              TF_Status* status) {
  int32_t strides[2] = {0}, pads[4] = {0}, layouts[6] = {0};
  get_ints(construction, "strides", strides, 2, status);
  if (ok(status)) get_ints(construction, "padding", pads, 4, status);
  if (ok(status)) get_ints(construction, "layouts", layouts, 6, status);
  if (ok(status)) get_ints(construction, "sizes", op->sizes, 3, status);
  if (!ok(status)) return;
  op->conv = (struct kerasrun_conv2d){.stride_h = strides[0],
                                      .stride_w = strides[1],
                                      .pad_top = pads[0],
                                      .pad_bottom = pads[1],
                                      .pad_left = pads[2],
                                      .pad_right = pads[3],
                                      .x = {layouts[0], layouts[1]},
                                      .add = {layouts[2], layouts[3]},
                                      .y = {layouts[4], layouts[5]}};
  if (!kerasrun_conv2d_window_valid(&op->conv))
    set_invalid(
        status,
        "expected strides of 1 or more, padding of 0 or more, and layouts of which nChw8c "
        "alone has padding, got strides %d,%d padding %d,%d,%d,%d layouts %d,%d,%d,%d,%d,%d",
        strides[0], strides[1], pads[0], pads[1], pads[2], pads[3], layouts[0], layouts[1],
        layouts[2], layouts[3], layouts[4], layouts[5]);
}

// add_attrs declares what read_attrs reads.
static inline void add_attrs(TF_OpDefinitionBuilder* op) {
  TF_OpDefinitionBuilderAddAttr(op, "strides: list(int)");
  TF_OpDefinitionBuilderAddAttr(op, "padding: list(int)");
  TF_OpDefinitionBuilderAddAttr(op, "layouts: list(int)");
  TF_OpDefinitionBuilderAddAttr(op, "sizes: list(int)");
}

struct shape {
  int rank;
  int64_t dims[4];
};

// shape_of returns the shape of a tensor of images. They fit the layout.
static inline struct shape shape_of(struct kerasrun_layout l, int64_t n, int64_t h, int64_t w,
                                    int64_t c) {
  if (l.kind == KERASRUN_NHWC) return (struct shape){4, {n, h, w, c}};
  int64_t size = kerasrun_layout_size(l, n, h, w, c);
  return (struct shape){2, {n, n > 0 ? div_round_up(size, n) : 0}};
}

// shape_is returns whether a float32 tensor has the shape, and the memory for it.
static inline int shape_is(const TF_Tensor* t, struct shape s) {
  if (TF_TensorType(t) != TF_FLOAT || TF_NumDims(t) != s.rank) return 0;
  size_t bytes = sizeof(float);
  for (int i = 0; i < s.rank; i++) {
    if (TF_Dim(t, i) != s.dims[i]) return 0;
    bytes *= s.dims[i];
  }
  return TF_TensorByteSize(t) >= bytes;
}

// finish_create returns an operation, NULL where its construction has failed.
static inline void* finish_create(TF_OpKernelConstruction* construction, void* op,
                                  TF_Status* status) {
  int failed = !ok(status);
  if (failed) {
    TF_OpKernelConstruction_Failure(construction, status);
    free(op);
  }
  TF_DeleteStatus(status);
  return failed ? NULL : op;
}

// images are a batch of them.
struct images {
  int64_t n, h, w, c;
};
#define IMAGE_FORMAT "%" PRId64 " of %" PRId64 "x%" PRId64 "x%" PRId64
#define IMAGE_ARGS(x) (x).n, (x).h, (x).w, (x).c

// images_of returns what images a tensor has, in the layout of the operation's image.
static inline struct images images_of(const struct tf_op* op, const TF_Tensor* t,
                                      TF_Status* status) {
  struct kerasrun_layout l = op->conv.x;
  struct images x = {TF_NumDims(t) > 0 ? TF_Dim(t, 0) : 0, op->sizes[0], op->sizes[1],
                     op->sizes[2]};
  if (l.kind == KERASRUN_NHWC && TF_NumDims(t) == 4)
    x = (struct images){x.n, TF_Dim(t, 1), TF_Dim(t, 2), TF_Dim(t, 3)};
  if ((l.kind != KERASRUN_NHWC && x.c % 8 != 0) || !kerasrun_layout_fits(l, x.n, x.h, x.w, x.c) ||
      !shape_is(t, shape_of(l, x.n, x.h, x.w, x.c)))
    set_invalid(status,
                "expected images in layout %d, " IMAGE_FORMAT
                ", got a tensor of %d dimensions and %zu bytes",
                (int)l.kind, IMAGE_ARGS(x), TF_NumDims(t), TF_TensorByteSize(t));
  return x;
}

// allocate returns the operation's i-th output.
static inline TF_Tensor* allocate(TF_OpKernelContext* context, int i, struct shape s,
                                  TF_Status* status) {
  size_t bytes = sizeof(float);
  for (int i = 0; i < s.rank; i++) bytes *= s.dims[i];
  return TF_AllocateOutput(context, i, TF_FLOAT, s.dims, s.rank, bytes, status);
}

static inline void infer_nothing(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
}

// register_op registers an operation that is defined, and what computes it.
static inline void register_op(TF_OpDefinitionBuilder* op, const char* name,
                               void* (*create)(TF_OpKernelConstruction*),
                               void (*compute)(void*, TF_OpKernelContext*), void (*delete)(void*),
                               TF_Status* status) {
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, infer_nothing);
  TF_RegisterOpDefinition(op, status);
  if (ok(status))
    TF_RegisterKernelBuilder(name, TF_NewKernelBuilder(name, "CPU", create, compute, delete),
                             status);
}

// kerasrun_define_max_pool registers the operation of tf_max_pool_op_linux_amd64.c.
void kerasrun_define_max_pool(const char* name, TF_Status* status);

// kerasrun_define_region registers the operation of tf_region_op_linux_amd64.c.
void kerasrun_define_region(const char* name, TF_Status* status);
