#include "textflag.h"

// A span is {start int; weights []float32}, 32 bytes; a lerp {lower, upper int; weight float32},
// 24 bytes. Products are rounded before they are added: no fused operations.

#define SUMS \
	VMULPS Y8, Y4, Y4 \
	VMULPS Y8, Y5, Y5 \
	VMULPS Y8, Y6, Y6 \
	VMULPS Y8, Y7, Y7 \
	VADDPS Y4, Y0, Y0 \
	VADDPS Y5, Y1, Y1 \
	VADDPS Y6, Y2, Y2 \
	VADDPS Y7, Y3, Y3

#define STORE \
	VMULPS  Y11, Y0, Y0        \
	VMULPS  Y11, Y1, Y1        \
	VMULPS  Y11, Y2, Y2        \
	VMULPS  Y11, Y3, Y3        \
	VMOVUPS Y0, (DI)(BX*4)     \
	VMOVUPS Y1, 32(DI)(BX*4)   \
	VMOVUPS Y2, 64(DI)(BX*4)   \
	VMOVUPS Y3, 96(DI)(BX*4)

// func gatherRowsUint8AVX2(out *float32, rows *uint8, weights *float32, stride, taps, size int, scale float32)
//
// It makes 32 values at a time. The last 32 may overlap those before.
TEXT ·gatherRowsUint8AVX2(SB), NOSPLIT, $0-52
	MOVQ out+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ weights+16(FP), R8
	MOVQ stride+24(FP), DX
	MOVQ taps+32(FP), R9
	MOVQ size+40(FP), CX
	VBROADCASTSS scale+48(FP), Y11
	XORQ BX, BX                 // the first value of the block
	SUBQ $32, CX                // and of the last block

block:
	LEAQ (SI)(BX*1), AX
	MOVQ R8, R10
	MOVQ R9, R11
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3

tap:
	VBROADCASTSS (R10), Y8
	VPMOVZXBD (AX), Y4
	VPMOVZXBD 8(AX), Y5
	VPMOVZXBD 16(AX), Y6
	VPMOVZXBD 24(AX), Y7
	VCVTDQ2PS Y4, Y4
	VCVTDQ2PS Y5, Y5
	VCVTDQ2PS Y6, Y6
	VCVTDQ2PS Y7, Y7
	SUMS
	ADDQ DX, AX
	ADDQ $4, R10
	DECQ R11
	JNE  tap

	STORE
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

// func gatherRowsFloat32AVX2(out, rows, weights *float32, stride, taps, size int, scale float32)
TEXT ·gatherRowsFloat32AVX2(SB), NOSPLIT, $0-52
	MOVQ out+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ weights+16(FP), R8
	MOVQ stride+24(FP), DX
	MOVQ taps+32(FP), R9
	MOVQ size+40(FP), CX
	VBROADCASTSS scale+48(FP), Y11
	SHLQ $2, DX
	XORQ BX, BX
	SUBQ $32, CX

block:
	LEAQ (SI)(BX*4), AX
	MOVQ R8, R10
	MOVQ R9, R11
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3

tap:
	VBROADCASTSS (R10), Y8
	VMOVUPS (AX), Y4
	VMOVUPS 32(AX), Y5
	VMOVUPS 64(AX), Y6
	VMOVUPS 96(AX), Y7
	SUMS
	ADDQ DX, AX
	ADDQ $4, R10
	DECQ R11
	JNE  tap

	STORE
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

// func gatherColumnsFloat32AVX2(out, row *float32, spans *span, count, channels int)
//
// It reads and writes 4 values a pixel.
TEXT ·gatherColumnsFloat32AVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ spans+16(FP), BX
	MOVQ count+24(FP), CX
	MOVQ channels+32(FP), DX
	SHLQ $2, DX

pixel:
	MOVQ 0(BX), AX
	MOVQ 8(BX), R8
	MOVQ 16(BX), R9
	IMULQ DX, AX
	ADDQ SI, AX
	VXORPS X0, X0, X0
	TESTQ R9, R9
	JEQ  store

tap:
	VBROADCASTSS (R8), X8
	VMULPS (AX), X8, X4
	VADDPS X4, X0, X0
	ADDQ DX, AX
	ADDQ $4, R8
	DECQ R9
	JNE  tap

store:
	VMOVUPS X0, (DI)
	ADDQ DX, DI
	ADDQ $32, BX
	DECQ CX
	JNE  pixel
	VZEROUPPER
	RET

// func gatherColumnsUint8AVX2(out *float32, row *uint8, spans *span, count, channels int)
TEXT ·gatherColumnsUint8AVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ spans+16(FP), BX
	MOVQ count+24(FP), CX
	MOVQ channels+32(FP), DX

pixel:
	MOVQ 0(BX), AX
	MOVQ 8(BX), R8
	MOVQ 16(BX), R9
	IMULQ DX, AX
	ADDQ SI, AX
	VXORPS X0, X0, X0
	TESTQ R9, R9
	JEQ  store

tap:
	VBROADCASTSS (R8), X8
	VPMOVZXBD (AX), X4
	VCVTDQ2PS X4, X4
	VMULPS X8, X4, X4
	VADDPS X4, X0, X0
	ADDQ DX, AX
	ADDQ $4, R8
	DECQ R9
	JNE  tap

store:
	VMOVUPS X0, (DI)
	LEAQ (DI)(DX*4), DI
	ADDQ $32, BX
	DECQ CX
	JNE  pixel
	VZEROUPPER
	RET

// func lerpColumnsUint8AVX2(out *float32, row *uint8, lerps *lerp, count, channels int)
//
// It reads and writes 4 values a pixel.
TEXT ·lerpColumnsUint8AVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ lerps+16(FP), BX
	MOVQ count+24(FP), CX
	MOVQ channels+32(FP), DX

pixel:
	MOVQ 0(BX), AX
	MOVQ 8(BX), R8
	VBROADCASTSS 16(BX), X8
	VPMOVZXBD (SI)(AX*1), X0
	VPMOVZXBD (SI)(R8*1), X1
	VCVTDQ2PS X0, X0
	VCVTDQ2PS X1, X1
	VSUBPS X0, X1, X1
	VMULPS X8, X1, X1
	VADDPS X1, X0, X0
	VMOVUPS X0, (DI)
	LEAQ (DI)(DX*4), DI
	ADDQ $24, BX
	DECQ CX
	JNE  pixel
	VZEROUPPER
	RET

// func lerpColumnsFloat32AVX2(out, row *float32, lerps *lerp, count, channels int)
TEXT ·lerpColumnsFloat32AVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ row+8(FP), SI
	MOVQ lerps+16(FP), BX
	MOVQ count+24(FP), CX
	MOVQ channels+32(FP), DX

pixel:
	MOVQ 0(BX), AX
	MOVQ 8(BX), R8
	VBROADCASTSS 16(BX), X8
	VMOVUPS (SI)(AX*4), X0
	VMOVUPS (SI)(R8*4), X1
	VSUBPS X0, X1, X1
	VMULPS X8, X1, X1
	VADDPS X1, X0, X0
	VMOVUPS X0, (DI)
	LEAQ (DI)(DX*4), DI
	ADDQ $24, BX
	DECQ CX
	JNE  pixel
	VZEROUPPER
	RET

// func lerpRowsAVX2(out, top, bottom *float32, weight float32, size int)
//
// It makes 8 values at a time. The last 8 may overlap those before.
TEXT ·lerpRowsAVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ top+8(FP), SI
	MOVQ bottom+16(FP), DX
	VBROADCASTSS weight+24(FP), Y8
	MOVQ size+32(FP), CX
	XORQ BX, BX
	SUBQ $8, CX

block:
	VMOVUPS (SI)(BX*4), Y0
	VMOVUPS (DX)(BX*4), Y1
	VSUBPS Y0, Y1, Y1
	VMULPS Y8, Y1, Y1
	VADDPS Y1, Y0, Y0
	VMOVUPS Y0, (DI)(BX*4)
	CMPQ BX, CX
	JEQ  done
	ADDQ $8, BX
	CMPQ BX, CX
	JLE  block
	MOVQ CX, BX
	JMP  block

done:
	VZEROUPPER
	RET
