// Package classify goes from image files to predictions over a [Runner], anything that runs
// tensors. It uses no TensorFlow: *runner.Model is a Runner, and so is a batcher, or a test's fake.
//
// A [Classifier] is made once for a model and an output, and is safe for concurrent use:
//
//	c, err := classify.New(model, classify.Options{})
//	rows, err := c.Classify(ctx, 5, jpeg)             // one image or many, of a model of classes
//	answers, err := c.Answer(ctx, 5, jpeg)            // the same, of any model
//	for result, err := range c.Stream(ctx, 5, images) // any number, in order, in bounded memory
//
// An image goes through four steps. It is decoded and resized in parallel with others, within
// [Limits], to the model's size. Where that gives uint8, it waits for its batch in that form, in a
// quarter of the memory of the model's input; a resize that gives floats is never rounded. The
// batch is normalized to the model's type and layout, and run by [Batch.Run], which fills
// [Batch.Rows]. Each row of the output becomes the [Answer] of an image, as the output's kind says.
// An image that cannot be read or decoded has an error of its own, and costs no other image
// anything.
//
// Packages serve and score have their own order of work, so they call the steps themselves:
// [Preprocessor] decodes and normalizes, [Classifier.Batches] hands over batches before and after
// their run, [AnswerOf] reads an output.
package classify
