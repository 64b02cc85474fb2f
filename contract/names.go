package contract

// The names that the exporter gives the outputs of a classifier, each float32 [images, values].
const (
	Probs    = "probs"    // a probability for each class
	Logits   = "logits"   // those before the softmax
	Features = "features" // what is pooled before the last layer
)
