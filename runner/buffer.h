// The memory of tensors that are fed. Large pieces are used again and again: the system would take each back and give new ones page by
// page, and a GPU's driver copies faster from memory that it has seen.

#include <stddef.h>
#include <stdint.h>
#include "tensorflow/c/c_api.h"

// Memory for a tensor, NULL where there is none.
void* kerasrun_take(size_t length);

// Takes memory back that no tensor has.
void kerasrun_give_back(void* data);

// Makes a tensor of the memory, which is taken back when TensorFlow lets go of it. strings is how many TF_TString it begins with.
TF_Tensor* kerasrun_tensor(TF_DataType dtype, const int64_t* dims, int rank, void* data, size_t length, size_t strings);

// Gives free memory back to the system.
void kerasrun_trim(void);
