// Package classify goes from image files to predictions over a [Runner], anything that runs
// tensors. It uses no TensorFlow: *runner.Model is a Runner, and so is a batcher, or a test's fake.
//
// A [Classifier] is made once for a model and an output, and is safe for concurrent use:
//
//	c, err := classify.New(model, classify.Options{})
//	rows, err := c.Classify(ctx, 5, jpeg)             // one image or many
//	for result, err := range c.Stream(ctx, 5, images) // any number, in order, in bounded memory
//
// An image goes through four steps. It is decoded and resized in parallel with others, within
// [Limits], to uint8 RGB of the model's size. In that form it waits for its batch, in a quarter of
// the memory of the model's input. The batch is normalized to float32, height x width x 3 a row,
// and run by [Batch.Run], which fills [Batch.Rows]. Each row of the output, float32 [images,
// classes], becomes the predictions of an image.
// An image that cannot be read or decoded has an error of its own, and costs no other image
// anything.
//
// Packages serve and score have their own order of work, so they call the steps themselves:
// [Preprocessor] decodes and normalizes, [Classifier.Batches] hands over batches before and after
// their run, [Predictions] reads an output.
package classify
