package cvimage

// GreyOfRGB is cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), and COLOR_BGR2GRAY of the same image as
// BGR: 15 bits of fraction. rgb is uint8, 3 bytes a pixel; the result, a byte each, is in the
// memory of dst if that is enough, which may be that of rgb.
func GreyOfRGB(dst, rgb []uint8) []uint8 {
	n := len(rgb) / 3
	if cap(dst) < n {
		dst = make([]uint8, n)
	}
	dst = dst[:n]
	for i := range dst {
		p := rgb[3*i : 3*i+3]
		dst[i] = uint8((9798*uint32(p[0]) + 19235*uint32(p[1]) + 3735*uint32(p[2]) + 1<<14) >> 15)
	}
	return dst
}

// greyOfBGR is icvCvt_BGR2Gray_8u_C3C1R, which some decoders use: 14 bits of fraction.
func greyOfBGR(b, g, r uint8) uint8 {
	return uint8((1868*uint32(b) + 9617*uint32(g) + 4899*uint32(r) + 1<<13) >> 14)
}
