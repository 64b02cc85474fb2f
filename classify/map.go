package classify

import (
	"fmt"
	"image"
	"image/color"
	"math"

	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/tensor"
)

// Map is the class of each pixel of a segmented image: the largest of its values, or, where there
// is one value a pixel, class 1 where that is over 0.5 and class 0 elsewhere.
type Map struct {
	Height, Width int
	Classes       []uint16   // height x width, row-major
	Palette       [][3]uint8 // red, green and blue of each class; nil: the model has none
	Labels        labels.Labels
}

// maxMapClasses is how many classes a pixel of a map may have.
const maxMapClasses = math.MaxUint16 + 1

// classMap decides for a class at each pixel: values of height x width x classes.
func classMap(o contract.Output, l labels.Labels, row tensor.Tensor) (*Map, error) {
	shape := row.Shape
	if len(shape) != 3 || shape[2] < 1 || shape[2] > maxMapClasses {
		return nil, &OutputError{o.Name, fmt.Errorf(
			"expected height x width x classes of a map, got %v", shape)}
	}
	values, err := row.ConvertFloat32()
	if err != nil {
		return nil, &OutputError{o.Name, err}
	}
	classes := int(shape[2])
	m := &Map{Height: int(shape[0]), Width: int(shape[1]), Palette: o.Palette, Labels: l,
		Classes: make([]uint16, shape[0]*shape[1])}
	for i := range m.Classes {
		pixel := values[i*classes : (i+1)*classes]
		best := 0
		for c, x := range pixel {
			if x != x {
				return nil, &NaNError{o.Name, i*classes + c}
			}
			if x > pixel[best] {
				best = c
			}
		}
		if classes == 1 && pixel[0] > 0.5 {
			best = 1
		}
		m.Classes[i] = uint16(best)
	}
	return m, nil
}

// Pixels returns how many pixels each class has.
func (m *Map) Pixels() []int {
	var counts []int
	for _, class := range m.Classes {
		for len(counts) <= int(class) {
			counts = append(counts, 0)
		}
		counts[class]++
	}
	return counts
}

// Image returns the map in the colors of its palette: one byte a pixel, its class. A class that the
// palette does not have, and every class where there is none, has the color of the PASCAL VOC
// dataset, in which class 0 is black. The error is that of a map of more than 256 classes.
func (m *Map) Image() (*image.Paletted, error) {
	colors := len(m.Pixels())
	if colors > 256 {
		return nil, fmt.Errorf("expected at most 256 classes of an image with a palette, got %d",
			colors)
	}
	palette := make(color.Palette, max(colors, min(len(m.Palette), 256)))
	for class := range palette {
		c := m.Color(class)
		palette[class] = color.RGBA{c[0], c[1], c[2], 255}
	}
	img := image.NewPaletted(image.Rect(0, 0, m.Width, m.Height), palette)
	for i, class := range m.Classes {
		img.Pix[i] = uint8(class)
	}
	return img, nil
}

// Color returns the red, green and blue of a class, as [Map.Image] has them.
func (m *Map) Color(class int) [3]uint8 {
	if class < len(m.Palette) {
		return m.Palette[class]
	}
	// Each group of three bits of the class is one bit of red, green and blue, the highest first;
	// github.com/DrSleep/tensorflow-deeplab-resnet and VOC's own code have the same loop.
	var c [3]uint8
	for bit := 7; class > 0 && bit >= 0; bit-- {
		for i := range c {
			c[i] |= uint8(class>>i&1) << bit
		}
		class >>= 3
	}
	return c
}
