// The operation KerasrunConv2D of TensorFlow, by its C API.

// Makes the operation known to TensorFlow, computed by so many threads. Returns what went wrong, which free takes back, or NULL.
char* kerasrun_conv_register(int threads);
