package classify

import "math"

// softmax returns the softmax of a row of logits: exp(x - max) / sum, in float64 and then rounded.
// Keras's is computed in float32, and differs in the last bits.
func softmax(logits []float32) []float32 {
	largest := math.Inf(-1)
	for _, x := range logits {
		largest = math.Max(largest, float64(x))
	}
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x) - largest)
	}
	row := make([]float32, len(logits))
	for i, x := range logits {
		row[i] = float32(math.Exp(float64(x)-largest) / sum)
	}
	return row
}

// sigmoid returns 1 / (1 + exp(-x)) of each logit, in float64 and then rounded.
func sigmoid(logits []float32) []float32 {
	row := make([]float32, len(logits))
	for i, x := range logits {
		row[i] = float32(1 / (1 + math.Exp(-float64(x))))
	}
	return row
}
