#include "textflag.h"

// Two pixels, R0 G0 B0 R1 G1 B1, in the order R0 R1 G0 G1 B0 B1: each channel meets the pair of weights k0 k1.
DATA pairs<>+0(SB)/8, $0x8080050204010300
DATA pairs<>+8(SB)/8, $0x8080808080808080
GLOBL pairs<>(SB), RODATA|NOPTR, $16

// One pixel, R0 G0 B0, in the same places; the others are 0.
DATA single<>+0(SB)/8, $0x8080800280018000
DATA single<>+8(SB)/8, $0x8080808080808080
GLOBL single<>(SB), RODATA|NOPTR, $16

// Half of the last bit kept, once for each channel.
DATA half<>+0(SB)/8, $0x0000000000200000
DATA half<>+8(SB)/8, $0x0000000000200000
DATA half<>+16(SB)/8, $0x0000000000200000
DATA half<>+24(SB)/8, $0x0000000000000000
GLOBL half<>(SB), RODATA|NOPTR, $32

// func horizontalAVX2(out, row *uint8, windows *window, count int)
//
// A window is {start int; weights []int32}: 32 bytes.
TEXT ·horizontalAVX2(SB), NOSPLIT, $0-32
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ windows+16(FP), BX
	MOVQ count+24(FP), CX
	VMOVDQU pairs<>(SB), X5
	VMOVDQU single<>(SB), X6
	VMOVDQU half<>(SB), Y7

pixel:
	MOVQ 0(BX), AX              // start
	MOVQ 8(BX), R8              // weights
	MOVQ 16(BX), R9             // how many
	LEAQ (AX)(AX*2), AX
	ADDQ SI, AX
	VMOVDQA Y7, Y0
	VPXOR Y1, Y1, Y1
	SUBQ $4, R9
	JLT  rest

four:
	VMOVQ (AX), X2
	VMOVQ 6(AX), X3
	VPSHUFB X5, X2, X2
	VPSHUFB X5, X3, X3
	VPMOVZXBD X2, Y2
	VPMOVZXBD X3, Y3
	VPBROADCASTQ (R8), Y8
	VPBROADCASTQ 8(R8), Y9
	VPMULLD Y8, Y2, Y2
	VPMULLD Y9, Y3, Y3
	VPADDD Y2, Y0, Y0
	VPADDD Y3, Y1, Y1
	ADDQ $12, AX
	ADDQ $16, R8
	SUBQ $4, R9
	JGE  four
	VPADDD Y1, Y0, Y0

rest:
	TESTQ $2, R9
	JEQ  odd
	VMOVQ (AX), X2
	VPSHUFB X5, X2, X2
	VPMOVZXBD X2, Y2
	VPBROADCASTQ (R8), Y8
	VPMULLD Y8, Y2, Y2
	VPADDD Y2, Y0, Y0
	ADDQ $6, AX
	ADDQ $8, R8

odd:
	TESTQ $1, R9
	JEQ  store
	VMOVD (AX), X2
	VPSHUFB X6, X2, X2
	VPMOVZXBD X2, Y2
	VPBROADCASTD (R8), Y8
	VPMULLD Y8, Y2, Y2
	VPADDD Y2, Y0, Y0

store:
	VEXTRACTI128 $1, Y0, X1
	VPHADDD X1, X0, X0          // R G B 0
	VPSRAD $22, X0, X0
	VPACKSSDW X0, X0, X0
	VPACKUSWB X0, X0, X0
	VMOVD X0, R10
	MOVW R10, (DI)
	SHRL $16, R10
	MOVB R10, 2(DI)
	ADDQ $3, DI
	ADDQ $32, BX
	DECQ CX
	JNE  pixel
	VZEROUPPER
	RET

// The order in which the packing of sums leaves its groups of four bytes, undone.
DATA order<>+0(SB)/8, $0x0000000400000000
DATA order<>+8(SB)/8, $0x0000000500000001
DATA order<>+16(SB)/8, $0x0000000600000002
DATA order<>+24(SB)/8, $0x0000000700000003
GLOBL order<>(SB), RODATA|NOPTR, $32

DATA halves<>+0(SB)/4, $0x00200000
GLOBL halves<>(SB), RODATA|NOPTR, $4

// func verticalAVX2(out, rows *uint8, weights *int32, stride, taps, size int)
//
// It makes 32 bytes at a time. The last 32 may overlap those before.
TEXT ·verticalAVX2(SB), NOSPLIT, $0-48
	MOVQ out+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ weights+16(FP), R8
	MOVQ stride+24(FP), DX
	MOVQ taps+32(FP), R9
	MOVQ size+40(FP), CX
	VMOVDQU order<>(SB), Y10
	VPBROADCASTD halves<>(SB), Y11
	XORQ BX, BX                 // the first byte of the block
	SUBQ $32, CX                // and of the last block

block:
	LEAQ (SI)(BX*1), AX
	MOVQ R8, R10
	MOVQ R9, R11
	VMOVDQA Y11, Y0
	VMOVDQA Y11, Y1
	VMOVDQA Y11, Y2
	VMOVDQA Y11, Y3

tap:
	VPBROADCASTD (R10), Y8
	VPMOVZXBD (AX), Y4
	VPMOVZXBD 8(AX), Y5
	VPMOVZXBD 16(AX), Y6
	VPMOVZXBD 24(AX), Y7
	VPMULLD Y8, Y4, Y4
	VPMULLD Y8, Y5, Y5
	VPMULLD Y8, Y6, Y6
	VPMULLD Y8, Y7, Y7
	VPADDD Y4, Y0, Y0
	VPADDD Y5, Y1, Y1
	VPADDD Y6, Y2, Y2
	VPADDD Y7, Y3, Y3
	ADDQ DX, AX
	ADDQ $4, R10
	DECQ R11
	JNE  tap

	VPSRAD $22, Y0, Y0
	VPSRAD $22, Y1, Y1
	VPSRAD $22, Y2, Y2
	VPSRAD $22, Y3, Y3
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPACKUSWB Y2, Y0, Y0
	VPERMD Y0, Y10, Y0
	VMOVDQU Y0, (DI)(BX*1)
	CMPQ BX, CX
	JEQ  done
	ADDQ $32, BX
	CMPQ BX, CX
	JLE  block
	MOVQ CX, BX
	JMP  block

done:
	VZEROUPPER
	RET
