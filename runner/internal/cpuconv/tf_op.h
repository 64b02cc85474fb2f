// What operations on pictures have in common.

#pragma once

#include <stdlib.h>
#include <string.h>

#include "conv2d.h"
#include "tf_custom_op_api.h"

// geometry is the attributes that say what is read and written: in a convolution's terms, whose kernel is another input.
struct geometry {
  struct kerasrun_conv conv;
  int32_t sizes[3];  // of the picture: height, width and channels, which a form other than NHWC does not show
};

// sound says whether there is such a geometry. An operation can come from a file.
static inline int sound(const struct kerasrun_conv* c) {
  const struct kerasrun_form* forms[] = {&c->x, &c->add, &c->y};
  for (int i = 0; i < 3; i++)
    if ((unsigned)forms[i]->order > KERASRUN_PLANES || forms[i]->border < 0 || (forms[i]->border > 0 && forms[i]->order != KERASRUN_PLANES)) return 0;
  return c->stride_h > 0 && c->stride_w > 0 && c->top >= 0 && c->bottom >= 0 && c->left >= 0 && c->right >= 0;
}

static inline void geometry_of(TF_OpKernelConstruction* construction, struct geometry* g, TF_Status* status) {
  int32_t strides[2] = {0}, padding[4] = {0}, forms[6] = {0};
  TF_OpKernelConstruction_GetAttrInt32List(construction, "strides", strides, 2, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrInt32List(construction, "padding", padding, 4, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrInt32List(construction, "forms", forms, 6, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrInt32List(construction, "sizes", g->sizes, 3, status);
  if (TF_GetCode(status) != TF_OK) return;
  g->conv = (struct kerasrun_conv){.stride_h = strides[0], .stride_w = strides[1], .top = padding[0], .bottom = padding[1], .left = padding[2], .right = padding[3],
                                   .x = {forms[0], forms[1]}, .add = {forms[2], forms[3]}, .y = {forms[4], forms[5]}};
  if (!sound(&g->conv)) TF_SetStatus(status, TF_INVALID_ARGUMENT, "want strides of 1 or more, zeros around a picture of 0 or more, and a border in planes alone");
}

// add_geometry declares the attributes.
static inline void add_geometry(TF_OpDefinitionBuilder* op) {
  TF_OpDefinitionBuilderAddAttr(op, "strides: list(int)");
  TF_OpDefinitionBuilderAddAttr(op, "padding: list(int)");
  TF_OpDefinitionBuilderAddAttr(op, "forms: list(int)");  // order and border of the picture, of what is added and of the output
  TF_OpDefinitionBuilderAddAttr(op, "sizes: list(int)");
}

// shape is a tensor's.
struct shape {
  int rank;
  int64_t dims[4];
};

// shape_of has no sizes for a form other than NHWC, but for that of the batch.
static inline struct shape shape_of(struct kerasrun_form f, int64_t n, int64_t h, int64_t w, int64_t channels) {
  if (f.order == KERASRUN_NHWC) return (struct shape){4, {n, h, w, channels}};
  int64_t size = kerasrun_form_size(f, n, h, w, channels);
  return (struct shape){2, {n, n > 0 ? ceiling(size, n) : 0}};
}

static inline int has(const TF_Tensor* t, struct shape s) {
  if (TF_NumDims(t) != s.rank) return 0;
  for (int i = 0; i < s.rank; i++)
    if (TF_Dim(t, i) != s.dims[i]) return 0;
  return 1;
}

// constructed returns an operation, NULL where its construction has failed.
static inline void* constructed(TF_OpKernelConstruction* construction, void* op, TF_Status* status) {
  int failed = TF_GetCode(status) != TF_OK;
  if (failed) {
    TF_OpKernelConstruction_Failure(construction, status);
    free(op);
  }
  TF_DeleteStatus(status);
  return failed ? NULL : op;
}

// pictures are a batch of them.
struct pictures {
  int64_t n, h, w, channels;
};

// pictures_of returns what pictures a tensor has, none where it has another shape.
static inline struct pictures pictures_of(const struct geometry* g, const TF_Tensor* t, TF_Status* status) {
  struct pictures p = {TF_NumDims(t) > 0 ? TF_Dim(t, 0) : 0, g->sizes[0], g->sizes[1], g->sizes[2]};
  if (g->conv.x.order == KERASRUN_NHWC && TF_NumDims(t) == 4) p = (struct pictures){p.n, TF_Dim(t, 1), TF_Dim(t, 2), TF_Dim(t, 3)};
  if (!has(t, shape_of(g->conv.x, p.n, p.h, p.w, p.channels)))
    TF_SetStatus(status, TF_INVALID_ARGUMENT, "want pictures in the form that the operation was made for, got another shape");
  return p;
}

// allocate returns the operation's output.
static inline TF_Tensor* allocate(TF_OpKernelContext* context, struct shape s, TF_Status* status) {
  size_t bytes = sizeof(float);
  for (int i = 0; i < s.rank; i++) bytes *= s.dims[i];
  return TF_AllocateOutput(context, 0, TF_FLOAT, s.dims, s.rank, bytes, status);
}

static inline void shape_not_known(TF_ShapeInferenceContext* context, TF_Status* status) { TF_ShapeInferenceContextSetUnknownShape(context, status); }

// make_known registers an operation that is defined, and what computes it.
static inline void make_known(TF_OpDefinitionBuilder* op, const char* name, void* (*create)(TF_OpKernelConstruction*), void (*compute)(void*, TF_OpKernelContext*),
                              void (*delete)(void*), TF_Status* status) {
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, shape_not_known);
  TF_RegisterOpDefinition(op, status);
  if (TF_GetCode(status) == TF_OK) TF_RegisterKernelBuilder(name, TF_NewKernelBuilder(name, "CPU", create, compute, delete), status);
}

// Defines the operation of max_pool_linux_amd64.c.
void kerasrun_define_max_pool(const char* name, TF_Status* status);
