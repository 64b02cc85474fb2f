#include "textflag.h"

// Lines between the two passes have a value for each channel, and a fourth for three channels.

// Pixels of four bytes without their fourth: twelve bytes from each sixteen.
DATA squeeze<>+0(SB)/8, $0x0908060504020100
DATA squeeze<>+8(SB)/8, $0x808080800E0D0C0A
DATA squeeze<>+16(SB)/8, $0x0908060504020100
DATA squeeze<>+24(SB)/8, $0x808080800E0D0C0A
GLOBL squeeze<>(SB), RODATA|NOPTR, $32

// The order in which the packing of dwords leaves its groups of four bytes, undone.
DATA order<>+0(SB)/8, $0x0000000400000000
DATA order<>+8(SB)/8, $0x0000000500000001
DATA order<>+16(SB)/8, $0x0000000600000002
DATA order<>+24(SB)/8, $0x0000000700000003
GLOBL order<>(SB), RODATA|NOPTR, $32

DATA two<>+0(SB)/4, $0x00020002
GLOBL two<>(SB), RODATA|NOPTR, $4

DATA half22<>+0(SB)/4, $0x00200000
GLOBL half22<>(SB), RODATA|NOPTR, $4

DATA lowByte<>+0(SB)/4, $0x000000FF
GLOBL lowByte<>(SB), RODATA|NOPTR, $4

// The two bytes at the start of each four, as words.
DATA firstTwo<>+0(SB)/8, $0x8005800480018000
DATA firstTwo<>+8(SB)/8, $0x800D800C80098008
DATA firstTwo<>+16(SB)/8, $0x8005800480018000
DATA firstTwo<>+24(SB)/8, $0x800D800C80098008
GLOBL firstTwo<>(SB), RODATA|NOPTR, $32

// EIGHT loads four bytes from each of the eight offsets at BX.
#define EIGHT \
	MOVL (BX), AX \
	MOVL 4(BX), R9 \
	MOVL 8(BX), R10 \
	MOVL 12(BX), R11 \
	VMOVD (SI)(AX*1), X0 \
	VPINSRD $1, (SI)(R9*1), X0, X0 \
	VPINSRD $2, (SI)(R10*1), X0, X0 \
	VPINSRD $3, (SI)(R11*1), X0, X0 \
	MOVL 16(BX), AX \
	MOVL 20(BX), R9 \
	MOVL 24(BX), R10 \
	MOVL 28(BX), R11 \
	VMOVD (SI)(AX*1), X2 \
	VPINSRD $1, (SI)(R9*1), X2, X2 \
	VPINSRD $2, (SI)(R10*1), X2, X2 \
	VPINSRD $3, (SI)(R11*1), X2, X2 \
	VINSERTI128 $1, X2, Y0, Y0

// func nearest3AVX2(out, row *uint8, at *int32, count int)
//
// It writes a byte beyond the last pixel.
TEXT ·nearest3AVX2(SB), NOSPLIT, $0-32
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ at+16(FP), BX
	MOVQ count+24(FP), CX

pixels:
	MOVL (BX), AX
	MOVL 4(BX), R8
	MOVL 8(BX), R9
	MOVL 12(BX), R10
	MOVL (SI)(AX*1), AX
	MOVL (SI)(R8*1), R8
	MOVL (SI)(R9*1), R9
	MOVL (SI)(R10*1), R10
	MOVL AX, (DI)
	MOVL R8, 3(DI)
	MOVL R9, 6(DI)
	MOVL R10, 9(DI)
	ADDQ $12, DI
	ADDQ $16, BX
	SUBQ $4, CX
	JNE  pixels
	RET

// func nearest4AVX2(out, row *uint8, at *int32, count int)
TEXT ·nearest4AVX2(SB), NOSPLIT, $0-32
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ at+16(FP), BX
	MOVQ count+24(FP), CX

pixels:
	MOVL (BX), AX
	MOVL 4(BX), R8
	MOVL 8(BX), R9
	MOVL 12(BX), R10
	MOVL (SI)(AX*1), AX
	MOVL (SI)(R8*1), R8
	MOVL (SI)(R9*1), R9
	MOVL (SI)(R10*1), R10
	MOVL AX, (DI)
	MOVL R8, 4(DI)
	MOVL R9, 8(DI)
	MOVL R10, 12(DI)
	ADDQ $16, DI
	ADDQ $16, BX
	SUBQ $4, CX
	JNE  pixels
	RET

// func nearest1AVX2(out, row *uint8, at *int32, count int)
TEXT ·nearest1AVX2(SB), NOSPLIT, $0-32
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ at+16(FP), BX
	MOVQ count+24(FP), CX

pixels:
	MOVL (BX), AX
	MOVL 4(BX), R8
	MOVL 8(BX), R9
	MOVL 12(BX), R10
	MOVBLZX (SI)(AX*1), AX
	MOVBLZX (SI)(R8*1), R8
	MOVBLZX (SI)(R9*1), R9
	MOVBLZX (SI)(R10*1), R10
	MOVB AX, (DI)
	MOVB R8, 1(DI)
	MOVB R9, 2(DI)
	MOVB R10, 3(DI)
	ADDQ $4, DI
	ADDQ $16, BX
	SUBQ $4, CX
	JNE  pixels
	RET

// func linearRowAVX2(out *int16, row *uint8, at *int32, weights *int16, words *[64]uint8, count int)
//
// Four pixels of three or four channels at a time. Eight bytes are read of each, and its weights are
// there for each channel.
TEXT ·linearRowAVX2(SB), NOSPLIT, $0-48
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ at+16(FP), BX
	MOVQ weights+24(FP), DX
	MOVQ words+32(FP), R8
	MOVQ count+40(FP), CX
	VMOVDQU (R8), Y4
	VMOVDQU 32(R8), Y5

pixels:
	MOVL (BX), AX
	MOVL 4(BX), R9
	MOVL 8(BX), R10
	MOVL 12(BX), R11
	VMOVQ (SI)(AX*1), X0
	VMOVQ (SI)(R9*1), X1
	VMOVHPS (SI)(R10*1), X0, X0
	VMOVHPS (SI)(R11*1), X1, X1
	VINSERTI128 $1, X1, Y0, Y0  // pixels 0 2 1 3
	VPSHUFB Y5, Y0, Y1          // pixels 2 3, in words
	VPSHUFB Y4, Y0, Y0          // pixels 0 1
	VPMADDWD (DX), Y0, Y0
	VPMADDWD 32(DX), Y1, Y1
	VPSRAD $4, Y0, Y0
	VPSRAD $4, Y1, Y1
	VPACKSSDW Y1, Y0, Y0
	VPERMQ $0xD8, Y0, Y0
	VMOVDQU Y0, (DI)
	ADDQ $32, DI
	ADDQ $64, DX
	ADDQ $16, BX
	SUBQ $4, CX
	JNE  pixels
	VZEROUPPER
	RET

// func linearRow1AVX2(out *int16, row *uint8, at *int32, weights *int16, count int)
//
// Eight pixels of one channel at a time. Four bytes are read of each.
TEXT ·linearRow1AVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ at+16(FP), BX
	MOVQ weights+24(FP), DX
	MOVQ count+32(FP), CX
	VMOVDQU firstTwo<>(SB), Y4

pixels:
	EIGHT
	VPSHUFB Y4, Y0, Y0
	VPMADDWD (DX), Y0, Y0
	VPSRAD $4, Y0, Y0
	VPACKSSDW Y0, Y0, Y0
	VPERMQ $0x08, Y0, Y0
	VMOVDQU X0, (DI)
	ADDQ $16, DI
	ADDQ $32, DX
	ADDQ $32, BX
	SUBQ $8, CX
	JNE  pixels
	VZEROUPPER
	RET

// func linearBlendAVX2(out *uint8, upper, lower, weights *int16, blocks int, squeezed bool)
//
// A block is 32 values. Squeezed, it is 24 bytes, and four more are written.
TEXT ·linearBlendAVX2(SB), NOSPLIT, $0-41
	MOVQ out+0(FP), DI
	MOVQ upper+8(FP), SI
	MOVQ lower+16(FP), BX
	MOVQ weights+24(FP), DX
	MOVQ blocks+32(FP), CX
	MOVBLZX squeezed+40(FP), R8
	VPBROADCASTW (DX), Y8
	VPBROADCASTW 2(DX), Y9
	VPBROADCASTD two<>(SB), Y10
	VMOVDQU squeeze<>(SB), Y11

block:
	VPMULHW (SI), Y8, Y0
	VPMULHW 32(SI), Y8, Y1
	VPMULHW (BX), Y9, Y2
	VPMULHW 32(BX), Y9, Y3
	VPADDW Y2, Y0, Y0
	VPADDW Y3, Y1, Y1
	VPADDW Y10, Y0, Y0
	VPADDW Y10, Y1, Y1
	VPSRAW $2, Y0, Y0
	VPSRAW $2, Y1, Y1
	VPACKUSWB Y1, Y0, Y0
	VPERMQ $0xD8, Y0, Y0
	ADDQ $64, SI
	ADDQ $64, BX
	TESTL R8, R8
	JNE  narrow
	VMOVDQU Y0, (DI)
	ADDQ $32, DI
	DECQ CX
	JNE  block
	VZEROUPPER
	RET

narrow:
	VPSHUFB Y11, Y0, Y0
	VMOVDQU X0, (DI)
	VEXTRACTI128 $1, Y0, X1
	VMOVDQU X1, 12(DI)
	ADDQ $24, DI
	DECQ CX
	JNE  block
	VZEROUPPER
	RET

// func lanczosRowAVX2(out *int32, row *uint8, at *int32, weights *int16, words *[32]uint8, half, count int)
//
// A pixel of three or four channels at a time: sixteen bytes from its first pixel on, and from half
// bytes further on.
TEXT ·lanczosRowAVX2(SB), NOSPLIT, $0-56
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ at+16(FP), BX
	MOVQ weights+24(FP), DX
	MOVQ words+32(FP), R8
	MOVQ half+40(FP), R10
	MOVQ count+48(FP), CX
	VMOVDQU (R8), Y4
	ADDQ SI, R10

pixel:
	MOVL (BX), AX
	VBROADCASTI128 (SI)(AX*1), Y0
	VBROADCASTI128 (R10)(AX*1), Y1
	VPSHUFB Y4, Y0, Y0
	VPSHUFB Y4, Y1, Y1
	VPMADDWD (DX), Y0, Y0
	VPMADDWD 32(DX), Y1, Y1
	VPADDD Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDD X1, X0, X0
	VMOVDQU X0, (DI)
	ADDQ $16, DI
	ADDQ $64, DX
	ADDQ $4, BX
	DECQ CX
	JNE  pixel
	VZEROUPPER
	RET

// func lanczosRow1AVX2(out *int32, row *uint8, at *int32, weights *int16, count int)
//
// Four pixels of one channel at a time.
TEXT ·lanczosRow1AVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ at+16(FP), BX
	MOVQ weights+24(FP), DX
	MOVQ count+32(FP), CX

pixels:
	MOVL (BX), AX
	MOVL 4(BX), R9
	MOVL 8(BX), R10
	MOVL 12(BX), R11
	VPMOVZXBW (SI)(AX*1), X0
	VPMOVZXBW (SI)(R9*1), X1
	VPMOVZXBW (SI)(R10*1), X2
	VPMOVZXBW (SI)(R11*1), X3
	VPMADDWD (DX), X0, X0
	VPMADDWD 16(DX), X1, X1
	VPMADDWD 32(DX), X2, X2
	VPMADDWD 48(DX), X3, X3
	VPHADDD X1, X0, X0
	VPHADDD X3, X2, X2
	VPHADDD X2, X0, X0
	VMOVDQU X0, (DI)
	ADDQ $16, DI
	ADDQ $64, DX
	ADDQ $16, BX
	SUBQ $4, CX
	JNE  pixels
	VZEROUPPER
	RET

// func lanczosBlendAVX2(out *uint8, lines *[8]*int32, weights *[8]int32, blocks int, squeezed bool)
//
// As linearBlendAVX2.
TEXT ·lanczosBlendAVX2(SB), NOSPLIT, $0-33
	MOVQ out+0(FP), DI
	MOVQ lines+8(FP), SI
	MOVQ weights+16(FP), DX
	MOVQ blocks+24(FP), CX
	MOVBLZX squeezed+32(FP), R8
	VMOVDQU order<>(SB), Y10
	VMOVDQU squeeze<>(SB), Y11
	VPBROADCASTD half22<>(SB), Y12
	XORQ BX, BX

block:
	VMOVDQA Y12, Y0
	VMOVDQA Y12, Y1
	VMOVDQA Y12, Y2
	VMOVDQA Y12, Y3
	XORQ R9, R9

tap:
	MOVQ (SI)(R9*8), AX
	VPBROADCASTD (DX)(R9*4), Y8
	VPMULLD (AX)(BX*1), Y8, Y4
	VPMULLD 32(AX)(BX*1), Y8, Y5
	VPMULLD 64(AX)(BX*1), Y8, Y6
	VPMULLD 96(AX)(BX*1), Y8, Y7
	VPADDD Y4, Y0, Y0
	VPADDD Y5, Y1, Y1
	VPADDD Y6, Y2, Y2
	VPADDD Y7, Y3, Y3
	INCQ R9
	CMPQ R9, $8
	JNE  tap

	VPSRAD $22, Y0, Y0
	VPSRAD $22, Y1, Y1
	VPSRAD $22, Y2, Y2
	VPSRAD $22, Y3, Y3
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPACKUSWB Y2, Y0, Y0
	VPERMD Y0, Y10, Y0
	ADDQ $128, BX
	TESTL R8, R8
	JNE  narrow
	VMOVDQU Y0, (DI)
	ADDQ $32, DI
	DECQ CX
	JNE  block
	VZEROUPPER
	RET

narrow:
	VPSHUFB Y11, Y0, Y0
	VMOVDQU X0, (DI)
	VEXTRACTI128 $1, Y0, X1
	VMOVDQU X1, 12(DI)
	ADDQ $24, DI
	DECQ CX
	JNE  block
	VZEROUPPER
	RET

// func cubicRow3AVX2(out *float32, row *uint8, at *int32, weights *float32, dwords *[128]uint8, count int)
//
// Two pixels of three channels at a time: sixteen bytes are read from the first pixel of each.
TEXT ·cubicRow3AVX2(SB), NOSPLIT, $0-48
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ at+16(FP), BX
	MOVQ weights+24(FP), DX
	MOVQ dwords+32(FP), R8
	MOVQ count+40(FP), CX
	VMOVDQU (R8), Y4
	VMOVDQU 32(R8), Y5
	VMOVDQU 64(R8), Y6
	VMOVDQU 96(R8), Y7

pixels:
	MOVL (BX), AX
	MOVL 4(BX), R9
	VMOVDQU (SI)(AX*1), X0
	VINSERTI128 $1, (SI)(R9*1), Y0, Y0
	VPSHUFB Y4, Y0, Y1
	VPSHUFB Y5, Y0, Y2
	VPSHUFB Y6, Y0, Y3
	VPSHUFB Y7, Y0, Y0
	VCVTDQ2PS Y1, Y1
	VCVTDQ2PS Y2, Y2
	VCVTDQ2PS Y3, Y3
	VCVTDQ2PS Y0, Y0
	VMULPS (DX), Y1, Y1
	VFMADD231PS 32(DX), Y2, Y1
	VFMADD231PS 64(DX), Y3, Y1
	VFMADD231PS 96(DX), Y0, Y1
	VMOVUPS Y1, (DI)
	ADDQ $32, DI
	ADDQ $128, DX
	ADDQ $8, BX
	SUBQ $2, CX
	JNE  pixels
	VZEROUPPER
	RET

// func cubicRow4AVX2(out *float32, row *uint8, at *int32, weights *float32, dwords *[128]uint8, count int)
TEXT ·cubicRow4AVX2(SB), NOSPLIT, $0-48
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ at+16(FP), BX
	MOVQ weights+24(FP), DX
	MOVQ dwords+32(FP), R8
	MOVQ count+40(FP), CX
	VMOVDQU (R8), Y4
	VMOVDQU 32(R8), Y5
	VMOVDQU 64(R8), Y6
	VMOVDQU 96(R8), Y7

pixels:
	MOVL (BX), AX
	MOVL 4(BX), R9
	VMOVDQU (SI)(AX*1), X0
	VINSERTI128 $1, (SI)(R9*1), Y0, Y0
	VPSHUFB Y4, Y0, Y1
	VPSHUFB Y5, Y0, Y2
	VPSHUFB Y6, Y0, Y3
	VPSHUFB Y7, Y0, Y0
	VCVTDQ2PS Y1, Y1
	VCVTDQ2PS Y2, Y2
	VCVTDQ2PS Y3, Y3
	VCVTDQ2PS Y0, Y0
	VMULPS (DX), Y1, Y1
	VMULPS 32(DX), Y2, Y2
	VFMADD231PS 64(DX), Y3, Y1
	VFMADD231PS 96(DX), Y0, Y2
	VADDPS Y2, Y1, Y1
	VMOVUPS Y1, (DI)
	ADDQ $32, DI
	ADDQ $128, DX
	ADDQ $8, BX
	SUBQ $2, CX
	JNE  pixels
	VZEROUPPER
	RET

// func cubicRow1AVX2(out *float32, row *uint8, at *int32, weights *float32, count int)
//
// Eight pixels of one channel at a time.
TEXT ·cubicRow1AVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ at+16(FP), BX
	MOVQ weights+24(FP), DX
	MOVQ count+32(FP), CX
	VPBROADCASTD lowByte<>(SB), Y4

pixels:
	EIGHT
	VPAND Y4, Y0, Y1
	VPSRLD $8, Y0, Y5
	VPSRLD $16, Y0, Y6
	VPSRLD $24, Y0, Y7
	VPAND Y4, Y5, Y5
	VPAND Y4, Y6, Y6
	VCVTDQ2PS Y1, Y1
	VCVTDQ2PS Y5, Y5
	VCVTDQ2PS Y6, Y6
	VCVTDQ2PS Y7, Y7
	VMULPS (DX), Y1, Y1
	VMULPS 32(DX), Y5, Y5
	VMULPS 64(DX), Y6, Y6
	VMULPS 96(DX), Y7, Y7
	VADDPS Y5, Y1, Y1
	VADDPS Y7, Y6, Y6
	VADDPS Y6, Y1, Y1
	VMOVUPS Y1, (DI)
	ADDQ $32, DI
	ADDQ $128, DX
	ADDQ $32, BX
	SUBQ $8, CX
	JNE  pixels
	VZEROUPPER
	RET

#define CUBIC(offset, to) \
	VMULPS offset(R10)(BX*1), Y13, to \
	VMULPS offset(R12)(BX*1), Y15, Y4 \
	VFMADD231PS offset(R9)(BX*1), Y12, to \
	VFMADD231PS offset(R11)(BX*1), Y14, Y4 \
	VADDPS Y4, to, to \
	VCVTPS2DQ to, to

// func cubicBlendAVX2(out *uint8, lines *[4]*float32, weights *[4]float32, blocks int, squeezed bool)
//
// As linearBlendAVX2.
TEXT ·cubicBlendAVX2(SB), NOSPLIT, $0-33
	MOVQ out+0(FP), DI
	MOVQ lines+8(FP), SI
	MOVQ weights+16(FP), DX
	MOVQ blocks+24(FP), CX
	MOVBLZX squeezed+32(FP), R8
	MOVQ (SI), R9
	MOVQ 8(SI), R10
	MOVQ 16(SI), R11
	MOVQ 24(SI), R12
	VBROADCASTSS (DX), Y12
	VBROADCASTSS 4(DX), Y13
	VBROADCASTSS 8(DX), Y14
	VBROADCASTSS 12(DX), Y15
	VMOVDQU order<>(SB), Y10
	VMOVDQU squeeze<>(SB), Y11
	XORQ BX, BX

block:
	CUBIC(0, Y0)
	CUBIC(32, Y1)
	CUBIC(64, Y2)
	CUBIC(96, Y3)
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPACKUSWB Y2, Y0, Y0
	VPERMD Y0, Y10, Y0
	ADDQ $128, BX
	TESTL R8, R8
	JNE  narrow
	VMOVDQU Y0, (DI)
	ADDQ $32, DI
	DECQ CX
	JNE  block
	VZEROUPPER
	RET

narrow:
	VPSHUFB Y11, Y0, Y0
	VMOVDQU X0, (DI)
	VEXTRACTI128 $1, Y0, X1
	VMOVDQU X1, 12(DI)
	ADDQ $24, DI
	DECQ CX
	JNE  block
	VZEROUPPER
	RET

// func areaRowAVX2(out *float32, row *uint8, runs *areaRun, weights *float32, step, outStep, count int)
//
// A run is {at, pixels int32}. Four bytes are read of each pixel and four floats written.
TEXT ·areaRowAVX2(SB), NOSPLIT, $0-56
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ runs+16(FP), BX
	MOVQ weights+24(FP), DX
	MOVQ step+32(FP), R8
	MOVQ outStep+40(FP), R9
	MOVQ count+48(FP), CX

pixel:
	MOVL (BX), AX
	MOVL 4(BX), R10
	ADDQ SI, AX
	VXORPS X0, X0, X0

part:
	VPMOVZXBD (AX), X1
	VCVTDQ2PS X1, X1
	VBROADCASTSS (DX), X2
	VMULPS X2, X1, X1
	VADDPS X1, X0, X0
	ADDQ R8, AX
	ADDQ $4, DX
	DECQ R10
	JNE  part
	VMOVUPS X0, (DI)
	ADDQ R9, DI
	ADDQ $8, BX
	DECQ CX
	JNE  pixel
	VZEROUPPER
	RET

// func areaAddAVX2(sum, line *float32, weight float32, blocks int)
//
// A block is 8 values.
TEXT ·areaAddAVX2(SB), NOSPLIT, $0-32
	MOVQ sum+0(FP), DI
	MOVQ line+8(FP), SI
	VBROADCASTSS weight+16(FP), Y8
	MOVQ blocks+24(FP), CX

block:
	VMULPS (SI), Y8, Y0
	VADDPS (DI), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	DECQ CX
	JNE  block
	VZEROUPPER
	RET

// func roundAVX2(out *uint8, line *float32, blocks int, squeezed bool)
//
// As linearBlendAVX2.
TEXT ·roundAVX2(SB), NOSPLIT, $0-25
	MOVQ out+0(FP), DI
	MOVQ line+8(FP), SI
	MOVQ blocks+16(FP), CX
	MOVBLZX squeezed+24(FP), R8
	VMOVDQU order<>(SB), Y10
	VMOVDQU squeeze<>(SB), Y11

block:
	VCVTPS2DQ (SI), Y0
	VCVTPS2DQ 32(SI), Y1
	VCVTPS2DQ 64(SI), Y2
	VCVTPS2DQ 96(SI), Y3
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPACKUSWB Y2, Y0, Y0
	VPERMD Y0, Y10, Y0
	ADDQ $128, SI
	TESTL R8, R8
	JNE  narrow
	VMOVDQU Y0, (DI)
	ADDQ $32, DI
	DECQ CX
	JNE  block
	VZEROUPPER
	RET

narrow:
	VPSHUFB Y11, Y0, Y0
	VMOVDQU X0, (DI)
	VEXTRACTI128 $1, Y0, X1
	VMOVDQU X1, 12(DI)
	ADDQ $24, DI
	DECQ CX
	JNE  block
	VZEROUPPER
	RET

DATA ones<>+0(SB)/8, $0x0101010101010101
GLOBL ones<>(SB), RODATA|NOPTR, $8

// func halveAVX2(out, upper, lower *uint8, pairs *[32]uint8, step, outStep, blocks int)
//
// A block is two times sixteen bytes of each row, step bytes apart: pixels of which pairs puts the
// two that meet side by side. Sixteen bytes are written.
TEXT ·halveAVX2(SB), NOSPLIT, $0-56
	MOVQ out+0(FP), DI
	MOVQ upper+8(FP), SI
	MOVQ lower+16(FP), BX
	MOVQ pairs+24(FP), R8
	MOVQ step+32(FP), R9
	MOVQ outStep+40(FP), R10
	MOVQ blocks+48(FP), CX
	VMOVDQU (R8), Y4
	VPBROADCASTQ ones<>(SB), Y5
	VPBROADCASTD two<>(SB), Y6
	VMOVDQU squeeze<>(SB), Y7

block:
	VMOVDQU (SI), X0
	VINSERTI128 $1, (SI)(R9*1), Y0, Y0
	VMOVDQU (BX), X1
	VINSERTI128 $1, (BX)(R9*1), Y1, Y1
	VPSHUFB Y4, Y0, Y0
	VPSHUFB Y4, Y1, Y1
	VPMADDUBSW Y5, Y0, Y0
	VPMADDUBSW Y5, Y1, Y1
	VPADDW Y1, Y0, Y0
	VPADDW Y6, Y0, Y0
	VPSRLW $2, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPACKUSWB X1, X0, X0
	CMPQ R10, $12
	JNE  store
	VPSHUFB X7, X0, X0

store:
	VMOVDQU X0, (DI)
	LEAQ (SI)(R9*2), SI
	LEAQ (BX)(R9*2), BX
	ADDQ R10, DI
	DECQ CX
	JNE  block
	VZEROUPPER
	RET

#define FOUR \
	MOVL (BX), AX \
	MOVL 4(BX), R9 \
	MOVL 8(BX), R10 \
	MOVL 12(BX), R11 \
	VMOVDQU (SI)(AX*1), X0 \
	VMOVDQU (SI)(R10*1), X1 \
	VINSERTI128 $1, (SI)(R9*1), Y0, Y0 \
	VINSERTI128 $1, (SI)(R11*1), Y1, Y1 \
	VINSERTI64X4 $1, Y1, Z0, Z0 \
	VPSHUFB Z4, Z0, Z1 \
	VPSHUFB Z5, Z0, Z2 \
	VPSHUFB Z6, Z0, Z3 \
	VPSHUFB Z7, Z0, Z0 \
	VCVTDQ2PS Z1, Z1 \
	VCVTDQ2PS Z2, Z2 \
	VCVTDQ2PS Z3, Z3 \
	VCVTDQ2PS Z0, Z0

#define DWORDS \
	VBROADCASTI32X4 (R8), Z4 \
	VBROADCASTI32X4 32(R8), Z5 \
	VBROADCASTI32X4 64(R8), Z6 \
	VBROADCASTI32X4 96(R8), Z7

// func cubicRow3AVX512(out *float32, row *uint8, at *int32, weights *float32, dwords *[128]uint8, count int)
//
// As cubicRow3AVX2, four pixels at a time.
TEXT ·cubicRow3AVX512(SB), NOSPLIT, $0-48
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ at+16(FP), BX
	MOVQ weights+24(FP), DX
	MOVQ dwords+32(FP), R8
	MOVQ count+40(FP), CX
	DWORDS

pixels:
	FOUR
	VMULPS (DX), Z1, Z1
	VFMADD231PS 64(DX), Z2, Z1
	VFMADD231PS 128(DX), Z3, Z1
	VFMADD231PS 192(DX), Z0, Z1
	VMOVUPS Z1, (DI)
	ADDQ $64, DI
	ADDQ $256, DX
	ADDQ $16, BX
	SUBQ $4, CX
	JNE  pixels
	VZEROUPPER
	RET

// func cubicRow4AVX512(out *float32, row *uint8, at *int32, weights *float32, dwords *[128]uint8, count int)
//
// As cubicRow4AVX2, four pixels at a time.
TEXT ·cubicRow4AVX512(SB), NOSPLIT, $0-48
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ at+16(FP), BX
	MOVQ weights+24(FP), DX
	MOVQ dwords+32(FP), R8
	MOVQ count+40(FP), CX
	DWORDS

pixels:
	FOUR
	VMULPS (DX), Z1, Z1
	VMULPS 64(DX), Z2, Z2
	VFMADD231PS 128(DX), Z3, Z1
	VFMADD231PS 192(DX), Z0, Z2
	VADDPS Z2, Z1, Z1
	VMOVUPS Z1, (DI)
	ADDQ $64, DI
	ADDQ $256, DX
	ADDQ $16, BX
	SUBQ $4, CX
	JNE  pixels
	VZEROUPPER
	RET

#define CUBIC16(offset, to, other) \
	VMULPS offset(R10)(BX*1), Z13, to \
	VMULPS offset(R12)(BX*1), Z15, other \
	VFMADD231PS offset(R9)(BX*1), Z12, to \
	VFMADD231PS offset(R11)(BX*1), Z14, other \
	VADDPS other, to, to \
	VCVTPS2DQ to, to \
	VPMAXSD Z10, to, to

// func cubicBlendAVX512(out *uint8, lines *[4]*float32, weights *[4]float32, blocks int, squeezed bool)
//
// As linearBlendAVX2.
TEXT ·cubicBlendAVX512(SB), NOSPLIT, $0-33
	MOVQ out+0(FP), DI
	MOVQ lines+8(FP), SI
	MOVQ weights+16(FP), DX
	MOVQ blocks+24(FP), CX
	MOVBLZX squeezed+32(FP), R8
	MOVQ (SI), R9
	MOVQ 8(SI), R10
	MOVQ 16(SI), R11
	MOVQ 24(SI), R12
	VBROADCASTSS (DX), Z12
	VBROADCASTSS 4(DX), Z13
	VBROADCASTSS 8(DX), Z14
	VBROADCASTSS 12(DX), Z15
	VPXORQ Z10, Z10, Z10
	VMOVDQU squeeze<>(SB), Y11
	XORQ BX, BX

block:
	CUBIC16(0, Z0, Z2)
	CUBIC16(64, Z1, Z3)
	VPMOVUSDB Z0, X0
	VPMOVUSDB Z1, X1
	ADDQ $128, BX
	TESTL R8, R8
	JNE  narrow
	VMOVDQU X0, (DI)
	VMOVDQU X1, 16(DI)
	ADDQ $32, DI
	DECQ CX
	JNE  block
	VZEROUPPER
	RET

narrow:
	VPSHUFB X11, X0, X0
	VPSHUFB X11, X1, X1
	VMOVDQU X0, (DI)
	VMOVDQU X1, 12(DI)
	ADDQ $24, DI
	DECQ CX
	JNE  block
	VZEROUPPER
	RET
