package tfimage

import (
	"fmt"
	"math"
)

// A kernel is one of sampling_kernels.h: weight is for distances of 0 and more.
type kernel struct {
	radius float32
	weight func(x float32) float32
}

func kernelOf(m Method) (kernel, error) {
	switch m {
	case Bilinear:
		return kernel{1, triangle}, nil
	case Bicubic:
		return kernel{2, keysCubic}, nil
	case Lanczos3:
		return kernel{3, func(x float32) float32 { return lanczos(x, 3) }}, nil
	case Lanczos5:
		return kernel{5, func(x float32) float32 { return lanczos(x, 5) }}, nil
	case Gaussian:
		return kernel{1.5, gaussian}, nil
	case MitchellCubic:
		return kernel{2, mitchellCubic}, nil
	}
	return kernel{}, fmt.Errorf("tfimage: unknown method %d", m)
}

func triangle(x float32) float32 {
	if x < 1 {
		return 1 - x
	}
	return 0
}

func keysCubic(x float32) float32 {
	switch {
	case x >= 2:
		return 0
	case x >= 1:
		return float32((float32((float32(-0.5*x)+2.5)*x)-4)*x) + 2
	}
	return float32(float32((float32(1.5*x)-2.5)*x)*x) + 1
}

func mitchellCubic(x float32) float32 {
	const (
		a1, a3 = float32(-7.0 / 18), float32(10.0 / 3)
		a4     = float32(16.0 / 9)
		b1, b4 = float32(7.0 / 6), float32(8.0 / 9)
	)
	switch {
	case x >= 2:
		return 0
	case x >= 1:
		return float32((float32((float32(a1*x)+2)*x)-a3)*x) + a4
	}
	return float32(float32((float32(b1*x)-2)*x)*x) + b4
}

// gaussian has a standard deviation of half a pixel.
func gaussian(x float32) float32 {
	if x >= 1.5 {
		return 0
	}
	return float32(math.Exp(float64(float32(-x*x)) / 0.5))
}

func lanczos(x, radius float32) float32 {
	const pi = float32(3.14159265359)
	switch {
	case x > radius:
		return 0
	case x <= 1e-3: // which float32 cannot hold exactly: the comparison is in float64
		return 1
	}
	px := float32(pi * x)
	return float32(float32(radius*sin(px))*sin(px/radius)) / float32(float32(float32(pi*pi)*x)*x)
}

// sin is sinf of glibc 2.28 and later, from 0 to 16: the argument is reduced by multiples of a half
// pi, and a polynomial makes of the rest the sine or the cosine, all in float64. One value in 90 is
// not the nearest float32, so that a better sine would be another one. The coefficients are those
// of Arm's optimized routines (sincosf.h), the fused operations those of glibc's variant for
// processors that have them.
func sin(y float32) float32 {
	const (
		perHalfPi = 0x1.45F306DC9C883p+23
		halfPi    = 0x1.921FB54442D18p0
	)
	x := float64(y)
	if y < 0x1.921FB6p-1 {
		if y < 0x1p-12 {
			return y
		}
		return sinPoly(x)
	}
	r := float64(x * perHalfPi)
	n := (int32(r) + 0x800000) >> 24
	x = math.FMA(float64(-n), halfPi, x)
	v := float32(0)
	if n&1 == 0 {
		v = sinPoly(x)
	} else {
		v = cosPoly(x)
	}
	if n&2 != 0 {
		v = -v
	}
	return v
}

func sinPoly(x float64) float32 {
	x2 := float64(x * x)
	x3 := float64(x * x2)
	s1 := math.FMA(x2, -0x1.994eb3774cf24p-13, 0x1.1107605230bc4p-7)
	x7 := float64(x3 * x2)
	return float32(math.FMA(x7, s1, math.FMA(x3, -0x1.555545995a603p-3, x)))
}

func cosPoly(x float64) float32 {
	x2 := float64(x * x)
	x4 := float64(x2 * x2)
	c2 := math.FMA(x2, 0x1.99343027bf8c3p-16, -0x1.6c087e89a359dp-10)
	c1 := math.FMA(x2, -0x1.ffffffd0c621cp-2, 1)
	x6 := float64(x4 * x2)
	return float32(math.FMA(x6, c2, math.FMA(x4, 0x1.55553e1068f19p-5, c1)))
}
