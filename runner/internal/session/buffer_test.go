package session

import (
	"testing"
	"unsafe"
)

// TestBuffers holds that large memory is used again, that it fits, and that it is aligned as
// TensorFlow wants it.
func TestBuffers(t *testing.T) {
	Trim()
	take := func(length int64) Buffer {
		b, err := NewBuffer(length)
		if err != nil {
			t.Fatal(err)
		}
		if uintptr(b.data)%64 != 0 {
			t.Errorf("memory of %d bytes at %p", length, b.data)
		}
		bytes := unsafe.Slice((*byte)(b.data), length)
		for i := range bytes {
			bytes[i] = 1
		}
		return b
	}
	const large = 19 << 20
	first := take(large)
	second := take(large)
	if first.data == second.data {
		t.Fatal("two buffers at a time in the same memory")
	}
	first.Free()
	if again := take(large - 4096); again.data != first.data {
		t.Error("a little less does not take the same memory")
	}
	second.Free()
	for _, length := range []int64{large * 2, large / 3} {
		if other := take(length); other.data == second.data {
			t.Errorf("%d bytes took memory of %d", length, large)
		}
	}
	// A tensor frees its memory when TensorFlow frees it.
	b := take(large)
	if b.data != second.data {
		t.Error("the memory is not there any more")
	}
	f := b.Tensor(1, []int64{large / 4}, large)
	f.Delete()
	if again := take(large); again.data != b.data {
		t.Error("the memory of a tensor is not used again")
	}
	// Those that nobody wants make room.
	var kept []Buffer
	for range 6 {
		kept = append(kept, take(2<<20))
	}
	for _, b := range kept {
		b.Free()
	}
	reused := 0
	for range kept {
		b := take(2 << 20)
		for _, k := range kept {
			if b.data == k.data {
				reused++
			}
		}
	}
	if reused < 4 {
		t.Errorf("%d of 6 used again, want 4", reused)
	}
	Trim()
}
