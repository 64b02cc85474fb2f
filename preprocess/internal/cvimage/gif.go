package cvimage

import (
	"errors"
	"fmt"

	"kerasrun/preprocess/internal/codec"
)

var (
	errGIF = errors.New("OpenCV does not read this GIF file: its blocks, a colour or a code are " +
		"not as expected")
	netscape = "NETSCAPE2.0"
)

// gif is the state of a GifDecoder.
type gif struct {
	stream
	width, height int // of the canvas
	background    int
	global, local []byte // tables of colours
	transparent   int    // the index of the transparent colour, -1 without
}

func readGIF(data []byte) (*gif, error) {
	g := &gif{stream: stream{data: data, pos: 6}, transparent: -1}
	g.width, g.height = g.word(), g.word()
	flags := g.byte()
	g.background = g.byte()
	g.skip(1)
	if flags&0x80 != 0 {
		g.global = g.take(3 << (flags&7 + 1))
		if 3*g.background >= len(g.global) {
			return nil, errGIF
		}
	}
	first := g.pos
	if !g.scan() {
		return nil, errGIF
	}
	g.pos = first
	return g, nil
}

func configGIF(data []byte) (codec.Config, error) {
	g, err := readGIF(data)
	if err != nil {
		return codec.Config{}, err
	}
	return codec.Config{Width: g.width, Height: g.height}, nil
}

// decodeGIF is GifDecoder: the first frame on the background colour, where transparent pixels leave
// that as it is. The whole file has to be in order.
func decodeGIF(dst, data []byte, grey bool) (pix []byte, width, height int, err error) {
	g, err := readGIF(data)
	if err != nil {
		return nil, 0, 0, err
	}
	size := 3 * g.width * g.height
	if cap(dst) < size {
		dst = make([]byte, size)
	}
	pix = dst[:size]
	if err := g.frame(pix); err != nil {
		return nil, 0, 0, err
	}
	if grey {
		pix = GreyOfRGB(pix, pix)
	}
	return pix, g.width, g.height, nil
}

// scan walks through all blocks up to the trailer: getFrameCount_. It reports whether they are in
// order.
func (g *gif) scan() bool {
	for {
		switch kind := g.byte(); {
		case g.ended:
			return false
		case kind == 0x3b:
			return true
		case kind == 0x21:
			g.scanExtension(g.byte())
		case kind == 0x2c:
			g.skip(8)
			if flags := g.byte(); flags&0x80 != 0 {
				g.skip(3 << (flags&7 + 1))
			}
			g.skip(1)
			g.skipBlocks()
		default:
			return false
		}
	}
}

func (g *gif) skipBlocks() {
	for n := g.byte(); n != 0; n = g.byte() {
		g.skip(n)
	}
}

// scanExtension passes over an extension as OpenCV does, which reads a block of three bytes short
// in an application's extension that is not Netscape's.
func (g *gif) scanExtension(kind int) {
	if kind != 0xff {
		g.skipBlocks()
		return
	}
	known := false
	for n := g.byte(); n != 0; n = g.byte() {
		switch {
		case n == 11:
			known = string(g.take(n)) == netscape
		case n == 3 && !known:
			g.skip(2)
		default:
			g.skip(n)
		}
	}
}

// extensions reads what comes before the first frame: readExtensions.
func (g *gif) extensions() error {
	for g.byte() == 0x21 {
		if kind := g.byte(); kind == 0xf9 {
			if g.byte() != 4 {
				return errGIF
			}
			flags := g.byte()
			if flags>>2&7 > 3 {
				return errGIF
			}
			g.skip(2)
			g.transparent = -1
			if color := g.byte(); flags&1 != 0 {
				g.transparent = color
			}
		}
		g.skipBlocks()
	}
	g.pos--
	return nil
}

// frame decodes the first frame to RGB: readData.
func (g *gif) frame(pix []byte) error {
	if err := g.extensions(); err != nil {
		return err
	}
	if g.byte() != 0x2c {
		return errGIF
	}
	left, top, width, height := g.word(), g.word(), g.word(), g.word()
	if width == 0 || height == 0 || left+width > g.width || top+height > g.height {
		return fmt.Errorf("the first frame, %d x %d at (%d, %d), is empty or reaches over the "+
			"canvas", width, height, left, top)
	}
	clear(pix)
	if len(g.global) > 0 {
		color := [3]uint8(g.global[3*g.background:])
		for p := pix; len(p) >= 3; p = p[3:] {
			*(*[3]uint8)(p) = color
		}
	}
	flags := g.byte()
	if flags&0x80 != 0 {
		g.local = g.take(3 << (flags&7 + 1))
	}
	indices := make([]uint8, width*height)
	if !g.decompress(indices) || g.ended {
		return errGIF
	}
	var palette [256][3]uint8
	known := 256
	switch tables := max(len(g.local), len(g.global)) / 3; {
	case tables > 0:
		known = tables
		for i := range tables {
			if 3*i < len(g.local) {
				palette[i] = [3]uint8(g.local[3*i:])
			} else {
				palette[i] = [3]uint8(g.global[3*i:])
			}
		}
	default:
		for i := range palette {
			palette[i] = [3]uint8{uint8(i), uint8(i), uint8(i)}
		}
		palette[1] = [3]uint8{255, 255, 255}
	}
	row := func(y int) bool {
		out := pix[3*((top+y)*g.width+left):]
		for i, v := range indices[:width] {
			if int(v) == g.transparent {
				continue
			}
			if int(v) >= known {
				return false
			}
			*(*[3]uint8)(out[3*i:]) = palette[v]
		}
		indices = indices[width:]
		return true
	}
	passes := [][2]int{{0, 1}}
	if flags&0x40 != 0 {
		passes = [][2]int{{0, 8}, {4, 8}, {2, 4}, {1, 2}}
	}
	for _, p := range passes {
		for y := p[0]; y < height; y += p[1] {
			if !row(y) {
				return errGIF
			}
		}
	}
	return nil
}

// decompress reads the indices of a frame and reports whether they fill it: lzwDecode. Each string
// of the table is a part of what was written before: the code that it was added with and the first
// byte of the next.
func (g *gif) decompress(out []uint8) bool {
	const maxCodes = 1 << 12
	var strings [maxCodes + 1]struct{ at, length int }
	smallest := g.byte()
	if smallest < 2 || smallest > 11 {
		return false
	}
	clearCode := 1 << smallest
	bits, last := smallest+1, clearCode+1
	at := 0
	buffer, left := 0, 0
	block := g.byte()
	for block > 0 {
		if left < bits {
			buffer |= g.byte() << left
			block--
			left += 8
		}
		for left >= bits {
			code := buffer & (1<<bits - 1)
			buffer >>= bits
			left -= bits
			if code == clearCode || code == clearCode+1 {
				clear(strings[:])
				bits, last = smallest+1, clearCode+1
				if code == clearCode {
					continue
				}
				break
			}
			if at >= len(out) {
				return block == 0 && g.byte() == 0
			}
			if last < maxCodes {
				if code > last {
					return false
				}
				last++
				length := 1
				if code >= clearCode {
					length = strings[code].length
				}
				strings[last].at, strings[last].length = at, length+1
			}
			if code < clearCode {
				out[at] = uint8(code)
				at++
			} else {
				s := strings[code]
				if at+s.length > len(out) {
					return false
				}
				for i := range s.length { // the last byte may be one that is just written
					out[at+i] = out[s.at+i]
				}
				at += s.length
			}
			if last == 1<<bits && bits < 12 {
				bits++
			}
		}
		if g.ended {
			return false
		}
		if block == 0 {
			block = g.byte()
		}
	}
	return at == len(out)
}
