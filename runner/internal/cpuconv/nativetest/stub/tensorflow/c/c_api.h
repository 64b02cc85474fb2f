// What runner's buffers need of TensorFlow's C API, so that they are tested without TensorFlow.

#pragma once

#include <stddef.h>
#include <stdint.h>

typedef enum TF_DataType { TF_FLOAT = 1, TF_STRING = 7 } TF_DataType;
typedef struct TF_Tensor TF_Tensor;

TF_Tensor* TF_NewTensor(TF_DataType type, const int64_t* dims, int rank, void* data, size_t length,
                        void (*deallocate)(void* data, size_t length, void* arg), void* arg);
