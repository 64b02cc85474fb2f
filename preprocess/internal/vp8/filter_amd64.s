#include "textflag.h"

#define SIXTEEN(name, value) \
	DATA name<>+0(SB)/8, $value \
	DATA name<>+8(SB)/8, $value \
	GLOBL name<>(SB), RODATA|NOPTR, $16

SIXTEEN(sign, 0x8080808080808080)
SIXTEEN(fe, 0xFEFEFEFEFEFEFEFE)
SIXTEEN(k1f, 0x1F1F1F1F1F1F1F1F)
SIXTEEN(k10, 0x1010101010101010)
SIXTEEN(k3, 0x0303030303030303)
SIXTEEN(k4, 0x0404040404040404)
SIXTEEN(k64, 0x4040404040404040)
SIXTEEN(k900, 0x0900090009000900)
SIXTEEN(k63, 0x003F003F003F003F)

// The difference of unsigned bytes, without its sign. It uses X14.
#define DIFF(a, b, to) \
	VPSUBUSB b, a, to   \
	VPSUBUSB a, b, X14  \
	VPOR     X14, to, to

// Puts 16 copies of an argument to a register. It uses AX.
#define BYTES(argument, to) \
	MOVBLZX      argument, AX \
	VMOVD        AX, to       \
	VPBROADCASTB to, to

// Of the samples p3, p2, p1, p0, q0, q1, q2, q3 across an edge in X0 to X7, sets
// X8 where the edge is to be filtered and X10 where it has no high variance,
// and makes p2 to q2 signed.
#define MASKS(level, ilevel, hlevel) \
	DIFF(X0, X1, X8)          \
	DIFF(X1, X2, X9)          \
	VPMAXUB  X9, X8, X8       \
	DIFF(X2, X3, X10)         \
	DIFF(X5, X4, X11)         \
	VPMAXUB  X11, X10, X10    \
	VPMAXUB  X10, X8, X8      \
	DIFF(X6, X5, X9)          \
	VPMAXUB  X9, X8, X8       \
	DIFF(X7, X6, X9)          \
	VPMAXUB  X9, X8, X8       \
	VPXOR    X12, X12, X12    \
	BYTES(hlevel, X13)        \
	VPSUBUSB X13, X10, X10    \
	VPCMPEQB X12, X10, X10    \
	BYTES(ilevel, X13)        \
	VPSUBUSB X13, X8, X8      \
	DIFF(X2, X5, X9)          \
	VPAND    fe<>(SB), X9, X9 \
	VPSRLW   $1, X9, X9       \
	DIFF(X3, X4, X11)         \
	VPADDUSB X11, X11, X11    \
	VPADDUSB X11, X9, X9      \
	BYTES(level, X13)         \
	VPSUBUSB X13, X9, X9      \
	VPOR     X9, X8, X8       \
	VPCMPEQB X12, X8, X8      \
	SIGNS

#define SIGNS \
	VMOVDQU sign<>(SB), X15 \
	VPXOR   X15, X1, X1     \
	VPXOR   X15, X2, X2     \
	VPXOR   X15, X3, X3     \
	VPXOR   X15, X4, X4     \
	VPXOR   X15, X5, X5     \
	VPXOR   X15, X6, X6

// Shifts signed bytes right by three.
#define SHIFT3(x) \
	VPSRLW $3, x, x         \
	VPAND  k1f<>(SB), x, x  \
	VPXOR  k10<>(SB), x, x  \
	VPSUBB k10<>(SB), x, x

// Filters p0 and q0 by X11, and leaves what q0 loses in X12.
#define TWO \
	VPADDSB k3<>(SB), X11, X13 \
	VPADDSB k4<>(SB), X11, X12 \
	SHIFT3(X13)                \
	SHIFT3(X12)                \
	VPSUBSB X12, X4, X4        \
	VPADDSB X13, X3, X3

// Adds the products in X9 and X11, shifted right by seven, to p, and takes them
// from q.
#define UPDATE(p, q) \
	VPSRAW    $7, X9, X13    \
	VPSRAW    $7, X11, X14   \
	VPACKSSWB X14, X13, X13  \
	VPADDSB   X13, p, p      \
	VPSUBSB   X13, q, q

// Filters an edge of macroblocks: p2 to q2, where the variance is not high.
#define SIX \
	VPSUBSB    X5, X2, X9      \
	VPSUBSB    X3, X4, X11     \
	VPADDSB    X11, X9, X9     \
	VPADDSB    X11, X9, X9     \
	VPADDSB    X11, X9, X9     \
	VPAND      X8, X9, X9      \
	VPANDN     X9, X10, X11    \
	TWO                        \
	VPAND      X10, X9, X13    \
	VPXOR      X12, X12, X12   \
	VPUNPCKLBW X13, X12, X8    \
	VPUNPCKHBW X13, X12, X10   \
	VPMULHW    k900<>(SB), X8, X8   \
	VPMULHW    k900<>(SB), X10, X10 \
	VPADDW     k63<>(SB), X8, X9    \
	VPADDW     k63<>(SB), X10, X11  \
	UPDATE(X1, X6)             \
	VPADDW     X8, X9, X9      \
	VPADDW     X10, X11, X11   \
	UPDATE(X2, X5)             \
	VPADDW     X8, X9, X9      \
	VPADDW     X10, X11, X11   \
	UPDATE(X3, X4)             \
	SIGNS

// Filters an inner edge: p1 to q1, where the variance is not high.
#define FOUR \
	VPSUBSB X5, X2, X11        \
	VPANDN  X11, X10, X11      \
	VPSUBSB X3, X4, X9         \
	VPADDSB X9, X11, X11       \
	VPADDSB X9, X11, X11       \
	VPADDSB X9, X11, X11       \
	VPAND   X8, X11, X11       \
	TWO                        \
	VPADDB  X15, X12, X12      \
	VPXOR   X13, X13, X13      \
	VPAVGB  X13, X12, X12      \
	VPSUBB  k64<>(SB), X12, X12 \
	VPAND   X10, X12, X12      \
	VPSUBSB X12, X5, X5        \
	VPADDSB X12, X2, X2        \
	SIGNS

// func filterRowsAVX2(pix *byte, stride int, inner bool, level, ilevel, hlevel uint8)
TEXT ·filterRowsAVX2(SB), NOSPLIT, $0-20
	MOVQ    pix+0(FP), DI
	MOVQ    stride+8(FP), DX
	LEAQ    (DX)(DX*2), CX
	MOVQ    DX, BX
	SHLQ    $2, BX
	MOVQ    DI, SI
	SUBQ    BX, SI
	VMOVDQU (SI), X0
	VMOVDQU (SI)(DX*1), X1
	VMOVDQU (SI)(DX*2), X2
	VMOVDQU (SI)(CX*1), X3
	VMOVDQU (DI), X4
	VMOVDQU (DI)(DX*1), X5
	VMOVDQU (DI)(DX*2), X6
	VMOVDQU (DI)(CX*1), X7
	MASKS(level+17(FP), ilevel+18(FP), hlevel+19(FP))
	CMPB    inner+16(FP), $0
	JNE     four
	SIX
	JMP     store

four:
	FOUR

store:
	VMOVDQU X1, (SI)(DX*1)
	VMOVDQU X2, (SI)(DX*2)
	VMOVDQU X3, (SI)(CX*1)
	VMOVDQU X4, (DI)
	VMOVDQU X5, (DI)(DX*1)
	VMOVDQU X6, (DI)(DX*2)
	RET

// A row of eight samples of two planes.
#define LOAD2(a, b, to) \
	VMOVQ   a, to         \
	VPINSRQ $1, b, to, to

#define STORE2(from, a, b) \
	VMOVQ   from, a      \
	VPEXTRQ $1, from, b

// func filterRows2AVX2(a, b *byte, stride int, inner bool, level, ilevel, hlevel uint8)
TEXT ·filterRows2AVX2(SB), NOSPLIT, $0-28
	MOVQ a+0(FP), DI
	MOVQ b+8(FP), R9
	MOVQ stride+16(FP), DX
	LEAQ (DX)(DX*2), CX
	MOVQ DX, BX
	SHLQ $2, BX
	MOVQ DI, SI
	SUBQ BX, SI
	MOVQ R9, R8
	SUBQ BX, R8
	LOAD2((SI), (R8), X0)
	LOAD2((SI)(DX*1), (R8)(DX*1), X1)
	LOAD2((SI)(DX*2), (R8)(DX*2), X2)
	LOAD2((SI)(CX*1), (R8)(CX*1), X3)
	LOAD2((DI), (R9), X4)
	LOAD2((DI)(DX*1), (R9)(DX*1), X5)
	LOAD2((DI)(DX*2), (R9)(DX*2), X6)
	LOAD2((DI)(CX*1), (R9)(CX*1), X7)
	MASKS(level+25(FP), ilevel+26(FP), hlevel+27(FP))
	CMPB inner+24(FP), $0
	JNE  four
	SIX
	JMP  store

four:
	FOUR

store:
	STORE2(X1, (SI)(DX*1), (R8)(DX*1))
	STORE2(X2, (SI)(DX*2), (R8)(DX*2))
	STORE2(X3, (SI)(CX*1), (R8)(CX*1))
	STORE2(X4, (DI), (R9))
	STORE2(X5, (DI)(DX*1), (R9)(DX*1))
	STORE2(X6, (DI)(DX*2), (R9)(DX*2))
	RET

// Turns the eight rows of eight samples from SI on to columns, two a register.
#define COLUMNS(c0, c1, c2, c3) \
	LEAQ (SI)(DX*4), DI       \
	VMOVQ (SI), X8            \
	VMOVQ (SI)(DX*1), X9      \
	VMOVQ (SI)(DX*2), X10     \
	VMOVQ (SI)(CX*1), X11     \
	VMOVQ (DI), X12           \
	VMOVQ (DI)(DX*1), X13     \
	VMOVQ (DI)(DX*2), X14     \
	VMOVQ (DI)(CX*1), X15     \
	VPUNPCKLBW X9, X8, X8     \
	VPUNPCKLBW X11, X10, X10  \
	VPUNPCKLBW X13, X12, X12  \
	VPUNPCKLBW X15, X14, X14  \
	VPUNPCKLWD X10, X8, X9    \
	VPUNPCKHWD X10, X8, X11   \
	VPUNPCKLWD X14, X12, X13  \
	VPUNPCKHWD X14, X12, X15  \
	VPUNPCKLDQ X13, X9, c0    \
	VPUNPCKHDQ X13, X9, c1    \
	VPUNPCKLDQ X15, X11, c2   \
	VPUNPCKHDQ X15, X11, c3

// Stores eight rows of eight samples from SI on, from columns interleaved in
// four registers. It uses X12 to X15.
#define ROWS(c01, c23, c45, c67) \
	LEAQ (SI)(DX*4), DI        \
	VPUNPCKLWD c23, c01, X12   \
	VPUNPCKHWD c23, c01, X13   \
	VPUNPCKLWD c67, c45, X14   \
	VPUNPCKHWD c67, c45, X15   \
	VPUNPCKLDQ X14, X12, c01   \
	VPUNPCKHDQ X14, X12, c23   \
	VPUNPCKLDQ X15, X13, c45   \
	VPUNPCKHDQ X15, X13, c67   \
	VMOVQ   c01, (SI)          \
	VPEXTRQ $1, c01, (SI)(DX*1) \
	VMOVQ   c23, (SI)(DX*2)    \
	VPEXTRQ $1, c23, (SI)(CX*1) \
	VMOVQ   c45, (DI)          \
	VPEXTRQ $1, c45, (DI)(DX*1) \
	VMOVQ   c67, (DI)(DX*2)    \
	VPEXTRQ $1, c67, (DI)(CX*1)

// func filterColumnsAVX2(a, b *byte, stride int, inner bool, level, ilevel, hlevel uint8)
TEXT ·filterColumnsAVX2(SB), NOSPLIT, $0-28
	MOVQ a+0(FP), SI
	MOVQ b+8(FP), R8
	MOVQ stride+16(FP), DX
	LEAQ (DX)(DX*2), CX
	SUBQ $4, SI
	SUBQ $4, R8
	MOVQ SI, R9
	COLUMNS(X0, X2, X4, X6)
	MOVQ R8, SI
	COLUMNS(X1, X3, X5, X7)
	VPUNPCKHQDQ X1, X0, X8
	VPUNPCKLQDQ X1, X0, X0
	VMOVDQA     X8, X1
	VPUNPCKHQDQ X3, X2, X8
	VPUNPCKLQDQ X3, X2, X2
	VMOVDQA     X8, X3
	VPUNPCKHQDQ X5, X4, X8
	VPUNPCKLQDQ X5, X4, X4
	VMOVDQA     X8, X5
	VPUNPCKHQDQ X7, X6, X8
	VPUNPCKLQDQ X7, X6, X6
	VMOVDQA     X8, X7
	MASKS(level+25(FP), ilevel+26(FP), hlevel+27(FP))
	CMPB inner+24(FP), $0
	JNE  four
	SIX
	JMP  store

four:
	FOUR

store:
	VPUNPCKLBW X1, X0, X8
	VPUNPCKHBW X1, X0, X9
	VPUNPCKLBW X3, X2, X10
	VPUNPCKHBW X3, X2, X11
	VPUNPCKLBW X5, X4, X0
	VPUNPCKHBW X5, X4, X1
	VPUNPCKLBW X7, X6, X2
	VPUNPCKHBW X7, X6, X3
	MOVQ R9, SI
	ROWS(X8, X10, X0, X2)
	MOVQ R8, SI
	ROWS(X9, X11, X1, X3)
	RET
