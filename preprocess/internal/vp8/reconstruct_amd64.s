#include "go_asm.h"
#include "textflag.h"

#define EIGHT16(name, value) \
	DATA name<>+0(SB)/8, $value \
	DATA name<>+8(SB)/8, $value \
	GLOBL name<>(SB), RODATA|NOPTR, $16

#define TWO64(name, low, high) \
	DATA name<>+0(SB)/8, $low  \
	DATA name<>+8(SB)/8, $high \
	GLOBL name<>(SB), RODATA|NOPTR, $16

EIGHT16(k1, 0x4E7B4E7B4E7B4E7B) // 85627 - 65536
EIGHT16(k2, 0x8A8C8A8C8A8C8A8C) // 35468 - 65536
EIGHT16(four, 0x0004000400040004)
EIGHT16(ones, 0x0101010101010101)

// Of the first three coefficients: k1, 35468, 35468, k1; which lanes k1 lacks
// one times the number in; and the signs.
TWO64(factors, 0x00008A8C00004E7B, 0x00004E7B00008A8C)
TWO64(outer, 0x00000000FFFFFFFF, 0xFFFFFFFF00000000)
TWO64(signs, 0x0000000100000001, 0xFFFFFFFFFFFFFFFF)

// The right column of a region, from below, and an edge with its ends repeated.
TWO64(column, 0x8080808003070B0F, 0x8080808080808080)
TWO64(edge, 0x0605040302010000, 0x0C0C0C0B0A090807)

// The two upper and the two lower samples of a column, from below, as words.
TWO64(upper, 0x8003800380038003, 0x8002800280028002)
TWO64(lower, 0x8001800180018001, 0x8000800080008000)

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

// Four products of a coefficient, for the first three.
#define SPREAD(coeff, to) \
	MOVWLSX      coeff, AX           \
	VMOVD        AX, X4              \
	VPBROADCASTD X4, X4              \
	VPMULLD      factors<>(SB), X4, to \
	VPSRAD       $16, to, to         \
	VPAND        outer<>(SB), X4, X4 \
	VPADDD       X4, to, to          \
	VPSIGND      signs<>(SB), to, to

// A row of words, from its base in X1.
#define ROW(which, to) \
	VPSHUFD $which, X1, to \
	VPADDD  X0, to, to     \
	VPSRAD  $3, to, to

// residue adds the transform of the coefficients at SI to the samples of a
// region in X9. Its last is at BX. It goes on to the next region, and uses AX
// and X0 to X8.
TEXT residue<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVBLZX (BX), AX
	CMPL    AX, $3
	JHI     full
	CMPL    AX, $1
	JHI     three
	CMPW    (SI), $0
	JEQ     done
	VPBROADCASTW (SI), X0
	VPADDSW four<>(SB), X0, X0
	VPSRAW  $3, X0, X0
	VMOVDQA X0, X1
	JMP     add

// Of the first three coefficients, libwebp's TransformAC3: numbers do not run
// over.
three:
	SPREAD(8(SI), X1)
	SPREAD(2(SI), X0)
	MOVWLSX (SI), AX
	ADDL    $4, AX
	VMOVD   AX, X4
	VPBROADCASTD X4, X4
	VPADDD  X4, X1, X1
	ROW(0x00, X2)
	ROW(0x55, X3)
	ROW(0xAA, X4)
	ROW(0xFF, X5)
	VPACKSSDW X3, X2, X0
	VPACKSSDW X5, X4, X1
	JMP     add

full:
	VMOVQ (SI), X0
	VMOVQ 8(SI), X1
	VMOVQ 16(SI), X2
	VMOVQ 24(SI), X3
	TRANSFORM
	TRANSPOSE
	VPADDW four<>(SB), X0, X0
	TRANSFORM
	TRANSPOSE
	VPUNPCKLQDQ X1, X0, X0
	VPUNPCKLQDQ X3, X2, X1
	VPSRAW $3, X0, X0
	VPSRAW $3, X1, X1

add:
	VPMOVZXBW X9, X2
	VPSRLDQ   $8, X9, X3
	VPMOVZXBW X3, X3
	VPADDSW   X0, X2, X2
	VPADDSW   X1, X3, X3
	VPACKUSWB X3, X2, X9

done:
	ADDQ $32, SI
	INCQ BX
	RET

#define STORE(at) \
	VMOVD   X9, at(DI)          \
	VPEXTRD $1, X9, (at+32)(DI) \
	VPEXTRD $2, X9, (at+64)(DI) \
	VPEXTRD $3, X9, (at+96)(DI)

// func residuesAVX2(dst *uint8, coeff *int16, last *uint8, across, n int)
TEXT ·residuesAVX2(SB), NOSPLIT, $8-40
	MOVQ dst+0(FP), DI
	MOVQ coeff+8(FP), SI
	MOVQ last+16(FP), BX
	MOVQ across+24(FP), R8
	MOVQ n+32(FP), DX
	MOVQ R8, CX
	MOVQ R8, R9
	NEGQ R9
	LEAQ 128(R9*4), R9 // from behind a row of regions to the next

loop:
	VMOVD   (DI), X9
	VPINSRD $1, 32(DI), X9, X9
	VPINSRD $2, 64(DI), X9, X9
	VPINSRD $3, 96(DI), X9, X9
	CALL    residue<>(SB)
	STORE(0)
	ADDQ    $4, DI
	DECQ    CX
	JNE     next
	MOVQ    R8, CX
	ADDQ    R9, DI

next:
	DECQ DX
	JNE  loop
	RET

// predict predicts a region. It takes the corner and the samples above in X1, the
// left column from below in X10, the mode at R8, and the masks of the modes in
// R9. It leaves the samples in X9, and uses AX, and X0 to X8.
TEXT predict<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVBLZX (R8), AX
	INCQ    R8
	CMPL    AX, $const_predTM
	JEQ     tm
	IMULL   $48, AX

	// The edge from the lower left to the upper right, its averages of two in
	// X4 and of three in X5.
	VPSLLDQ  $4, X1, X2
	VPBLENDD $1, X10, X2, X2
	VPSHUFB  edge<>(SB), X2, X2
	VPSRLDQ  $1, X2, X3
	VPSRLDQ  $2, X2, X5
	VPAVGB   X3, X2, X4
	VPXOR    X5, X2, X6
	VPAVGB   X5, X2, X5
	VPAND    ones<>(SB), X6, X6
	VPSUBB   X6, X5, X5
	VPAVGB   X3, X5, X5

	// The average of all but the corner.
	VPSRLDQ    $1, X1, X3
	VPUNPCKLDQ X10, X3, X3
	VPXOR      X6, X6, X6
	VMOVQ      X3, X3
	VPSADBW    X6, X3, X3
	VPADDW     four<>(SB), X3, X3
	VPSRLW     $3, X3, X3

	VPSHUFB 0(R9)(AX*1), X4, X4
	VPSHUFB 16(R9)(AX*1), X5, X5
	VPSHUFB 32(R9)(AX*1), X3, X3
	VPOR    X5, X4, X9
	VPOR    X3, X9, X9
	RET

tm:
	VPSRLDQ      $1, X1, X2
	VPMOVZXBW    X2, X2
	VPUNPCKLQDQ  X2, X2, X2
	VPMOVZXBW    X1, X3
	VPBROADCASTW X3, X3
	VPSUBW       X3, X2, X2
	VPSHUFB      upper<>(SB), X10, X3
	VPSHUFB      lower<>(SB), X10, X4
	VPADDW       X2, X3, X3
	VPADDW       X2, X4, X4
	VPACKUSWB    X4, X3, X9
	RET

// A region at X1 of a row of regions. X13 gathers its bottom row.
#define REGION(at) \
	CALL     predict<>(SB)         \
	CALL     residue<>(SB)         \
	STORE(at)                      \
	VPSHUFB  column<>(SB), X9, X10 \
	VPSRLDQ  $12, X9, X0           \
	VPALIGNR $4, X13, X0, X13

// func predict4AVX2(ybr *uint8, modes *[16]uint8, coeff *[400]int16, last *[25]uint8,
//	masks *[nPred][3][16]uint8)
TEXT ·predict4AVX2(SB), NOSPLIT, $8-40
	MOVQ    ybr+0(FP), DI
	MOVQ    modes+8(FP), R8
	MOVQ    coeff+16(FP), SI
	MOVQ    last+24(FP), BX
	MOVQ    masks+32(FP), R9
	MOVL    $4, CX
	VMOVDQU -32(DI), X11 // the row above
	VMOVD   -16(DI), X12 // and right of it

row:
	VMOVD    95(DI), X10
	VPINSRB  $1, 63(DI), X10, X10
	VPINSRB  $2, 31(DI), X10, X10
	VPINSRB  $3, -1(DI), X10, X10
	VPSLLDQ  $1, X11, X1
	VPINSRB  $0, -33(DI), X1, X1
	REGION(0)
	VPALIGNR $3, X11, X12, X1
	REGION(4)
	VPALIGNR $7, X11, X12, X1
	REGION(8)
	VPALIGNR $11, X11, X12, X1
	REGION(12)
	VMOVDQA  X13, X11
	ADDQ     $128, DI
	DECL     CX
	JNE      row
	RET
