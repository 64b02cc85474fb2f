// The operations, for TensorFlow's C API.

#pragma once

// kerasrun_register_ops registers the operations under these names, computed by so many threads. To
// be called once. Returns what went wrong, which the caller frees, or NULL.
char* kerasrun_register_ops(const char* conv2d, const char* max_pool, const char* region,
                            int threads);
