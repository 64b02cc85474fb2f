// An operation of TensorFlow, by its C API.

// Makes the operation known to TensorFlow by a name, computed by so many threads. To be called once. Returns what went wrong, which free takes back, or NULL.
char* kerasrun_conv_register(const char* name, int threads);
