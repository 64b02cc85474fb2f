#include "textflag.h"

// func selectAVX2(row, above *uint32, left uint32, n int)
TEXT ·selectAVX2(SB), NOSPLIT, $0-32
	MOVQ  row+0(FP), DI
	MOVQ  above+8(FP), SI
	MOVL  left+16(FP), AX
	VMOVD AX, X0
	MOVQ  n+24(FP), CX

loop:
	VMOVD     (SI), X1 // the corner
	VMOVD     4(SI), X2
	VPSADBW   X1, X2, X3
	VPSADBW   X1, X0, X4
	VPCMPGTD  X3, X4, X4
	VPBLENDVB X4, X0, X2, X2
	VMOVD     (DI), X1
	VPADDB    X1, X2, X0
	VMOVD     X0, (DI)
	ADDQ      $4, SI
	ADDQ      $4, DI
	DECQ      CX
	JNE       loop
	RET

// func fullAVX2(row, above *uint32, left uint32, n int)
TEXT ·fullAVX2(SB), NOSPLIT, $0-32
	MOVQ  row+0(FP), DI
	MOVQ  above+8(FP), SI
	MOVL  left+16(FP), AX
	VMOVD AX, X0
	MOVQ  n+24(FP), CX
	VMOVD (SI), X1
	VPMOVZXBW X0, X0
	VPMOVZXBW X1, X1 // the corner

loop:
	VMOVD     4(SI), X2
	VPMOVZXBW X2, X2
	VPSUBW    X1, X2, X3
	VPADDW    X3, X0, X0
	VPACKUSWB X0, X0, X0
	VMOVD     (DI), X4
	VPADDB    X4, X0, X0
	VMOVD     X0, (DI)
	VPMOVZXBW X0, X0
	VMOVDQA   X2, X1
	ADDQ      $4, SI
	ADDQ      $4, DI
	DECQ      CX
	JNE       loop
	RET

// func halfAVX2(row, above *uint32, left uint32, n int)
TEXT ·halfAVX2(SB), NOSPLIT, $0-32
	MOVQ  row+0(FP), DI
	MOVQ  above+8(FP), SI
	MOVL  left+16(FP), AX
	VMOVD AX, X0
	MOVQ  n+24(FP), CX
	VMOVD (SI), X1
	VPMOVZXBW X0, X0
	VPMOVZXBW X1, X1 // the corner

loop:
	VMOVD     4(SI), X2
	VPMOVZXBW X2, X2
	VPADDW    X2, X0, X0
	VPSRLW    $1, X0, X0 // the mean
	VPSUBW    X1, X0, X3
	VPSRLW    $15, X3, X4
	VPADDW    X4, X3, X3
	VPSRAW    $1, X3, X3
	VPADDW    X3, X0, X0
	VPACKUSWB X0, X0, X0
	VMOVD     (DI), X4
	VPADDB    X4, X0, X0
	VMOVD     X0, (DI)
	VPMOVZXBW X0, X0
	VMOVDQA   X2, X1
	ADDQ      $4, SI
	ADDQ      $4, DI
	DECQ      CX
	JNE       loop
	RET

// func addColorsAVX2(row *uint32, n int, greenRed, greenBlue, redBlue int32)
TEXT ·addColorsAVX2(SB), NOSPLIT, $0-28
	MOVQ         row+0(FP), DI
	MOVQ         n+8(FP), CX
	MOVL         greenRed+16(FP), AX
	VMOVD        AX, X8
	VPBROADCASTD X8, Y8
	MOVL         greenBlue+20(FP), AX
	VMOVD        AX, X9
	VPBROADCASTD X9, Y9
	MOVL         redBlue+24(FP), AX
	VMOVD        AX, X10
	VPBROADCASTD X10, Y10
	VPCMPEQD     Y11, Y11, Y11
	VPSRLD       $24, Y11, Y11 // 0x000000FF
	VPSLLD       $16, Y11, Y12
	VPOR         Y11, Y12, Y12 // 0x00FF00FF

loop:
	VMOVDQU (DI), Y0
	VPSLLD  $16, Y0, Y1
	VPSRAD  $24, Y1, Y1 // green
	VPMULLD Y8, Y1, Y2
	VPMULLD Y9, Y1, Y3
	VPSRAD  $5, Y2, Y2
	VPSRAD  $5, Y3, Y3
	VPSRLD  $16, Y0, Y4
	VPADDD  Y4, Y2, Y2 // red
	VPADDD  Y0, Y3, Y3 // blue without red's part
	VPSLLD  $24, Y2, Y4
	VPSRAD  $24, Y4, Y4
	VPMULLD Y10, Y4, Y4
	VPSRAD  $5, Y4, Y4
	VPADDD  Y4, Y3, Y3
	VPSLLD  $16, Y2, Y2
	VPAND   Y11, Y3, Y3
	VPBLENDW $0xAA, Y2, Y3, Y3 // red in the upper halves
	VPAND   Y12, Y3, Y3
	VPANDN  Y0, Y12, Y0
	VPOR    Y3, Y0, Y0
	VMOVDQU Y0, (DI)
	ADDQ    $32, DI
	SUBQ    $8, CX
	JG      loop
	VZEROUPPER
	RET

DATA greens<>+0(SB)/8, $0x8005800580018001
DATA greens<>+8(SB)/8, $0x800D800D80098009
DATA greens<>+16(SB)/8, $0x8005800580018001
DATA greens<>+24(SB)/8, $0x800D800D80098009
GLOBL greens<>(SB), RODATA|NOPTR, $32

// func addGreenAVX2(row *uint32, n int)
TEXT ·addGreenAVX2(SB), NOSPLIT, $0-16
	MOVQ    row+0(FP), DI
	MOVQ    n+8(FP), CX
	VMOVDQU greens<>(SB), Y1

loop:
	VMOVDQU (DI), Y0
	VPSHUFB Y1, Y0, Y2
	VPADDB  Y2, Y0, Y0
	VMOVDQU Y0, (DI)
	ADDQ    $32, DI
	SUBQ    $8, CX
	JG      loop
	VZEROUPPER
	RET

// func addRowAVX2(row, above *uint32, n int)
TEXT ·addRowAVX2(SB), NOSPLIT, $0-24
	MOVQ row+0(FP), DI
	MOVQ above+8(FP), SI
	MOVQ n+16(FP), CX

loop:
	VMOVDQU (DI), X0
	VPADDB  (SI), X0, X0
	VMOVDQU X0, (DI)
	ADDQ    $16, DI
	ADDQ    $16, SI
	SUBQ    $4, CX
	JG      loop
	RET

DATA toRGB<>+0(SB)/8, $0x090A040506000102
DATA toRGB<>+8(SB)/8, $0x808080800C0D0E08
GLOBL toRGB<>(SB), RODATA|NOPTR, $16

// func putRGBAVX2(out *byte, row *uint32, n int)
TEXT ·putRGBAVX2(SB), NOSPLIT, $0-24
	MOVQ    out+0(FP), DI
	MOVQ    row+8(FP), SI
	MOVQ    n+16(FP), CX
	VMOVDQU toRGB<>(SB), X1

loop:
	VMOVDQU (SI), X0
	VPSHUFB X1, X0, X0
	VMOVDQU X0, (DI)
	ADDQ    $16, SI
	ADDQ    $12, DI
	SUBQ    $4, CX
	JG      loop
	RET
