package jpeg

import "fmt"

// huffSpec is a Huffman table as a file defines it: how many codes there are of each length from 1
// to 16, and the symbols in the order of their codes.
type huffSpec struct {
	defined bool
	counts  [17]uint8
	values  [256]uint8
}

// huffTable is a Huffman table made ready for decoding, ITU-T T.81 annexes C and F.2.2.3.
type huffTable struct {
	// By the next 8 bits: the length of the code they start with in the upper byte, the symbol in
	// the lower. Length 9 stands for a longer code.
	look    [256]uint16
	maxCode [18]int32 // by length: the largest code, -1 for none; the last is a sentinel
	offset  [18]int32 // by length: what to add to a code to get its symbol's index
	values  [256]uint8

	// For AC tables, by the next fastBits bits; see fastEntry.
	fast [1 << fastBits]uint32
}

// fastBits is the number of bits by which huffTable.fast is indexed.
const fastBits = 10

// An entry of huffTable.fast is zero where the bits do not hold a whole code. Else bits 0 to 7 are
// a number of bits to take off. Where the value that belongs to the code is whole, too, and not
// zero, that number covers both, bits 8 to 15 are the run of zeros before it and bits 16 to 31 the
// value. Where it is not, the number covers the code, bits 8 to 15 are the symbol and bits 16 to 31
// zero.
func fastEntry(bits, symbol, value uint32) uint32 { return value<<16 | symbol<<8 | bits }

// buildDC makes the DC table that a component uses in the current scan ready.
func (d *decoder) buildDC(c *component) error {
	if c.dcIndex > 3 {
		return FormatError("a Huffman table numbered above 3")
	}
	return d.dcTables[c.dcIndex].build(&d.dcSpecs[c.dcIndex], dcTable)
}

// buildAC does the same for the AC table.
func (d *decoder) buildAC(c *component) error {
	if c.acIndex > 3 {
		return FormatError("a Huffman table numbered above 3")
	}
	return d.acTables[c.acIndex].build(&d.acSpecs[c.acIndex], acTable)
}

// tableClass says which coefficients a Huffman table codes.
type tableClass uint8

const (
	dcTable tableClass = iota
	acTable
)

func (t *huffTable) build(s *huffSpec, class tableClass) error {
	if !s.defined {
		return FormatError("a Huffman table is missing")
	}
	var sizes [257]uint8
	var codes [257]int32
	n := 0
	for length := 1; length <= 16; length++ {
		for range int(s.counts[length]) {
			sizes[n] = uint8(length)
			n++
		}
	}
	code := int32(0)
	length := sizes[0]
	for p := 0; p < n; {
		for p < n && sizes[p] == length {
			codes[p] = code
			code++
			p++
		}
		if code >= 1<<length {
			return FormatError("a Huffman table has more codes than there can be")
		}
		code <<= 1
		length++
	}
	t.values = s.values
	for i := range t.look {
		t.look[i] = 9 << 8
	}
	clear(t.fast[:])
	p := 0
	for length := 1; length <= 16; length++ {
		if s.counts[length] == 0 {
			t.maxCode[length] = -1
			continue
		}
		t.offset[length] = int32(p) - codes[p]
		for range int(s.counts[length]) {
			if length <= 8 {
				at := codes[p] << (8 - length)
				for i := range int32(1) << (8 - length) {
					t.look[at+i] = uint16(length)<<8 | uint16(s.values[p])
				}
			}
			if class == acTable && length <= fastBits {
				t.fillFast(codes[p], length, uint32(s.values[p]))
			}
			p++
		}
		t.maxCode[length] = codes[p-1]
	}
	t.maxCode[17] = 1<<20 - 1
	if class == dcTable {
		for _, v := range s.values[:n] {
			if v > 15 {
				return FormatError(fmt.Sprintf("a DC difference of %d bits", v))
			}
		}
	}
	return nil
}

func (t *huffTable) fillFast(code int32, length int, symbol uint32) {
	rest := fastBits - length
	at := code << rest
	bits := int(symbol & 15)
	for i := range int32(1) << rest {
		if bits == 0 || bits > rest {
			t.fast[at+i] = fastEntry(uint32(length), symbol, 0)
			continue
		}
		value := extend(i>>(rest-bits), bits)
		t.fast[at+i] = fastEntry(uint32(length+bits), symbol>>4, uint32(uint16(value)))
	}
}

// extend makes a signed number of the lowest n bits of x, those that follow a symbol, 0 < n < 16,
// ITU-T T.81 figure F.12. (The masks tell the compiler that no shift is too far.)
func extend(x int32, n int) int32 {
	x &= 1<<(n&31) - 1
	return x + ((x-1<<((n-1)&31))>>31)&(-1<<(n&31)+1)
}

// standardTables fills in the tables that files may leave out, as frames of Motion JPEG do, ITU-T
// T.81 section K.3.
func (d *decoder) standardTables() {
	for i := range 2 {
		if !d.dcSpecs[i].defined {
			d.dcSpecs[i] = standardDC[i]
		}
		if !d.acSpecs[i].defined {
			d.acSpecs[i] = standardAC[i]
		}
	}
}

func standardSpec(counts, values string) huffSpec {
	s := huffSpec{defined: true}
	copy(s.counts[1:], counts)
	copy(s.values[:], values)
	return s
}

// Luminance, then chrominance.
var (
	standardDC = [2]huffSpec{
		standardSpec("\x00\x01\x05\x01\x01\x01\x01\x01\x01",
			"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b"),
		standardSpec("\x00\x03\x01\x01\x01\x01\x01\x01\x01\x01\x01",
			"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b"),
	}
	standardAC = [2]huffSpec{
		standardSpec("\x00\x02\x01\x03\x03\x02\x04\x03\x05\x05\x04\x04\x00\x00\x01\x7d",
			"\x01\x02\x03\x00\x04\x11\x05\x12\x21\x31\x41\x06\x13\x51\x61\x07"+
				"\x22\x71\x14\x32\x81\x91\xa1\x08\x23\x42\xb1\xc1\x15\x52\xd1\xf0"+
				"\x24\x33\x62\x72\x82\x09\x0a\x16\x17\x18\x19\x1a\x25\x26\x27\x28"+
				"\x29\x2a\x34\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48\x49"+
				"\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68\x69"+
				"\x6a\x73\x74\x75\x76\x77\x78\x79\x7a\x83\x84\x85\x86\x87\x88\x89"+
				"\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5\xa6\xa7"+
				"\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3\xc4\xc5"+
				"\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xe1\xe2"+
				"\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8"+
				"\xf9\xfa"),
		standardSpec("\x00\x02\x01\x02\x04\x04\x03\x04\x07\x05\x04\x04\x00\x01\x02\x77",
			"\x00\x01\x02\x03\x11\x04\x05\x21\x31\x06\x12\x41\x51\x07\x61\x71"+
				"\x13\x22\x32\x81\x08\x14\x42\x91\xa1\xb1\xc1\x09\x23\x33\x52\xf0"+
				"\x15\x62\x72\xd1\x0a\x16\x24\x34\xe1\x25\xf1\x17\x18\x19\x1a\x26"+
				"\x27\x28\x29\x2a\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48"+
				"\x49\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68"+
				"\x69\x6a\x73\x74\x75\x76\x77\x78\x79\x7a\x82\x83\x84\x85\x86\x87"+
				"\x88\x89\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5"+
				"\xa6\xa7\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3"+
				"\xc4\xc5\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda"+
				"\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf2\xf3\xf4\xf5\xf6\xf7\xf8"+
				"\xf9\xfa"),
	}
)
