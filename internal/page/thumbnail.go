package page

import (
	"bytes"
	"encoding/base64"
	"html/template"
	"image"
	"image/jpeg"

	"golang.org/x/image/draw"

	"kerasrun/preprocess"
)

// thumbnailSide is the longer side of a thumbnail in pixels.
const thumbnailSide = 200

// Thumbnail is a small JPEG of the encoded image that read returns, as the address of an image in a
// page, or why there is none.
func Thumbnail(read func() ([]byte, error)) (address template.URL, problem string) {
	data, err := read()
	if err == nil {
		address, err = thumbnail(data)
	}
	if err != nil {
		problem = err.Error()
	}
	return address, problem
}

func thumbnail(data []byte) (template.URL, error) {
	decoded, err := preprocess.Decode{}.Image(data, 0)
	if err != nil {
		return "", err
	}
	large := image.NewNRGBA(image.Rect(0, 0, decoded.Width, decoded.Height))
	for i := range decoded.Width * decoded.Height {
		copy(large.Pix[4*i:], decoded.Pix[3*i:3*i+3])
		large.Pix[4*i+3] = 255
	}
	longer := max(decoded.Width, decoded.Height)
	small := image.NewNRGBA(image.Rect(0, 0,
		max(1, decoded.Width*min(thumbnailSide, longer)/longer),
		max(1, decoded.Height*min(thumbnailSide, longer)/longer)))
	draw.CatmullRom.Scale(small, small.Bounds(), large, large.Bounds(), draw.Src, nil)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, small, &jpeg.Options{Quality: 80}); err != nil {
		return "", err
	}
	address := "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(out.Bytes())
	return template.URL(address), nil
}
