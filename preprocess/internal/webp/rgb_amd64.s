#include "textflag.h"

#define EIGHT16(name, value) \
	DATA name<>+0(SB)/8, $value \
	DATA name<>+8(SB)/8, $value \
	GLOBL name<>(SB), RODATA|NOPTR, $16

// The numbers of rgb.go.
EIGHT16(luma, 0x4A854A854A854A85)       // 19077
EIGHT16(redOfV, 0x6625662566256625)     // 26149
EIGHT16(redLess, 0x379A379A379A379A)    // 14234
EIGHT16(greenOfU, 0x1913191319131913)   // 6419
EIGHT16(greenOfV, 0x3408340834083408)   // 13320
EIGHT16(greenMore, 0x2204220422042204)  // 8708
EIGHT16(blueOfU, 0x811A811A811A811A)    // 33050
EIGHT16(blueLess, 0x4515451545154515)   // 17685
EIGHT16(eights, 0x0008000800080008)

DATA threeOfFour<>+0(SB)/8, $0x0908060504020100
DATA threeOfFour<>+8(SB)/8, $0x808080800E0D0C0A
GLOBL threeOfFour<>(SB), RODATA|NOPTR, $16

// The samples, times 256, of eight pairs of pixels from the sums at mem and
// beside them.
#define WIDEN(mem, before, after, low, high) \
	VMOVDQU    mem, X0              \
	VPADDW     X0, X0, X1           \
	VPADDW     X0, X1, X1           \
	VPADDW     eights<>(SB), X1, X1 \
	VPADDW     before, X1, X2       \
	VPADDW     after, X1, X3        \
	VPSRLW     $4, X2, X2           \
	VPSRLW     $4, X3, X3           \
	VPSLLW     $8, X2, X2           \
	VPSLLW     $8, X3, X3           \
	VPUNPCKLWD X3, X2, low          \
	VPUNPCKHWD X3, X2, high

// Writes eight pixels of the lumas in X0 and the samples u and v, all times 256.
// The last store writes 4 bytes more.
#define PIXELS(u, v, at) \
	VPMULHUW  luma<>(SB), X0, X0        \
	VPMULHUW  redOfV<>(SB), v, X1       \
	VPSUBW    redLess<>(SB), X0, X2     \
	VPADDW    X2, X1, X1                \
	VPSRAW    $6, X1, X1                \ // red
	VPMULHUW  greenOfU<>(SB), u, X2     \
	VPMULHUW  greenOfV<>(SB), v, X3     \
	VPADDW    X3, X2, X2                \
	VPADDW    greenMore<>(SB), X0, X3   \
	VPSUBW    X2, X3, X2                \
	VPSRAW    $6, X2, X2                \ // green
	VPMULHUW  blueOfU<>(SB), u, X3      \
	VPADDUSW  X0, X3, X3                \
	VPSUBUSW  blueLess<>(SB), X3, X3    \
	VPSRLW    $6, X3, X3                \ // blue
	VPACKUSWB X3, X1, X1                \
	VPACKUSWB X2, X2, X2                \
	VPUNPCKHBW X9, X1, X3               \ // blue, 0
	VPUNPCKLBW X2, X1, X1               \ // red, green
	VPUNPCKLWD X3, X1, X2               \
	VPUNPCKHWD X3, X1, X1               \
	VPSHUFB   X8, X2, X2                \
	VPSHUFB   X8, X1, X1                \
	VMOVDQU   X2, at(DI)                \
	VMOVDQU   X1, (at+12)(DI)

// func convertRowAVX2(out, luma *byte, us, vs *int16, n int)
TEXT ·convertRowAVX2(SB), NOSPLIT, $0-40
	MOVQ    out+0(FP), DI
	MOVQ    luma+8(FP), SI
	MOVQ    us+16(FP), AX
	MOVQ    vs+24(FP), BX
	MOVQ    n+32(FP), CX
	VMOVDQU threeOfFour<>(SB), X8
	VPXOR   X9, X9, X9

loop:
	WIDEN((AX), -2(AX), 2(AX), X4, X5)
	WIDEN((BX), -2(BX), 2(BX), X6, X7)
	VMOVDQU    (SI), X10
	VPUNPCKLBW X10, X9, X0
	PIXELS(X4, X6, 0)
	VPUNPCKHBW X10, X9, X0
	PIXELS(X5, X7, 24)
	ADDQ $16, SI
	ADDQ $16, AX
	ADDQ $16, BX
	ADDQ $48, DI
	SUBQ $16, CX
	JG   loop
	RET
