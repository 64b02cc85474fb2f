#include "buffer.h"

#include <pthread.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include "tensorflow/c/tf_tstring.h"

// The strictest alignment that TensorFlow has for tensors; of memory less aligned it makes a copy.
#define ALIGNMENT 64
// Smaller buffers are left to the C library.
#define LARGE ((size_t)1 << 20)
#define SPARES 4

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  void* data;
  size_t length;
} spares[SPARES];
static unsigned oldest;  // of the spares: the next to make room

static size_t length_of(void* data) {
#ifdef __GLIBC__
  return malloc_usable_size(data);
#else
  (void)data;
  return 0;
#endif
}

void* kerasrun_buffer_alloc(size_t length) {
  void* data = NULL;
  if (length >= LARGE) {
    pthread_mutex_lock(&lock);
    for (int i = 0; i < SPARES && !data; i++)
      if (spares[i].length >= length && spares[i].length / 2 <= length) {
        data = spares[i].data;
        spares[i].data = NULL;
        spares[i].length = 0;
      }
    pthread_mutex_unlock(&lock);
  }
  if (!data && posix_memalign(&data, ALIGNMENT, length) != 0) return NULL;
  return data;
}

void kerasrun_buffer_free(void* data) {
  size_t length = length_of(data);
  if (length >= LARGE) {
    pthread_mutex_lock(&lock);
    unsigned at = oldest;
    for (unsigned i = 0; i < SPARES; i++)
      if (!spares[i].data) at = i;
    if (at == oldest) oldest = (oldest + 1) % SPARES;
    void* replaced = spares[at].data;
    spares[at].data = data;
    spares[at].length = length;
    pthread_mutex_unlock(&lock);
    data = replaced;
  }
  free(data);
}

static void release(void* data, size_t length, void* strings) {
  (void)length;
  for (size_t i = 0; i < (size_t)strings; i++) TF_StringDealloc((TF_TString*)data + i);
  kerasrun_buffer_free(data);
}

TF_Tensor* kerasrun_buffer_tensor(TF_DataType dtype, const int64_t* dims, int rank, void* data,
                                  size_t length, size_t strings) {
  return TF_NewTensor(dtype, dims, rank, data, length, release, (void*)strings);
}

void kerasrun_buffer_trim(void) {
  pthread_mutex_lock(&lock);
  for (int i = 0; i < SPARES; i++) {
    free(spares[i].data);
    spares[i].data = NULL;
    spares[i].length = 0;
  }
  pthread_mutex_unlock(&lock);
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}
