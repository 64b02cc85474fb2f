package serve

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"time"
	"unsafe"

	"kerasrun/tensor"
)

// cache keeps the outputs of requests by what was sent, so that the same image or tensors again are
// answered without a run. It holds so many bytes at most; the answer that was asked for longest ago
// goes first. A nil cache keeps nothing.
type cache struct {
	limit int64

	mu      sync.Mutex
	bytes   int64
	entries map[cacheKey]*list.Element
	used    list.List // of *cacheEntry, the latest first
}

// cacheKey is the hash of the inputs, of one loaded version: one that is loaded again is another.
type cacheKey struct {
	version *version
	sum     [sha256.Size]byte
}

type cacheEntry struct {
	key     cacheKey
	outputs map[string]tensor.Tensor // that nobody changes
	bytes   int64
}

// entryBytes is what an entry takes beside its outputs' elements, and each output and each element
// of texts.
const entryBytes, outputBytes, textBytes = 256, 128, 24

func newCache(limit int64) *cache {
	if limit == 0 {
		return nil
	}
	return &cache{limit: limit, entries: map[cacheKey]*list.Element{}}
}

// keyOf is the key of a request's inputs. It is an error where they are no valid tensors.
func keyOf(v *version, sig *signature, in map[string]tensor.Tensor) (key cacheKey, err error) {
	h := sha256.New()
	number := func(n int64) { h.Write(binary.LittleEndian.AppendUint64(nil, uint64(n))) }
	text := func(b []byte) {
		number(int64(len(b)))
		h.Write(b)
	}
	text([]byte(sig.Key))
	names := make([]string, 0, len(in))
	for name := range in {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t := in[name]
		text([]byte(name))
		number(int64(t.DType))
		number(int64(len(t.Shape)))
		for _, n := range t.Shape {
			number(n)
		}
		if elements, ok := t.Data.([][]byte); ok {
			number(int64(len(elements)))
			var sum [sha256.Size]byte
			for i, element := range elements {
				if i == 0 || !identical(element, elements[i-1]) {
					sum = sha256.Sum256(element)
				}
				h.Write(sum[:])
			}
			continue
		}
		raw, err := t.Bytes()
		if err != nil {
			return key, err
		}
		text(raw)
	}
	return cacheKey{v, [sha256.Size]byte(h.Sum(nil))}, nil
}

// identical says whether two texts are the same memory: one that a message has once may stand for
// millions, which would take minutes to hash each.
func identical(a, b []byte) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}

// get returns the outputs of a request, nil where they are not kept.
func (c *cache) get(key cacheKey) map[string]tensor.Tensor {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok {
		return nil
	}
	c.used.MoveToFront(e)
	return e.Value.(*cacheEntry).outputs
}

// put keeps a copy of the outputs, which may lie in the memory of a whole batch.
func (c *cache) put(key cacheKey, outputs map[string]tensor.Tensor) error {
	entry := &cacheEntry{key: key, outputs: map[string]tensor.Tensor{}, bytes: entryBytes}
	for name, t := range outputs {
		entry.bytes += outputBytes + elementsBytes(t)
		if entry.bytes > c.limit {
			return nil
		}
		var err error
		if entry.outputs[name], err = copyOf(t); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[key]; ok {
		return nil // another request for the same was quicker
	}
	c.entries[key] = c.used.PushFront(entry)
	c.bytes += entry.bytes
	for c.bytes > c.limit {
		c.remove(c.used.Back())
	}
	return nil
}

func (c *cache) remove(e *list.Element) {
	entry := c.used.Remove(e).(*cacheEntry)
	delete(c.entries, entry.key)
	c.bytes -= entry.bytes
}

// forget drops what was kept of a version that is no longer served.
func (c *cache) forget(v *version) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.used.Front(); e != nil; {
		next := e.Next()
		if e.Value.(*cacheEntry).key.version == v {
			c.remove(e)
		}
		e = next
	}
}

// held is how many bytes are kept, and how many answers.
func (c *cache) held() (bytes int64, entries int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes, c.used.Len()
}

func elementsBytes(t tensor.Tensor) int64 {
	if elements, ok := t.Data.([][]byte); ok {
		bytes := int64(0)
		for _, element := range elements {
			bytes += textBytes + int64(len(element))
		}
		return bytes
	}
	n, err := t.Shape.Elements()
	if err != nil {
		return 0 // which copyOf says
	}
	return n * int64(t.DType.Size())
}

func copyOf(t tensor.Tensor) (tensor.Tensor, error) {
	if elements, ok := t.Data.([][]byte); ok {
		copies := make([][]byte, len(elements))
		for i, element := range elements {
			copies[i] = slices.Clone(element)
		}
		return tensor.New(slices.Clone(t.Shape), copies)
	}
	raw, err := t.Bytes()
	if err != nil {
		return t, err
	}
	return tensor.FromBytes(t.DType, slices.Clone(t.Shape), slices.Clone(raw))
}

// runCached is runSpanned, or what it answered to the same inputs before.
func (s *Server) runCached(ctx context.Context, v *version, sig *signature,
	in map[string]tensor.Tensor) (map[string]tensor.Tensor, timing, error) {
	if s.cache == nil {
		return s.runSpanned(ctx, v, sig, in)
	}
	start := time.Now()
	key, err := keyOf(v, sig, in)
	if err != nil { // which the run says better
		return s.runSpanned(ctx, v, sig, in)
	}
	if out := s.cache.get(key); out != nil {
		s.metrics.cached(v, "hit")
		return out, timing{Hit: time.Since(start)}, nil
	}
	s.metrics.cached(v, "miss")
	looked := time.Since(start)
	out, took, err := s.runSpanned(ctx, v, sig, in)
	if err != nil {
		return out, took, err
	}
	start = time.Now()
	if err := s.cache.put(key, out); err != nil {
		return nil, took, err
	}
	took.Miss = looked + time.Since(start)
	return out, took, nil
}
