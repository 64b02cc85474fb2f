package contract

// The names in the SavedModels that kerasrun's exporter writes, and Keras's own export.
const (
	ServeTag         = "serve"           // the tag of the graph for serving
	GPUTag           = "gpu"             // beside ServeTag: the graph for a GPU
	DefaultSignature = "serving_default" // called by default, but where a manifest names another

	// The outputs of a classifier, each float32 with one row per image.
	OutputProbabilities = "probs"    // the softmax of the logits: one probability per class
	OutputLogits        = "logits"   // one logit per class
	OutputFeatures      = "features" // what the classifier's last layer takes
)

// GoldensIndex is the file of a golden pack that names its cases, in the directory
// [Manifest.Goldens].
const GoldensIndex = "goldens.json"
