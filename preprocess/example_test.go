package preprocess_test

import (
	"fmt"
	"log"
	"os"

	"kerasrun/preprocess"
	"kerasrun/tensor"
)

func ExamplePipeline() {
	// keras.utils.load_img(path, target_size=(224, 224)) and preprocess_input(..., mode="caffe")
	p := preprocess.Pipeline{
		Decode: preprocess.Decode{By: preprocess.Pillow, Color: preprocess.BGR},
		Resize: preprocess.Resize{By: preprocess.Pillow, Method: preprocess.Nearest},
		Normalize: preprocess.Normalize{Steps: []preprocess.Step{
			{Op: preprocess.Subtract, Values: []float64{103.939, 116.779, 123.68}},
		}},
		DType: tensor.Float32, Layout: preprocess.NHWC, Width: 224, Height: 224,
	}
	var batch []float32
	for _, path := range []string{"../testdata/photos/cat.jpg", "../testdata/photos/coffee.jpg"} {
		file, err := os.ReadFile(path)
		if err != nil {
			log.Fatal(err)
		}
		image, err := p.Image(file)
		if err != nil {
			log.Fatalf("%s: %v", path, err)
		}
		if batch, err = p.AppendFloat32(batch, image); err != nil {
			log.Fatalf("%s: %v", path, err)
		}
	}
	fmt.Println(len(batch) == 2*224*224*3, batch[:3])
	// Output: true [0.06099701 3.2210007 19.32]
}

func ExampleDecodeConfig() {
	file, err := os.ReadFile("../testdata/photos/cat.jpg")
	if err != nil {
		log.Fatal(err)
	}
	c, err := preprocess.DecodeConfig(file)
	fmt.Println(c.Format, c.Width, c.Height, err)
	_, err = preprocess.DecodeConfig([]byte("\x00\x00\x00\x20ftypavif"))
	fmt.Println(err)
	// Output:
	// JPEG 451 300 <nil>
	// unsupported format: this is AVIF; JPEG, PNG, GIF, BMP, WebP, PNM and TIFF are read
}

func ExamplePipeline_ResizeImage() {
	src := &preprocess.Image{Width: 2, Height: 1, Channels: 3, Pix: []uint8{0, 0, 0, 200, 100, 50}}
	p := preprocess.Pipeline{
		Resize: preprocess.Resize{Method: preprocess.Bilinear},
		DType:  tensor.Float32, Width: 4, Height: 1,
	}
	dst, err := p.ResizeImage(src)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(dst.Pix)
	// Output: [0 0 0 50 25 13 150 75 38 200 100 50]
}
