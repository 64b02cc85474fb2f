// The memory of tensors that are fed. Large buffers are kept and used again: the system would take
// each back and map new pages one by one, and a GPU's driver copies faster from memory that it has
// seen before.

#include <stddef.h>
#include <stdint.h>
#include "tensorflow/c/c_api.h"

// Allocates memory for a tensor, NULL where there is none.
void* kerasrun_buffer_alloc(size_t length);

// Frees memory that no tensor has.
void kerasrun_buffer_free(void* data);

// Makes a tensor of the memory, which is freed when TensorFlow frees the tensor. The memory begins
// with so many TF_TString.
TF_Tensor* kerasrun_buffer_tensor(TF_DataType dtype, const int64_t* dims, int rank, void* data,
                                  size_t length, size_t strings);

// Gives free memory back to the system.
void kerasrun_buffer_trim(void);
