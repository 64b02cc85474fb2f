package score

import (
	"bufio"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"kerasrun/internal/tfrecord"
	"kerasrun/object"
)

// tfRecordName also takes the shards of TensorFlow Datasets,
// imagenet2012-train.tfrecord-00000-of-01024, and what was gzipped.
var tfRecordName = regexp.MustCompile(`\.tfrecords?(-\d+-of-\d+)?(\.gz|\.gzip|\.zlib)?$`)

// isTFRecord tells by its name whether a file has TFRecords; of a shard without an ending by its
// first bytes.
func isTFRecord(path string) bool {
	name := object.Base(path)
	if tfRecordName.MatchString(strings.ToLower(name)) {
		return true
	}
	if parts := shardName.FindStringSubmatch(name); parts == nil || parts[4] != "" {
		return false
	}
	file, _, err := openRegular(path)
	if err != nil {
		return false
	}
	defer file.Close()
	in, err := uncompressed(file)
	if err != nil {
		return false
	}
	head := make([]byte, 12)
	_, err = io.ReadFull(in, head)
	return err == nil && tfrecord.Begins(head)
}

// uncompressed reads a TFRecord file as TensorFlow's writer got it: as it is, or of GZIP or ZLIB.
func uncompressed(file object.File) (io.Reader, error) {
	in := bufio.NewReaderSize(file, 1<<20)
	head, _ := in.Peek(12)
	switch {
	case tfrecord.Begins(head) || len(head) < 2:
		return in, nil
	case head[0] == 0x1f && head[1] == 0x8b:
		return gzip.NewReader(in)
	case head[0] == 0x78 && (int(head[0])<<8+int(head[1]))%31 == 0: // RFC 1950
		z, err := zlib.NewReader(in)
		return &zlibStream{in, z}, err
	}
	return in, nil // whose first record says what is wrong
}

// zlibStream is a zlib stream that ends its file.
type zlibStream struct {
	in *bufio.Reader
	z  io.Reader
}

func (s *zlibStream) Read(p []byte) (int, error) {
	n, err := s.z.Read(p)
	if err == io.EOF {
		if _, more := s.in.Peek(1); more != io.EOF {
			err = errors.New("expected the end of the file behind its zlib stream, got more")
		}
	}
	return n, err
}

// tfRecords lists the images of a TFRecord file of tf.train.Example: the bytes of the feature,
// where that is "" of image/encoded, named by image/filename, or, as TensorFlow Datasets has them,
// of image, named by file_name. An image without a name is named by its number. It keeps the
// features that keep names.
func tfRecords(path, feature string, keep []Keep) (Source, []Kept, error) {
	kept, err := keptFeatures(path, keep)
	if err != nil {
		return nil, nil, err
	}
	return func(yield func(Item) bool) {
		file, _, err := openRegular(path)
		if err != nil {
			yield(failedItem(path, err))
			return
		}
		defer file.Close()
		in, err := uncompressed(file)
		if err != nil {
			yield(failedItem(path, fmt.Errorf("%s: %w", path, err)))
			return
		}
		for number := 0; ; number++ {
			record, err := tfrecord.Read(in, MaxImageBytes)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(failedItem(path, fmt.Errorf("%s: record %d: %w", path, number, err)))
				return
			}
			item := exampleItem(path, number, feature, record)
			row, err := keptOf(record, keep, kept)
			if err != nil && item.failure == nil {
				item = failedItem(item.Path, fmt.Errorf("%s: %w", item.Path, err))
			}
			item.Kept = row
			if !yield(item) {
				return
			}
		}
	}, kept, nil
}

func exampleItem(path string, number int, feature string, record []byte) Item {
	name := fmt.Sprintf("%s/%d", path, number)
	features, err := exampleBytes(record)
	if err != nil {
		return failedItem(name, fmt.Errorf("%s: not a tf.train.Example: %w", name, err))
	}
	if file := firstOf(features, "image/filename", "file_name"); len(file.first) > 0 {
		name = path + "/" + string(file.first)
	}
	wanted := []string{"image/encoded", "image"}
	if feature != "" {
		wanted = []string{feature}
	}
	image := firstOf(features, wanted...)
	if image.count > 1 {
		return failedItem(name, fmt.Errorf("%s: expected one image in the feature %s, got %d: write an "+
			"example for each, as TensorFlow's parsing wants it too", name,
			strings.Join(wanted, " or "), image.count))
	}
	if image.count == 0 {
		found := slices.Sorted(maps.Keys(features))
		if len(found) > maxFeatures {
			found = append(found[:maxFeatures], "...")
		}
		return failedItem(name, fmt.Errorf("%s: expected an image's bytes in the feature %s, got the "+
			"features %q: --feature names the image's", name, strings.Join(wanted, " or "), found))
	}
	return streamedItem(name, image.first)
}

// maxFeatures bounds those that an error names.
const maxFeatures = 20

// streamedItem is an image whose bytes are there, and good until the sequence goes on.
func streamedItem(name string, data []byte) Item {
	if err := checkSize(name, int64(len(data))); err != nil {
		return failedItem(name, err)
	}
	return Item{Path: name, Size: int64(len(data)), Streamed: true,
		Read: func() ([]byte, error) { return slices.Clone(data), nil }}
}

// bytesFeature is a feature of bytes: its first value, and how many it has; 0 where it holds
// something else.
type bytesFeature struct {
	first []byte
	count int
}

func firstOf(features map[string]bytesFeature, keys ...string) bytesFeature {
	for _, key := range keys {
		if feature := features[key]; feature.count > 0 {
			return feature
		}
	}
	return bytesFeature{}
}

// exampleBytes returns each feature's bytes:
// Example{Features features = 1},
// Features{map<string, Feature> feature = 1}, Feature{BytesList bytes_list = 1}, BytesList{repeated
// bytes value = 1}.
func exampleBytes(example []byte) (map[string]bytesFeature, error) {
	out := map[string]bytesFeature{}
	err := eachBytes(example, 1, func(features []byte) error {
		return eachBytes(features, 1, func(pair []byte) error {
			var key string
			var value bytesFeature
			err := errors.Join(
				eachBytes(pair, 1, func(k []byte) error { key = string(k); return nil }),
				eachBytes(pair, 2, func(feature []byte) error {
					return eachBytes(feature, 1, func(list []byte) error {
						return eachBytes(list, 1, func(v []byte) error {
							if value.count++; value.count == 1 {
								value.first = v
							}
							return nil
						})
					})
				}))
			out[key] = value
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
