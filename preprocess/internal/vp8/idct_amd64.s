#include "textflag.h"

#define SIXTEEN16(name, value) \
	DATA name<>+0(SB)/8, $value \
	DATA name<>+8(SB)/8, $value \
	GLOBL name<>(SB), RODATA|NOPTR, $16

SIXTEEN16(k1, 0x4E7B4E7B4E7B4E7B) // 85627 - 65536
SIXTEEN16(k2, 0x8A8C8A8C8A8C8A8C) // 35468 - 65536
SIXTEEN16(four, 0x0004000400040004)

// The one-dimensional transform of four columns, from X0 to X3 to X0 to X3.
#define TRANSFORM \
	VPADDW  X2, X0, X4         \ // a
	VPSUBW  X2, X0, X5         \ // b
	VPMULHW k2<>(SB), X1, X6   \
	VPADDW  X1, X6, X6         \
	VPMULHW k1<>(SB), X3, X7   \
	VPADDW  X3, X7, X7         \
	VPSUBW  X7, X6, X6         \ // c
	VPMULHW k1<>(SB), X1, X7   \
	VPADDW  X1, X7, X7         \
	VPMULHW k2<>(SB), X3, X8   \
	VPADDW  X3, X8, X8         \
	VPADDW  X8, X7, X7         \ // d
	VPADDW  X7, X4, X0         \
	VPADDW  X6, X5, X1         \
	VPSUBW  X6, X5, X2         \
	VPSUBW  X7, X4, X3

#define TRANSPOSE \
	VPUNPCKLWD  X1, X0, X0 \
	VPUNPCKLWD  X3, X2, X2 \
	VPUNPCKHDQ  X2, X0, X3 \
	VPUNPCKLDQ  X2, X0, X0 \
	VPSRLDQ     $8, X0, X1 \
	VMOVDQA     X3, X2     \
	VPSRLDQ     $8, X3, X3

// Adds a row to four samples.
#define ADD(row, at) \
	VMOVD     at, X4       \
	VPMOVZXBW X4, X4       \
	VPSRAW    $3, row, row \
	VPADDW    row, X4, X4  \
	VPACKUSWB X4, X4, X4   \
	VMOVD     X4, at

// func inverseDCT4AVX2(coeff *[16]int16, dst *uint8)
TEXT ·inverseDCT4AVX2(SB), NOSPLIT, $0-16
	MOVQ  coeff+0(FP), SI
	MOVQ  dst+8(FP), DI
	VMOVQ (SI), X0
	VMOVQ 8(SI), X1
	VMOVQ 16(SI), X2
	VMOVQ 24(SI), X3
	TRANSFORM
	TRANSPOSE
	VPADDW four<>(SB), X0, X0
	TRANSFORM
	TRANSPOSE
	ADD(X0, (DI))
	ADD(X1, 32(DI))
	ADD(X2, 64(DI))
	ADD(X3, 96(DI))
	RET
