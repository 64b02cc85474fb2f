// Operations of TensorFlow, by its C API.

// Makes the operations known to TensorFlow by their names, computed by so many threads. To be called once. Returns what went wrong, which free takes back, or
// NULL.
char* kerasrun_conv_register(const char* conv, const char* max_pool, int threads);
