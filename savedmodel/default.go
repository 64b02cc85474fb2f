package savedmodel

// DefaultSignature is the key of the signature that is called where none is named; TensorFlow's name.
const DefaultSignature = "serving_default"
