// The memory of tensors that are fed, from several threads: no two have the same at once. With an
// argument, a control: a byte too many is written.

#include "buffer.h"

#include <pthread.h>
#include <string.h>

#include "pages.h"
#include "tensorflow/c/tf_tstring.h"
#include "test.h"

enum { THREADS = 4, ROUNDS = 60 };

struct TF_Tensor {
  void (*deallocate)(void* data, size_t length, void* arg);
  void *data, *arg;
  size_t length;
};

TF_Tensor* TF_NewTensor(TF_DataType type, const int64_t* dims, int rank, void* data, size_t length,
                        void (*deallocate)(void* data, size_t length, void* arg), void* arg) {
  (void)type, (void)dims, (void)rank;
  TF_Tensor* tensor = malloc(sizeof *tensor);
  CHECK(tensor, "out of memory");
  *tensor = (TF_Tensor){deallocate, data, arg, length};
  return tensor;
}

void TF_StringDealloc(TF_TString* string) { string->words[0] = 0; }

static void* caller(void* argument) {
  uint64_t random = (uint64_t)(uintptr_t)argument;
  for (int n = 0; n < ROUNDS; n++) {
    // Small, and around the size above which memory is used again.
    size_t length = random_int(&random, 0, 1) ? random_int(&random, 1, 5000)
                                              : random_int(&random, 900000, 3000000);
    unsigned char* data = kerasrun_buffer_alloc(length);
    CHECK(data && (uintptr_t)data % 64 == 0, "no memory, or not at a multiple of 64");
    memset(data, n, length);
    if (random_int(&random, 0, 9) == 0) kerasrun_buffer_trim();
    for (size_t i = 0; i < length; i += 997) CHECK(data[i] == n, "byte %zu is somebody else's", i);
    if (random_int(&random, 0, 1)) {
      kerasrun_buffer_free(data);
      continue;
    }
    size_t strings = random_int(&random, 0, length / sizeof(TF_TString));
    TF_Tensor* tensor =
        kerasrun_buffer_tensor(strings ? TF_STRING : TF_FLOAT, NULL, 0, data, length, strings);
    tensor->deallocate(tensor->data, tensor->length, tensor->arg);
    free(tensor);
  }
  return NULL;
}

int main(int argc, char** argv) {
  (void)argv;
  if (argc > 1) {
    unsigned char* data = kerasrun_buffer_alloc(100);
    data[100] = 1;
    kerasrun_buffer_free(data);
    return 0;
  }
  pthread_t threads[THREADS];
  for (intptr_t i = 0; i < THREADS; i++)
    CHECK(!pthread_create(&threads[i], NULL, caller, (void*)(i + 1)), "no thread");
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  kerasrun_buffer_trim();
  kerasrun_drop_pages();
  printf("buffers: %d taken by %d threads\n", THREADS * ROUNDS, THREADS);
  return 0;
}
