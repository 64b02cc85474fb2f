// A driver of no GPU, libcuda.so.1 and libnvidia-ml.so.1 in one. The environment says what it
// returns.
#include <stdlib.h>
#include <string.h>

static int number(const char* name, int otherwise) {
  const char* text = getenv(name);
  return text ? atoi(text) : otherwise;
}

int cuInit(unsigned flags) {
  (void)flags;
  return number("FAKE_CUDA_ERROR", 0);
}
int cuDeviceGetCount(int* count) {
  *count = number("FAKE_CUDA_COUNT", 1);
  return 0;
}
int cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return 0;
}
int cuDeviceGetName(char* name, int length, int device) {
  (void)device;
  strncpy(name, "Fake GPU", length);
  return 0;
}
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  *value = attribute == 75 ? 8 : attribute == 76 ? device : 1;  // compute capability 8.0, 8.1, ...
  return 0;
}
int cuDeviceGetPCIBusId(char* id, int length, int device) {
  (void)device;
  strncpy(id, "0000:01:00.0", length);
  return 0;
}
int cuDeviceTotalMem_v2(size_t* bytes, int device) {
  (void)device;
  *bytes = (size_t)1 << 30;
  return 0;
}
int cuDriverGetVersion(int* version) {
  *version = 12090;
  return 0;
}
int cuGetErrorName(int error, const char** name) {
  (void)error;
  *name = "CUDA_ERROR_FAKE";
  return 0;
}
int cuGetErrorString(int error, const char** text) {
  (void)error;
  *text = "a fake error";
  return 0;
}
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char* version, unsigned length) {
  strncpy(version, "575.57.08", length);
  return 0;
}
