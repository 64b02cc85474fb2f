#include "textflag.h"

// A pixel is four words: a in X0, b at SI, c in X2, and what is to be added to
// the nearest of them in X3. It becomes the next a, and b the next c. The next
// pixel waits for little but the distances of a.
#define PAETH \
	VMOVD     (SI), X1     \
	VPMOVZXBW X1, X1       \
	VPADDW    X3, X1, X5   \ // b and c, with what is to be added
	VPADDW    X3, X2, X6   \
	VPXOR     X5, X6, X6   \
	VPSUBW    X2, X1, X7   \ // b - c: how far a is
	VPABSW    X7, X8       \
	VPSUBW    X2, X0, X9   \ // a - c: how far b is
	VPADDW    X7, X9, X10  \ // how far c is
	VPABSW    X9, X9       \
	VPABSW    X10, X10     \
	VPADDW    X3, X0, X0   \
	VPCMPGTW  X10, X9, X11 \ // c is nearer than b
	VPMINSW   X10, X9, X9  \
	VPCMPGTW  X9, X8, X8   \ // one of them is nearer than a
	VPAND     X6, X11, X11 \
	VPXOR     X5, X11, X11 \
	VPAND     X8, X11, X11 \
	VPANDN    X0, X8, X0   \
	VPOR      X11, X0, X0  \
	VPAND     X12, X0, X0  \
	VMOVDQA   X1, X2       \
	VPACKUSWB X0, X0, X4

// Puts zeros to a and c, and to X12 which bits of words make a byte.
#define START \
	VPXOR    X0, X0, X0   \
	VPXOR    X2, X2, X2   \
	VPCMPEQW X12, X12, X12 \
	VPSRLW   $8, X12, X12

// func paeth3AVX2(cur, prev *byte, n int)
TEXT ·paeth3AVX2(SB), NOSPLIT, $0-24
	MOVQ cur+0(FP), DI
	MOVQ prev+8(FP), SI
	MOVQ n+16(FP), CX
	START
	VMOVD     (DI), X3
	VPMOVZXBW X3, X3
	JMP       next

loop:
	VMOVD     3(DI), X13 // before a pixel is stored, with a byte too many
	VMOVD     X4, (DI)
	VPMOVZXBW X13, X3
	ADDQ      $3, DI
	ADDQ      $3, SI

next:
	PAETH
	DECQ CX
	JNE  loop
	VMOVD X4, AX
	MOVW  AX, (DI)
	SHRL  $16, AX
	MOVB  AX, 2(DI)
	RET

// func paeth4AVX2(cur, prev *byte, n int)
TEXT ·paeth4AVX2(SB), NOSPLIT, $0-24
	MOVQ cur+0(FP), DI
	MOVQ prev+8(FP), SI
	MOVQ n+16(FP), CX
	START

loop:
	VMOVD     (DI), X3
	VPMOVZXBW X3, X3
	PAETH
	VMOVD X4, (DI)
	ADDQ  $4, DI
	ADDQ  $4, SI
	DECQ  CX
	JNE   loop
	RET
