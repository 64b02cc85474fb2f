#include "textflag.h"

// Eight copies of a 32-bit number.
#define EIGHT(name, value) \
	DATA name<>+0(SB)/4, $value  \
	DATA name<>+4(SB)/4, $value  \
	DATA name<>+8(SB)/4, $value  \
	DATA name<>+12(SB)/4, $value \
	DATA name<>+16(SB)/4, $value \
	DATA name<>+20(SB)/4, $value \
	DATA name<>+24(SB)/4, $value \
	DATA name<>+28(SB)/4, $value \
	GLOBL name<>(SB), RODATA|NOPTR, $32

EIGHT(fix0298631336, 2446)
EIGHT(fix0390180644, 3196)
EIGHT(fix0541196100, 4433)
EIGHT(fix0765366865, 6270)
EIGHT(fix0899976223, 7373)
EIGHT(fix1175875602, 9633)
EIGHT(fix1501321110, 12299)
EIGHT(fix1847759065, 15137)
EIGHT(fix1961570560, 16069)
EIGHT(fix2053119869, 16819)
EIGHT(fix2562915447, 20995)
EIGHT(fix3072711026, 25172)
EIGHT(half1, 0x400)
EIGHT(half2, 0x20000)
EIGHT(signs, 0x80808080)

// Takes four columns of four rows to four rows of four columns, in bytes.
DATA transpose4<>+0(SB)/8, $0x0D0905010C080400
DATA transpose4<>+8(SB)/8, $0x0F0B07030E0A0602
DATA transpose4<>+16(SB)/8, $0x0D0905010C080400
DATA transpose4<>+24(SB)/8, $0x0F0B07030E0A0602
GLOBL transpose4<>(SB), RODATA|NOPTR, $32

// The one-dimensional inverse DCT of idct.go on eight columns, from Y0 to Y7 to Y8 to Y15.
#define DCT8(half, down) \
	VPADDD  Y6, Y2, Y8                  \
	VPMULLD fix0541196100<>(SB), Y8, Y8 \
	VPMULLD fix1847759065<>(SB), Y6, Y6 \
	VPMULLD fix0765366865<>(SB), Y2, Y2 \
	VPSUBD  Y6, Y8, Y9                  \
	VPADDD  Y2, Y8, Y10                 \
	VPADDD  Y4, Y0, Y8                  \
	VPSUBD  Y4, Y0, Y11                 \
	VPSLLD  $13, Y8, Y8                 \
	VPSLLD  $13, Y11, Y11               \
	VPADDD  half<>(SB), Y8, Y8          \
	VPADDD  half<>(SB), Y11, Y11        \
	VPADDD  Y10, Y8, Y0                 \ // e0
	VPSUBD  Y10, Y8, Y4                 \ // e3
	VPADDD  Y9, Y11, Y2                 \ // e1
	VPSUBD  Y9, Y11, Y6                 \ // e2
	VPADDD  Y3, Y7, Y8                  \
	VPADDD  Y1, Y5, Y9                  \
	VPADDD  Y9, Y8, Y10                 \
	VPMULLD fix1175875602<>(SB), Y10, Y10 \
	VPMULLD fix1961570560<>(SB), Y8, Y8 \
	VPMULLD fix0390180644<>(SB), Y9, Y9 \
	VPSUBD  Y8, Y10, Y8                 \ // z3
	VPSUBD  Y9, Y10, Y9                 \ // z4
	VPADDD  Y1, Y7, Y10                 \
	VPADDD  Y3, Y5, Y11                 \
	VPMULLD fix0899976223<>(SB), Y10, Y10 \
	VPMULLD fix2562915447<>(SB), Y11, Y11 \
	VPMULLD fix0298631336<>(SB), Y7, Y7 \
	VPMULLD fix2053119869<>(SB), Y5, Y5 \
	VPMULLD fix3072711026<>(SB), Y3, Y3 \
	VPMULLD fix1501321110<>(SB), Y1, Y1 \
	VPSUBD  Y10, Y7, Y7                 \
	VPSUBD  Y11, Y5, Y5                 \
	VPSUBD  Y11, Y3, Y3                 \
	VPSUBD  Y10, Y1, Y1                 \
	VPADDD  Y8, Y7, Y7                  \ // o0
	VPADDD  Y9, Y5, Y5                  \ // o1
	VPADDD  Y8, Y3, Y3                  \ // o2
	VPADDD  Y9, Y1, Y1                  \ // o3
	VPADDD  Y1, Y0, Y8                  \
	VPADDD  Y3, Y2, Y9                  \
	VPADDD  Y5, Y6, Y10                 \
	VPADDD  Y7, Y4, Y11                 \
	VPSUBD  Y7, Y4, Y12                 \
	VPSUBD  Y5, Y6, Y13                 \
	VPSUBD  Y3, Y2, Y14                 \
	VPSUBD  Y1, Y0, Y15                 \
	VPSRAD  down, Y8, Y8                \
	VPSRAD  down, Y9, Y9                \
	VPSRAD  down, Y10, Y10              \
	VPSRAD  down, Y11, Y11              \
	VPSRAD  down, Y12, Y12              \
	VPSRAD  down, Y13, Y13              \
	VPSRAD  down, Y14, Y14              \
	VPSRAD  down, Y15, Y15

// func inverseDCTAVX2(coefs *[64]int16, dst *byte, stride int)
TEXT ·inverseDCTAVX2(SB), NOSPLIT, $0-24
	MOVQ coefs+0(FP), AX
	MOVQ dst+8(FP), DI
	MOVQ stride+16(FP), DX

	VPMOVSXWD 0(AX), Y0
	VPMOVSXWD 16(AX), Y1
	VPMOVSXWD 32(AX), Y2
	VPMOVSXWD 48(AX), Y3
	VPMOVSXWD 64(AX), Y4
	VPMOVSXWD 80(AX), Y5
	VPMOVSXWD 96(AX), Y6
	VPMOVSXWD 112(AX), Y7
	DCT8(half1, $11)

	// Transpose Y8 to Y15 into Y0 to Y7.
	VPUNPCKLDQ  Y9, Y8, Y0
	VPUNPCKHDQ  Y9, Y8, Y1
	VPUNPCKLDQ  Y11, Y10, Y2
	VPUNPCKHDQ  Y11, Y10, Y3
	VPUNPCKLDQ  Y13, Y12, Y4
	VPUNPCKHDQ  Y13, Y12, Y5
	VPUNPCKLDQ  Y15, Y14, Y6
	VPUNPCKHDQ  Y15, Y14, Y7
	VPUNPCKLQDQ Y2, Y0, Y8
	VPUNPCKHQDQ Y2, Y0, Y9
	VPUNPCKLQDQ Y3, Y1, Y10
	VPUNPCKHQDQ Y3, Y1, Y11
	VPUNPCKLQDQ Y6, Y4, Y12
	VPUNPCKHQDQ Y6, Y4, Y13
	VPUNPCKLQDQ Y7, Y5, Y14
	VPUNPCKHQDQ Y7, Y5, Y15
	VPERM2I128  $0x20, Y12, Y8, Y0
	VPERM2I128  $0x20, Y13, Y9, Y1
	VPERM2I128  $0x20, Y14, Y10, Y2
	VPERM2I128  $0x20, Y15, Y11, Y3
	VPERM2I128  $0x31, Y12, Y8, Y4
	VPERM2I128  $0x31, Y13, Y9, Y5
	VPERM2I128  $0x31, Y14, Y10, Y6
	VPERM2I128  $0x31, Y15, Y11, Y7
	DCT8(half2, $18)

	// Now Y8 to Y15 are columns. Saturate to signed bytes, make them unsigned, transpose.
	VPACKSSDW Y9, Y8, Y8
	VPACKSSDW Y11, Y10, Y10
	VPACKSSDW Y13, Y12, Y12
	VPACKSSDW Y15, Y14, Y14
	VPACKSSWB Y10, Y8, Y8
	VPACKSSWB Y14, Y12, Y12
	VPXOR     signs<>(SB), Y8, Y8
	VPXOR     signs<>(SB), Y12, Y12
	VPSHUFB   transpose4<>(SB), Y8, Y8
	VPSHUFB   transpose4<>(SB), Y12, Y12
	VPUNPCKLDQ Y12, Y8, Y0 // rows 0, 1 and 4, 5
	VPUNPCKHDQ Y12, Y8, Y1 // rows 2, 3 and 6, 7
	VEXTRACTI128 $1, Y0, X2
	VEXTRACTI128 $1, Y1, X3
	LEAQ    (DX)(DX*2), CX
	LEAQ    (DI)(DX*4), SI
	VMOVQ   X0, (DI)
	VPEXTRQ $1, X0, (DI)(DX*1)
	VMOVQ   X1, (DI)(DX*2)
	VPEXTRQ $1, X1, (DI)(CX*1)
	VMOVQ   X2, (SI)
	VPEXTRQ $1, X2, (SI)(DX*1)
	VMOVQ   X3, (SI)(DX*2)
	VPEXTRQ $1, X3, (SI)(CX*1)
	VZEROUPPER
	RET

// Eight copies of a 16-bit number.
#define EIGHT16(name, value) \
	DATA name<>+0(SB)/4, $value \
	DATA name<>+4(SB)/4, $value \
	DATA name<>+8(SB)/4, $value \
	DATA name<>+12(SB)/4, $value \
	GLOBL name<>(SB), RODATA|NOPTR, $16

EIGHT16(fast1082, 0x45404540)
EIGHT16(fast1414, 0x5A805A80)
EIGHT16(fast1613, 0x98C098C0)
EIGHT16(fast1847, 0x76407640)

// The one-dimensional inverse DCT of fastidct.go on eight columns, from X0 to X7 to X0 to X7.
#define FASTDCT8 \
	VPADDW  X4, X0, X8              \ // t10
	VPSUBW  X4, X0, X9              \ // t11
	VPADDW  X6, X2, X10             \ // t13
	VPSUBW  X6, X2, X11             \
	VPSLLW  $2, X11, X11            \
	VPMULHW fast1414<>(SB), X11, X11 \
	VPSUBW  X10, X11, X11           \ // t12
	VPADDW  X10, X8, X12            \ // t0
	VPSUBW  X10, X8, X13            \ // t3
	VPADDW  X11, X9, X14            \ // t1
	VPSUBW  X11, X9, X15            \ // t2
	VPADDW  X3, X5, X8              \ // z13
	VPSUBW  X3, X5, X9              \ // z10
	VPADDW  X7, X1, X10             \ // z11
	VPSUBW  X7, X1, X11             \ // z12
	VPADDW  X8, X10, X7             \ // t7
	VPSUBW  X8, X10, X10            \
	VPSLLW  $2, X10, X10            \
	VPMULHW fast1414<>(SB), X10, X10 \
	VPSLLW  $2, X9, X5              \
	VPSLLW  $2, X11, X11            \
	VPADDW  X5, X11, X6             \
	VPMULHW fast1847<>(SB), X6, X6  \ // z5
	VPMULHW fast1613<>(SB), X5, X5  \
	VPMULHW fast1082<>(SB), X11, X11 \
	VPSUBW  X9, X5, X5              \
	VPADDW  X6, X5, X5              \
	VPSUBW  X7, X5, X8              \ // t6
	VPSUBW  X8, X10, X9             \ // t5
	VPSUBW  X6, X11, X11            \
	VPADDW  X9, X11, X11            \ // t4
	VPADDW  X7, X12, X0             \
	VPSUBW  X7, X12, X7             \
	VPADDW  X8, X14, X1             \
	VPSUBW  X8, X14, X6             \
	VPADDW  X9, X15, X2             \
	VPSUBW  X9, X15, X5             \
	VPSUBW  X11, X13, X3            \
	VPADDW  X11, X13, X4

// func fastDCTAVX2(coefs *[64]int16, dst *byte, stride int)
TEXT ·fastDCTAVX2(SB), NOSPLIT, $0-24
	MOVQ coefs+0(FP), AX
	MOVQ dst+8(FP), DI
	MOVQ stride+16(FP), DX
	VMOVDQU 0(AX), X0
	VMOVDQU 16(AX), X1
	VMOVDQU 32(AX), X2
	VMOVDQU 48(AX), X3
	VMOVDQU 64(AX), X4
	VMOVDQU 80(AX), X5
	VMOVDQU 96(AX), X6
	VMOVDQU 112(AX), X7
	FASTDCT8

	// Transpose.
	VPUNPCKLWD  X1, X0, X8
	VPUNPCKHWD  X1, X0, X9
	VPUNPCKLWD  X3, X2, X10
	VPUNPCKHWD  X3, X2, X11
	VPUNPCKLWD  X5, X4, X12
	VPUNPCKHWD  X5, X4, X13
	VPUNPCKLWD  X7, X6, X14
	VPUNPCKHWD  X7, X6, X15
	VPUNPCKLDQ  X10, X8, X0
	VPUNPCKHDQ  X10, X8, X1
	VPUNPCKLDQ  X11, X9, X2
	VPUNPCKHDQ  X11, X9, X3
	VPUNPCKLDQ  X14, X12, X4
	VPUNPCKHDQ  X14, X12, X5
	VPUNPCKLDQ  X15, X13, X6
	VPUNPCKHDQ  X15, X13, X7
	VPUNPCKLQDQ X4, X0, X8
	VPUNPCKHQDQ X4, X0, X9
	VPUNPCKLQDQ X5, X1, X10
	VPUNPCKHQDQ X5, X1, X11
	VPUNPCKLQDQ X6, X2, X12
	VPUNPCKHQDQ X6, X2, X13
	VPUNPCKLQDQ X7, X3, X14
	VPUNPCKHQDQ X7, X3, X15
	VMOVDQA X8, X0
	VMOVDQA X9, X1
	VMOVDQA X10, X2
	VMOVDQA X11, X3
	VMOVDQA X12, X4
	VMOVDQA X13, X5
	VMOVDQA X14, X6
	VMOVDQA X15, X7
	FASTDCT8

	// Now X0 to X7 are columns. Saturate to signed bytes, make them unsigned, transpose.
	VPSRAW $5, X0, X0
	VPSRAW $5, X1, X1
	VPSRAW $5, X2, X2
	VPSRAW $5, X3, X3
	VPSRAW $5, X4, X4
	VPSRAW $5, X5, X5
	VPSRAW $5, X6, X6
	VPSRAW $5, X7, X7
	VPACKSSWB X4, X0, X0 // columns 0 and 4
	VPACKSSWB X5, X1, X1
	VPACKSSWB X6, X2, X2
	VPACKSSWB X7, X3, X3
	VMOVDQU signs<>(SB), X15
	VPXOR X15, X0, X0
	VPXOR X15, X1, X1
	VPXOR X15, X2, X2
	VPXOR X15, X3, X3
	VPUNPCKLBW X1, X0, X8  // 00 01 10 11 .. 70 71
	VPUNPCKHBW X1, X0, X9  // 04 05 14 15 ..
	VPUNPCKLBW X3, X2, X10 // 02 03 12 13 ..
	VPUNPCKHBW X3, X2, X11 // 06 07 16 17 ..
	VPUNPCKLWD X10, X8, X0 // 00 to 03, 10 to 13, 20 .., 30 ..
	VPUNPCKHWD X10, X8, X1
	VPUNPCKLWD X11, X9, X2 // 04 to 07, 14 to 17, ..
	VPUNPCKHWD X11, X9, X3
	VPUNPCKLDQ X2, X0, X4  // rows 0 and 1
	VPUNPCKHDQ X2, X0, X5
	VPUNPCKLDQ X3, X1, X6
	VPUNPCKHDQ X3, X1, X7
	LEAQ    (DX)(DX*2), CX
	LEAQ    (DI)(DX*4), SI
	VMOVQ   X4, (DI)
	VPEXTRQ $1, X4, (DI)(DX*1)
	VMOVQ   X5, (DI)(DX*2)
	VPEXTRQ $1, X5, (DI)(CX*1)
	VMOVQ   X6, (SI)
	VPEXTRQ $1, X6, (SI)(DX*1)
	VMOVQ   X7, (SI)(DX*2)
	VPEXTRQ $1, X7, (SI)(CX*1)
	VZEROUPPER
	RET

EIGHT(center, 0x00800080)
EIGHT(crToR, 0x66E966E9) // 1.402 - 1
EIGHT(cbToB, 0xC5A2C5A2) // 1.772 - 2
EIGHT(toG, 0x492EA7E6)   // -0.34414 and, for Cr, 1 - 0.71414
EIGHT(half, 0x8000)

// Where the reds, greens and blues of 16 pixels go in each third of their 48 bytes.
DATA red0<>+0(SB)/8, $0x8002808001808000
DATA red0<>+8(SB)/8, $0x0580800480800380
GLOBL red0<>(SB), RODATA|NOPTR, $16
DATA red1<>+0(SB)/8, $0x8080078080068080
DATA red1<>+8(SB)/8, $0x800A808009808008
GLOBL red1<>(SB), RODATA|NOPTR, $16
DATA red2<>+0(SB)/8, $0x0D80800C80800B80
DATA red2<>+8(SB)/8, $0x80800F80800E8080
GLOBL red2<>(SB), RODATA|NOPTR, $16
DATA green0<>+0(SB)/8, $0x0280800180800080
DATA green0<>+8(SB)/8, $0x8080048080038080
GLOBL green0<>(SB), RODATA|NOPTR, $16
DATA green1<>+0(SB)/8, $0x8007808006808005
DATA green1<>+8(SB)/8, $0x0A80800980800880
GLOBL green1<>(SB), RODATA|NOPTR, $16
DATA green2<>+0(SB)/8, $0x80800C80800B8080
DATA green2<>+8(SB)/8, $0x800F80800E80800D
GLOBL green2<>(SB), RODATA|NOPTR, $16
DATA blue0<>+0(SB)/8, $0x8080018080008080
DATA blue0<>+8(SB)/8, $0x8004808003808002
GLOBL blue0<>(SB), RODATA|NOPTR, $16
DATA blue1<>+0(SB)/8, $0x0780800680800580
DATA blue1<>+8(SB)/8, $0x8080098080088080
GLOBL blue1<>(SB), RODATA|NOPTR, $16
DATA blue2<>+0(SB)/8, $0x800C80800B80800A
DATA blue2<>+8(SB)/8, $0x0F80800E80800D80
GLOBL blue2<>(SB), RODATA|NOPTR, $16

// func yccRowAVX2(dst, ys, cbs, crs *byte, n int)
//
// 16 bits do for a product with less than a half, doubled, of which the high half is rounded.
TEXT ·yccRowAVX2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ ys+8(FP), AX
	MOVQ cbs+16(FP), BX
	MOVQ crs+24(FP), CX
	MOVQ n+32(FP), DX
	VMOVDQU center<>(SB), Y11
	VMOVDQU crToR<>(SB), Y12
	VMOVDQU cbToB<>(SB), Y13
	VMOVDQU toG<>(SB), Y14
	VMOVDQU half<>(SB), Y10
	VPCMPEQW Y15, Y15, Y15 // -1

loop:
	VPMOVZXBW (AX), Y0
	VPMOVZXBW (BX), Y1
	VPMOVZXBW (CX), Y2
	VPSUBW    Y11, Y1, Y1
	VPSUBW    Y11, Y2, Y2

	VPADDW  Y2, Y2, Y3
	VPMULHW Y12, Y3, Y3
	VPSUBW  Y15, Y3, Y3
	VPSRAW  $1, Y3, Y3
	VPADDW  Y2, Y3, Y3
	VPADDW  Y0, Y3, Y3 // R

	VPADDW  Y1, Y1, Y4
	VPMULHW Y13, Y4, Y5
	VPSUBW  Y15, Y5, Y5
	VPSRAW  $1, Y5, Y5
	VPADDW  Y5, Y4, Y4
	VPADDW  Y0, Y4, Y4 // B

	VPUNPCKLWD Y2, Y1, Y5
	VPUNPCKHWD Y2, Y1, Y6
	VPMADDWD   Y14, Y5, Y5
	VPMADDWD   Y14, Y6, Y6
	VPADDD     Y10, Y5, Y5
	VPADDD     Y10, Y6, Y6
	VPSRAD     $16, Y5, Y5
	VPSRAD     $16, Y6, Y6
	VPACKSSDW  Y6, Y5, Y5
	VPSUBW     Y2, Y5, Y5
	VPADDW     Y0, Y5, Y5 // G

	VEXTRACTI128 $1, Y3, X6
	VEXTRACTI128 $1, Y4, X7
	VEXTRACTI128 $1, Y5, X8
	VPACKUSWB    X6, X3, X3
	VPACKUSWB    X7, X4, X4
	VPACKUSWB    X8, X5, X5
	VPSHUFB red0<>(SB), X3, X0
	VPSHUFB green0<>(SB), X5, X1
	VPSHUFB blue0<>(SB), X4, X2
	VPOR    X1, X0, X0
	VPOR    X2, X0, X0
	VMOVDQU X0, (DI)
	VPSHUFB red1<>(SB), X3, X0
	VPSHUFB green1<>(SB), X5, X1
	VPSHUFB blue1<>(SB), X4, X2
	VPOR    X1, X0, X0
	VPOR    X2, X0, X0
	VMOVDQU X0, 16(DI)
	VPSHUFB red2<>(SB), X3, X0
	VPSHUFB green2<>(SB), X5, X1
	VPSHUFB blue2<>(SB), X4, X2
	VPOR    X1, X0, X0
	VPOR    X2, X0, X0
	VMOVDQU X0, 32(DI)
	ADDQ    $16, AX
	ADDQ    $16, BX
	ADDQ    $16, CX
	ADDQ    $48, DI
	SUBQ    $16, DX
	JG      loop
	VZEROUPPER
	RET

// func doubleAVX2(dst *byte, sums *int16, n int, even, odd int16)
TEXT ·doubleAVX2(SB), NOSPLIT, $0-28
	MOVQ dst+0(FP), DI
	MOVQ sums+8(FP), AX
	MOVQ n+16(FP), DX
	VPBROADCASTW even+24(FP), Y8
	VPBROADCASTW odd+26(FP), Y9

loop:
	VMOVDQU (AX), Y0
	VPADDW  Y0, Y0, Y1
	VPADDW  Y0, Y1, Y1
	VPADDW  -2(AX), Y1, Y2
	VPADDW  2(AX), Y1, Y3
	VPADDW  Y8, Y2, Y2
	VPADDW  Y9, Y3, Y3
	VPSRLW  $4, Y2, Y2
	VPSRLW  $4, Y3, Y3
	VPSLLW  $8, Y3, Y3
	VPOR    Y3, Y2, Y2
	VMOVDQU Y2, (DI)
	ADDQ $32, AX
	ADDQ $32, DI
	SUBQ $16, DX
	JG   loop
	VZEROUPPER
	RET

EIGHT(most16, 0x7FFF7FFF)
EIGHT(most20, 0x000FFFFF)

DATA allButFirst<>+0(SB)/8, $0xFFFFFFFFFFFF0000
DATA allButFirst<>+8(SB)/8, $0xFFFFFFFFFFFFFFFF
DATA allButFirst<>+16(SB)/8, $0xFFFFFFFFFFFFFFFF
DATA allButFirst<>+24(SB)/8, $0xFFFFFFFFFFFFFFFF
GLOBL allButFirst<>(SB), RODATA|NOPTR, $32

// Stores 16 products and adds to Y1 their magnitudes, in pairs. No number that counts for less
// than it is counts for less than maxPlainSize.
#define DEQUANTIZE(at, products) \
	VMOVDQU  at(SI), Y4                 \
	VMOVDQU  at(DX), Y5                 \
	VPMULLW  Y5, Y4, products           \
	VMOVDQU  products, at(DI)           \
	VPABSW   Y4, Y4                     \
	VPMINUW  Y2, Y4, Y4                 \
	VPMINUW  Y2, Y5, Y5                 \
	VPMADDWD Y5, Y4, Y4                 \
	VPMINUD  Y3, Y4, Y4                 \
	VPADDD   Y4, Y1, Y1

// func dequantizeAVX2(dst *[64]int16, coefs *coefBlock, divisors *[64]uint16) (size int, ac bool)
TEXT ·dequantizeAVX2(SB), NOSPLIT, $0-33
	MOVQ dst+0(FP), DI
	MOVQ coefs+8(FP), SI
	MOVQ divisors+16(FP), DX
	VMOVDQU most16<>(SB), Y2
	VMOVDQU most20<>(SB), Y3
	VPXOR   Y1, Y1, Y1
	DEQUANTIZE(0, Y6)
	DEQUANTIZE(32, Y7)
	DEQUANTIZE(64, Y8)
	DEQUANTIZE(96, Y9)
	VPAND   allButFirst<>(SB), Y6, Y6
	VPOR    Y7, Y6, Y6
	VPOR    Y9, Y8, Y8
	VPOR    Y8, Y6, Y6
	VPTEST  Y6, Y6
	SETNE   ac+32(FP)
	VEXTRACTI128 $1, Y1, X0
	VPADDD  X0, X1, X1
	VPSHUFD $0x4E, X1, X0
	VPADDD  X0, X1, X1
	VPSHUFD $0xB1, X1, X0
	VPADDD  X0, X1, X1
	VMOVD   X1, AX
	MOVQ    AX, size+24(FP)
	VZEROUPPER
	RET
