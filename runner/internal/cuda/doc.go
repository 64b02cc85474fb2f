// Package cuda asks NVIDIA's driver for its GPUs, and says what keeps TensorFlow from using them.
// It does without TensorFlow, and without CUDA's headers.
package cuda
