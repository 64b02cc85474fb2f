package score

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// keptTexts are the columns of an archive's members, which are texts.
func keptTexts(keep []Keep) (kept []Kept) {
	for _, k := range keep {
		kept = append(kept, Kept{k.As, "string"})
	}
	return kept
}

// sample is the members of a WebDataset with one key: the name up to the first dot of its last
// part. What is not kept has no samples: each image is one.
type sample struct {
	keep    []Keep
	skipped *skippedPart
	yield   func(Item) bool

	key    string
	images []Item // read, for their texts may come after them
	bytes  int64
	texts  map[string]string // by the ending
	fault  error             // of a text
}

var memberName = regexp.MustCompile(`^((?:.*/)?[^./]+)\.([^/]*)$`)

// maxText bounds the text of a member that is kept.
const maxText = 1 << 20

// member begins a sample where the key is another, and takes a member that is kept.
func (s *sample) member(
	name, member string, regular bool, open func() (io.ReadCloser, error),
) (more, taken bool) {
	key, ending := member, ""
	if parts := memberName.FindStringSubmatch(member); parts != nil {
		key, ending = parts[1], strings.ToLower(parts[2])
	}
	if key != s.key && !s.end() {
		return false, false
	}
	s.key = key
	if !regular || !s.keeps(ending) {
		return true, false
	}
	_, double := s.texts[ending]
	text, err := readText(open)
	switch {
	case err != nil:
		s.fault = errors.Join(s.fault, fmt.Errorf("%s: %w", name, err))
	case double:
		s.fault = errors.Join(s.fault, fmt.Errorf("%s: expected one member of this name in the sample, "+
			"got two", name))
	case len(text) > maxText || !utf8.Valid(text):
		s.fault = errors.Join(s.fault, fmt.Errorf("%s: expected a text in UTF-8 of at most %d bytes, "+
			"which can be kept, got another", name, maxText))
	}
	if s.texts == nil {
		s.texts = map[string]string{}
	}
	s.texts[ending] = string(text)
	return true, true
}

// readText reads one byte more than a text may have.
func readText(open func() (io.ReadCloser, error)) ([]byte, error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, maxText+1))
	return text, errors.Join(err, r.Close())
}

func (s *sample) keeps(ending string) bool {
	for _, k := range s.keep {
		if strings.ToLower(k.Column) == ending {
			return true
		}
	}
	return false
}

// add takes an image. It returns false where the caller wants no more.
func (s *sample) add(item Item) bool {
	if len(s.keep) == 0 {
		return s.yield(item)
	}
	if item.failure == nil {
		if s.bytes += item.Size; s.bytes > MaxImageBytes {
			item = failedItem(item.Path, fmt.Errorf("%s: expected the images of one key of at most %d "+
				"bytes together, got %d", item.Path, MaxImageBytes, s.bytes))
		} else {
			data, err := item.Read()
			item.Read = func() ([]byte, error) { return data, err }
		}
	}
	s.images = append(s.images, item)
	return true
}

// end yields the sample's images with its texts, and counts one that has texts and no image. It
// returns false where the caller wants no more.
func (s *sample) end() bool {
	if len(s.images) == 0 && len(s.texts) > 0 {
		s.skipped.add("keys without an image")
	}
	kept := make([]any, len(s.keep))
	for i, k := range s.keep {
		if text, ok := s.texts[strings.ToLower(k.Column)]; ok && s.fault == nil {
			kept[i] = text
		}
	}
	more := true
	for _, item := range s.images {
		if s.fault != nil && item.failure == nil {
			item = failedItem(item.Path, s.fault)
		}
		if item.Kept = kept; more {
			more = s.yield(item)
		}
	}
	*s = sample{keep: s.keep, skipped: s.skipped, yield: s.yield}
	return more
}
