package webp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"kerasrun/preprocess/internal/codec"
	"kerasrun/preprocess/internal/simd"
)

// The lossless format is that of the WebP Lossless Bitstream Specification; where a bitstream is
// damaged, libwebp's decoder (vp8l_dec.c) is followed. A pixel is one word: alpha, red, green, blue
// from the highest byte down.

var errBackwards = errors.New("a copy from before the first pixel or beyond the last")

// losslessDecoder holds the state of one decoding. Its buffers are kept between images.
type losslessDecoder struct {
	bits       losslessBits
	transforms []transform
	groups     []huffmanGroup
	lengths    [literalCodes + lengthCodes + 1<<maxCacheBits]uint8
	unused     huffmanCode
	cache      colorCache
	pix        []uint32
	rows       [2][]uint32
}

var losslessDecoders = sync.Pool{New: func() any { return new(losslessDecoder) }}

// huffmanGroup is the five codes of a part of the image.
type huffmanGroup struct {
	green, red, blue, alpha, distance huffmanCode
	opaque                            bool // alpha is alone, without bits
	alphas                            uint32
	// packed has, by the next rootBits bits, a pixel of which all codes are in them, in the upper
	// half, and the number of their bits in the lower; elsewhere 0. hasPacked: it is not empty.
	packed    [1 << rootBits]uint64
	hasPacked bool
}

// finish prepares what goes beyond the codes.
func (g *huffmanGroup) finish() {
	g.opaque, g.alphas = g.alpha.root[0]&0xFF == 0, g.alpha.root[0]>>16<<24
	g.hasPacked = false
	for i := range g.packed {
		g.packed[i] = 0
		pixel, n := uint32(0), uint32(0)
		for j, c := range [...]*huffmanCode{&g.green, &g.red, &g.blue, &g.alpha} {
			e := c.root[i>>n]
			if n += e & 0xFF; n > rootBits || e>>16 >= literalCodes {
				n = 0
				break
			}
			pixel |= e >> 16 << [...]int{8, 16, 0, 24}[j]
		}
		if n > 0 {
			g.packed[i] = uint64(pixel)<<32 | uint64(n)
			g.hasPacked = true
		}
	}
}

// decodeVP8L decodes a lossless bitstream of a known size to channels bytes a pixel, 3 (RGB) or 4
// (RGBA).
func decodeVP8L(out []byte, stride int, f *frame, channels int) error {
	d := losslessDecoders.Get().(*losslessDecoder)
	defer losslessDecoders.Put(d)
	d.bits.reset(f.data)
	d.bits.read(8)
	width, height := d.bits.read(14)+1, d.bits.read(14)+1
	d.bits.read(1 + 3)
	if width != f.width || height != f.height {
		return errSize
	}
	return d.decode(width, height, func(y int, row []uint32) {
		if channels == 3 {
			putRGB(out[y*stride:][:3*width], row)
		} else {
			putRGBA(out[y*stride:][:4*width], row)
		}
	})
}

// decode decodes an image of width x height pixels from its transforms on, and puts its rows.
func (d *losslessDecoder) decode(width, height int, put func(y int, row []uint32)) error {
	coded, err := d.readTransforms(width, height)
	if err != nil {
		return err
	}
	if d.pix, err = d.readImage(d.pix, coded, height, true); err != nil {
		return err
	}
	for i := range d.rows {
		d.rows[i] = slices.Grow(d.rows[i][:0], width+1)[:width+1]
	}
	for y := range height {
		row := d.pix[y*coded : (y+1)*coded]
		for i := range slices.Backward(d.transforms) {
			row = d.inverse(&d.transforms[i], row, y)
		}
		put(y, row)
	}
	return nil
}

func putRGB(out []byte, row []uint32) {
	out = out[:3*len(row)]
	if n := (len(row) - 2) &^ 3; simd.AVX2 && n > 0 {
		putRGBAVX2(&out[0], &row[0], n)
		row, out = row[n:], out[3*n:]
	}
	for len(out) > 3 {
		p := row[0]
		binary.LittleEndian.PutUint32(out, p>>16&0xFF|p&0xFF00|p<<16)
		row, out = row[1:], out[3:]
	}
	out[0], out[1], out[2] = byte(row[0]>>16), byte(row[0]>>8), byte(row[0])
}

func putRGBA(out []byte, row []uint32) {
	for _, p := range row {
		binary.LittleEndian.PutUint32(out, p&0xFF00FF00|p>>16&0xFF|p&0xFF<<16)
		out = out[4:]
	}
}

// readImage reads an image of width x height pixels. Only the main one, the topmost, may have
// several groups of Huffman codes.
func (d *losslessDecoder) readImage(pix []uint32, width, height int, main bool) ([]uint32, error) {
	r := &d.bits
	cacheBits := 0
	if r.read(1) != 0 {
		if cacheBits = r.read(4); cacheBits < 1 || cacheBits > maxCacheBits {
			return nil, fmt.Errorf("a colour cache of %d bits", cacheBits)
		}
	}
	parts, err := d.readGroups(width, height, cacheBits, main)
	if err != nil {
		return nil, err
	}
	n := width * height
	pix = slices.Grow(pix[:0], n)[:n]
	if err := d.readPixels(pix, width, cacheBits, parts); err != nil {
		return nil, err
	}
	if r.over() {
		return nil, errTruncated
	}
	return pix, nil
}

// partition says which group of Huffman codes each part of the image has. A part is a square of
// 1<<bits pixels each way. Without groups all of the image is one part.
type partition struct {
	bits   int
	wide   int
	groups []uint32
}

// maxGroups is as many groups as libwebp writes. It reads more.
const maxGroups = 2600

// readGroups reads the Huffman codes to d.groups.
func (d *losslessDecoder) readGroups(width, height, cacheBits int, main bool) (partition, error) {
	r := &d.bits
	var parts partition
	count, kept := 1, 1
	var places []int // where a group is kept, -1 for nowhere; nil: each in its own place
	if main && r.read(1) != 0 {
		parts.bits = 2 + r.read(3)
		parts.wide = tiles(width, parts.bits)
		var err error
		parts.groups, err = d.readImage(nil, parts.wide, tiles(height, parts.bits), false)
		if err != nil {
			return parts, err
		}
		for i, p := range parts.groups {
			parts.groups[i] = p >> 8 & 0xFFFF
			count = max(count, int(parts.groups[i])+1)
		}
		if count > maxGroups {
			return parts, codec.UnsupportedError(fmt.Sprintf(
				"expected at most %d groups of Huffman codes, got %d", maxGroups, count))
		}
		if kept = count; count > len(parts.groups) {
			// Some are not used.
			places, kept = slices.Repeat([]int{-1}, count), 0
			for i, g := range parts.groups {
				if places[g] < 0 {
					places[g] = kept
					kept++
				}
				parts.groups[i] = uint32(places[g])
			}
		}
	}
	if r.over() {
		return parts, errTruncated
	}
	d.groups = slices.Grow(d.groups[:0], kept)[:kept]
	green := literalCodes + lengthCodes
	if cacheBits > 0 {
		green += 1 << cacheBits
	}
	for i := range count {
		at := i
		if places != nil {
			at = places[i]
		}
		var codes [5]*huffmanCode
		if at >= 0 {
			g := &d.groups[at]
			codes = [...]*huffmanCode{&g.green, &g.red, &g.blue, &g.alpha, &g.distance}
		}
		for j, size := range [...]int{green, literalCodes, literalCodes, literalCodes,
			distanceCodes} {
			if err := d.readCode(codes[j], size); err != nil {
				return parts, err
			}
		}
		if at >= 0 {
			d.groups[at].finish()
		}
	}
	return parts, nil
}

// tiles returns how many squares of 1<<bits pixels each way cover n pixels.
func tiles(n, bits int) int { return (n + 1<<bits - 1) >> bits }

// colorCache holds the latest of the colours that share a hash.
type colorCache struct {
	colors [1 << maxCacheBits]uint32
	bits   int
}

func (c *colorCache) add(pixels []uint32) {
	if c.bits == 0 {
		return
	}
	shift := 32 - c.bits
	for _, p := range pixels {
		c.colors[p*hashFactor>>shift&(1<<maxCacheBits-1)] = p
	}
}

const hashFactor = 0x1E35A7BD

// readPixels decodes the pixels of an image.
func (d *losslessDecoder) readPixels(pix []uint32, width, cacheBits int, parts partition) error {
	d.cache = colorCache{bits: cacheBits}
	r := &d.bits
	x, y := 0, 0
	for p := 0; p < len(pix); {
		g, end := &d.groups[0], p+width-x
		if parts.groups != nil {
			g = &d.groups[parts.groups[y>>parts.bits*parts.wide+x>>parts.bits]]
			end = min(end, p+1<<parts.bits-x&(1<<parts.bits-1))
		}
		n, symbol := r.pixels(g, pix[p:end], &d.cache)
		p += n
		if x += n; x == width {
			x, y = 0, y+1
		}
		if 8*r.pos > r.end+63 {
			return errTruncated
		}
		if symbol == 0 {
			continue
		}
		n = r.length(symbol - literalCodes)
		r.refill()
		dist := distance(width, r.length(g.distance.symbol(r)))
		if dist > p || n > len(pix)-p {
			return errBackwards
		}
		to := pix[p : p+n]
		if dist >= n {
			copy(to, pix[p-dist:])
		} else {
			// It repeats what it writes.
			for i := p; i < p+n; i++ {
				pix[i] = pix[i-dist]
			}
		}
		d.cache.add(to)
		p += n
		for x += n; x >= width; x -= width {
			y++
		}
	}
	return nil
}

// pixels decodes pixels until pix is full, a copy comes, or the end of the bitstream is passed. It
// returns their number and the symbol of a copy's length, else 0.
func (r *losslessBits) pixels(g *huffmanGroup, pix []uint32, cache *colorCache) (count, copy int) {
	data, pos, bits, n := r.data, r.pos, r.bits, r.n
	last := len(data) - 16
	green, red, blue, alphas := &g.green, &g.red, &g.blue, g.alphas
	opaque, packed, cacheBits := g.opaque, g.hasPacked, cache.bits
	i := 0
	for ; i < len(pix); i++ {
		if pos > last {
			break
		}
		if n < 45 {
			bits |= binary.LittleEndian.Uint64(data[pos:]) << (n & 63)
			pos += (63 - n) >> 3
			n |= 56
		}
		var p uint32
		if packed {
			if e := g.packed[uint8(bits)]; e != 0 {
				bits >>= e & 63
				n -= int(e & 63)
				p = uint32(e >> 32)
				goto put
			}
		}
		{
			a := green.root[uint8(bits)]
			if a&longCode != 0 {
				a = green.longEntry(a, bits)
			}
			bits >>= a & 63
			n -= int(a & 63)
			if a >= literalCodes<<16 {
				a >>= 16
				if a < literalCodes+lengthCodes {
					copy = int(a)
					break
				}
				p = cache.colors[(a-literalCodes-lengthCodes)&(1<<maxCacheBits-1)]
				goto put
			}
			b := red.root[uint8(bits)]
			if b&longCode != 0 {
				b = red.longEntry(b, bits)
			}
			bits >>= b & 63
			c := blue.root[uint8(bits)]
			if c&longCode != 0 {
				c = blue.longEntry(c, bits)
			}
			bits >>= c & 63
			n -= int(b&63 + c&63)
			if !opaque {
				bits |= binary.LittleEndian.Uint64(data[pos:]) << (n & 63)
				pos += (63 - n) >> 3
				n |= 56
				e := g.alpha.root[uint8(bits)]
				if e&longCode != 0 {
					e = g.alpha.longEntry(e, bits)
				}
				bits >>= e & 63
				n -= int(e & 63)
				alphas = e >> 16 << 24
			}
			p = alphas | b&0xFF0000 | a>>16<<8 | c>>16
		}
	put:
		pix[i] = p
		if cacheBits > 0 {
			cache.colors[p*hashFactor>>(32-cacheBits)&(1<<maxCacheBits-1)] = p
		}
	}
	r.pos, r.bits, r.n = pos, bits, n
	return i, copy
}

// length reads the bits that follow the symbol of a length or distance.
func (r *losslessBits) length(symbol int) int {
	if symbol < 4 {
		return symbol + 1
	}
	extra := (symbol - 2) >> 1
	return (2+symbol&1)<<extra + r.read(extra) + 1
}

// near are the distances with the lowest codes: the row above in the upper half, 8 less the column
// in the lower.
var near = [120]uint8{
	0x18, 0x07, 0x17, 0x19, 0x28, 0x06, 0x27, 0x29, 0x16, 0x1a, 0x26, 0x2a,
	0x38, 0x05, 0x37, 0x39, 0x15, 0x1b, 0x36, 0x3a, 0x25, 0x2b, 0x48, 0x04,
	0x47, 0x49, 0x14, 0x1c, 0x35, 0x3b, 0x46, 0x4a, 0x24, 0x2c, 0x58, 0x45,
	0x4b, 0x34, 0x3c, 0x03, 0x57, 0x59, 0x13, 0x1d, 0x56, 0x5a, 0x23, 0x2d,
	0x44, 0x4c, 0x55, 0x5b, 0x33, 0x3d, 0x68, 0x02, 0x67, 0x69, 0x12, 0x1e,
	0x66, 0x6a, 0x22, 0x2e, 0x54, 0x5c, 0x43, 0x4d, 0x65, 0x6b, 0x32, 0x3e,
	0x78, 0x01, 0x77, 0x79, 0x53, 0x5d, 0x11, 0x1f, 0x64, 0x6c, 0x42, 0x4e,
	0x76, 0x7a, 0x21, 0x2f, 0x75, 0x7b, 0x31, 0x3f, 0x63, 0x6d, 0x52, 0x5e,
	0x00, 0x74, 0x7c, 0x41, 0x4f, 0x10, 0x20, 0x62, 0x6e, 0x30, 0x73, 0x7d,
	0x51, 0x5f, 0x40, 0x72, 0x7e, 0x61, 0x6f, 0x50, 0x71, 0x7f, 0x60, 0x70,
}

// distance returns how many pixels back a distance's code stands for.
func distance(width, code int) int {
	if code > len(near) {
		return code - len(near)
	}
	e := int(near[code-1])
	return max(1, e>>4*width+8-e&15)
}
