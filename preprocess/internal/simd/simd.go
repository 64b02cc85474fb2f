// Package simd says which instructions the processor has, for the decoders and resizers that have
// assembly, and has what two of them compute.
package simd

import "golang.org/x/sys/cpu"

// AVX2 selects the assembly versions, which compute the same to the bit. They use BMI2 too, which
// processors with AVX2 have. Tests switch it off to run the Go versions.
var AVX2 = cpu.X86.HasAVX2 && cpu.X86.HasBMI2
