package score

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"

	"kerasrun/internal/tfrecord"
)

// tfRecords lists the images of a TFRecord file of tf.train.Example: the bytes of image/encoded,
// named by image/filename, or, as TensorFlow Datasets has them, of image, named by file_name. An
// image without a name is named by its number.
func tfRecords(path string) Source {
	return func(yield func(Item) bool) {
		file, _, err := openRegular(path)
		if err != nil {
			yield(failedItem(path, err))
			return
		}
		defer file.Close()
		in := bufio.NewReaderSize(file, 1<<20)
		for number := 0; ; number++ {
			record, err := tfrecord.Read(in, MaxImageBytes)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(failedItem(path, fmt.Errorf("%s: record %d: %w", path, number, err)))
				return
			}
			if !yield(exampleItem(path, number, record)) {
				return
			}
		}
	}
}

func exampleItem(path string, number int, record []byte) Item {
	name := fmt.Sprintf("%s/%d", path, number)
	features, err := exampleBytes(record)
	if err != nil {
		return failedItem(name, fmt.Errorf("%s: not a tf.train.Example: %w", name, err))
	}
	if file := firstOf(features, "image/filename", "file_name"); len(file) > 0 {
		name = path + "/" + string(file)
	}
	data := firstOf(features, "image/encoded", "image")
	if data == nil {
		return failedItem(name, fmt.Errorf("%s: the example has neither image/encoded nor image",
			name))
	}
	return streamedItem(name, data)
}

// streamedItem is an image whose bytes are there.
func streamedItem(name string, data []byte) Item {
	if err := checkSize(name, int64(len(data))); err != nil {
		return failedItem(name, err)
	}
	return Item{Path: name, Size: int64(len(data)), Streamed: true,
		Read: func() ([]byte, error) { return data, nil }}
}

func firstOf(features map[string][]byte, keys ...string) []byte {
	for _, key := range keys {
		if value, ok := features[key]; ok {
			return value
		}
	}
	return nil
}

// exampleBytes returns the first bytes value of each feature: Example{Features features = 1},
// Features{map<string, Feature> feature = 1}, Feature{BytesList bytes_list = 1}, BytesList{repeated
// bytes value = 1}.
func exampleBytes(example []byte) (map[string][]byte, error) {
	out := map[string][]byte{}
	err := eachBytes(example, 1, func(features []byte) error {
		return eachBytes(features, 1, func(pair []byte) error {
			var key string
			var value []byte
			err := errors.Join(
				eachBytes(pair, 1, func(k []byte) error { key = string(k); return nil }),
				eachBytes(pair, 2, func(feature []byte) error {
					return eachBytes(feature, 1, func(list []byte) error {
						return eachBytes(list, 1, func(v []byte) error {
							if value == nil {
								value = v
							}
							return nil
						})
					})
				}))
			if value != nil {
				out[key] = value
			}
			return err
		})
	})
	return out, err
}

// eachBytes calls f with each length-delimited field of that number and skips the others.
func eachBytes(message []byte, number protowire.Number, f func([]byte) error) error {
	for len(message) > 0 {
		n, t, size := protowire.ConsumeTag(message)
		if size < 0 {
			return protowire.ParseError(size)
		}
		message = message[size:]
		if n == number && t == protowire.BytesType {
			value, size := protowire.ConsumeBytes(message)
			if size < 0 {
				return protowire.ParseError(size)
			}
			if err := f(value); err != nil {
				return err
			}
			message = message[size:]
			continue
		}
		size = protowire.ConsumeFieldValue(n, t, message)
		if size < 0 {
			return protowire.ParseError(size)
		}
		message = message[size:]
	}
	return nil
}
