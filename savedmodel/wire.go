package savedmodel

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// of messages in messages: protobuf's own limit, so what is refused here TensorFlow refuses too
	maxDepth = 100
	maxText  = 1 << 20 // bytes of one name or string that is kept
)

// decoder walks a protobuf message in a file from front to back. It keeps only what it is asked
// for. It skips the rest, without reading it where the file can seek. After the first error every
// method does nothing.
type decoder struct {
	work    *work
	r       *bufio.Reader
	seeker  io.Seeker // nil where the file cannot seek
	off     int64     // of the next byte
	end     int64     // where the message being read ends
	depth   int
	typ     protowire.Type // of the field being read
	pending bool           // the field's value has not been read yet
	err     error
}

// newDecoder reads a message of size bytes. Lengths in the message are compared with size, so it
// must be the file's own.
func newDecoder(w *work, r io.Reader, size int64) *decoder {
	d := &decoder{work: w, r: bufio.NewReaderSize(r, int(min(size, 1<<16))), end: size}
	if s, ok := r.(io.Seeker); ok {
		d.seeker = s
	}
	return d
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("byte %d: %w", d.off, fmt.Errorf(format, args...))
	}
}

// keep counts bytes that stay in memory, and fails where they are too many.
func (d *decoder) keep(bytes int64) {
	if err := d.work.keep(bytes); err != nil {
		d.fail("%w", err)
	}
}

// fields calls field for each field up to the end of the message. A value that field does not read
// is stepped over.
func (d *decoder) fields(field func(number protowire.Number)) {
	for d.err == nil && d.off < d.end {
		if !d.work.step() {
			d.fail("%w", d.work.err)
			return
		}
		number := d.tag()
		if d.err != nil {
			return
		}
		if d.typ == protowire.EndGroupType {
			d.fail("a group ends that did not begin")
			return
		}
		d.pending = true
		field(number)
		if d.pending {
			d.skip(number)
		}
	}
}

// message reads the field's value as a message.
func (d *decoder) message(field func(number protowire.Number)) {
	length := d.length()
	if d.err != nil {
		return
	}
	if d.depth == maxDepth {
		d.fail("messages nested more than %d deep", maxDepth)
		return
	}
	outer := d.end
	d.end = d.off + length
	d.depth++
	d.fields(field)
	d.depth--
	d.end = outer
	d.pending = false
}

func (d *decoder) tag() protowire.Number {
	v := d.rawVarint()
	if d.err == nil && v > 1<<32-1 {
		d.fail("a field's tag does not fit 32 bits")
	}
	number, typ := protowire.DecodeTag(v)
	if d.err == nil && number < protowire.MinValidNumber {
		d.fail("expected a field number from 1, got %d", number)
	}
	d.typ = typ
	return number
}

func (d *decoder) rawVarint() uint64 {
	var v uint64
	for shift := 0; d.err == nil; shift += 7 {
		if d.off >= d.end {
			d.fail("a number goes on past the end of its message")
			break
		}
		b, err := d.r.ReadByte()
		if err != nil {
			d.failRead(err)
			break
		}
		d.off++
		if shift == 63 && b > 1 {
			d.fail("a number does not fit 64 bits")
			break
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	return 0
}

func (d *decoder) failRead(err error) {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	d.fail("%w", err)
}

func (d *decoder) want(typ protowire.Type) bool {
	if d.err == nil && d.typ != typ {
		d.fail("expected a field of wire type %d, got %d", typ, d.typ)
	}
	d.pending = false
	return d.err == nil
}

func (d *decoder) varint() uint64 {
	if !d.want(protowire.VarintType) {
		return 0
	}
	return d.rawVarint()
}

// length reads the length of a bytes field; what it returns does not go past the end of the
// message.
func (d *decoder) length() int64 {
	if !d.want(protowire.BytesType) {
		return 0
	}
	n := d.rawVarint()
	if d.err == nil && n > uint64(d.end-d.off) {
		d.fail("a field of %d bytes where its message has %d left", n, d.end-d.off)
		return 0
	}
	return int64(n)
}

// bytes reads the field's value, at most maxText bytes.
func (d *decoder) bytes() []byte {
	n := d.length()
	if n > maxText {
		d.fail("a name or string of %d bytes; at most %d are read", n, maxText)
	}
	return d.rawBytes(n)
}

// rawBytes reads n bytes of a field whose length has been read.
func (d *decoder) rawBytes(n int64) []byte {
	if d.err != nil {
		return nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(d.r, b); err != nil {
		d.failRead(err)
		return nil
	}
	d.off += n
	return b
}

// text reads a string, which must be UTF-8.
func (d *decoder) text() string {
	b := d.bytes()
	d.keep(keptString + int64(len(b)))
	if d.err == nil && !utf8.Valid(b) {
		d.fail("a string is not UTF-8")
	}
	return string(b)
}

// varints calls value for the number, or for each of the packed numbers, in the field.
func (d *decoder) varints(value func(v uint64)) {
	if d.typ != protowire.BytesType {
		value(d.varint())
		return
	}
	end := d.off
	if n := d.length(); d.err == nil {
		end = d.off + n
	}
	outer := d.end
	d.end = end
	for d.err == nil && d.off < end {
		if !d.work.step() {
			d.fail("%w", d.work.err)
			break
		}
		value(d.rawVarint())
	}
	d.end = outer
}

// skip steps over the value of a field whose tag has been read.
func (d *decoder) skip(number protowire.Number) {
	d.pending = false
	switch d.typ {
	case protowire.VarintType:
		d.rawVarint()
	case protowire.Fixed32Type:
		d.discard(4)
	case protowire.Fixed64Type:
		d.discard(8)
	case protowire.BytesType:
		if n := d.length(); d.err == nil {
			d.discard(n)
		}
	case protowire.StartGroupType:
		d.skipGroup(number)
	default:
		d.fail("a field of wire type %d", d.typ)
	}
}

func (d *decoder) skipGroup(number protowire.Number) {
	if d.depth == maxDepth {
		d.fail("messages nested more than %d deep", maxDepth)
		return
	}
	d.depth++
	for d.err == nil {
		if !d.work.step() {
			d.fail("%w", d.work.err)
			break
		}
		inner := d.tag()
		if d.typ == protowire.EndGroupType {
			if inner != number {
				d.fail("group %d ends as group %d", number, inner)
			}
			break
		}
		if d.err == nil {
			d.skip(inner)
		}
	}
	d.depth--
}

func (d *decoder) discard(n int64) {
	if d.err == nil && n > d.end-d.off {
		d.fail("%d bytes wanted where the message has %d left", n, d.end-d.off)
	}
	if d.err != nil {
		return
	}
	if buffered := int64(d.r.Buffered()); n > buffered && d.seeker != nil {
		if _, err := d.seeker.Seek(n-buffered, io.SeekCurrent); err != nil {
			d.failRead(err)
			return
		}
		d.r.Reset(d.seeker.(io.Reader))
	} else if _, err := io.CopyN(io.Discard, d.r, n); err != nil {
		d.failRead(err)
		return
	}
	d.off += n
}

func (d *decoder) fixed32() uint32 {
	if !d.want(protowire.Fixed32Type) {
		return 0
	}
	if d.end-d.off < 4 {
		d.fail("4 bytes wanted where the message has %d left", d.end-d.off)
	}
	b := d.rawBytes(4)
	if d.err != nil {
		return 0
	}
	return binary.LittleEndian.Uint32(b)
}
