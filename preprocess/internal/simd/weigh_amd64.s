#include "textflag.h"

// func weighAVX2(sums *int16, near, far *byte, n int)
TEXT ·weighAVX2(SB), NOSPLIT, $0-32
	MOVQ sums+0(FP), DI
	MOVQ near+8(FP), AX
	MOVQ far+16(FP), BX
	MOVQ n+24(FP), DX

loop:
	VPMOVZXBW (AX), Y0
	VPMOVZXBW (BX), Y1
	VPADDW  Y0, Y0, Y2
	VPADDW  Y0, Y1, Y1
	VPADDW  Y2, Y1, Y1
	VMOVDQU Y1, (DI)
	ADDQ $16, AX
	ADDQ $16, BX
	ADDQ $32, DI
	SUBQ $16, DX
	JG   loop
	VZEROUPPER
	RET
