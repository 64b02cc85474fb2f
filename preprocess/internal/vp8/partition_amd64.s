#include "go_asm.h"
#include "textflag.h"

// Where the probabilities of a coefficient's band begin, and those of the
// categories 1 to 6, with a zero behind each.
DATA bandOffsets<>+0(SB)/8, $(0 | 33<<16 | 66<<32 | 99<<48)
DATA bandOffsets<>+8(SB)/8, $(198 | 132<<16 | 165<<32 | 198<<48)
DATA bandOffsets<>+16(SB)/8, $(198 | 198<<16 | 198<<32 | 198<<48)
DATA bandOffsets<>+24(SB)/8, $(198 | 198<<16 | 198<<32 | 231<<48)
DATA bandOffsets<>+32(SB)/8, $0
GLOBL bandOffsets<>(SB), RODATA|NOPTR, $40

DATA categories<>+0(SB)/8, $(159)
DATA categories<>+8(SB)/8, $(165 | 145<<8)
DATA categories<>+16(SB)/8, $(173 | 148<<8 | 140<<16)
DATA categories<>+24(SB)/8, $0
DATA categories<>+32(SB)/8, $(176 | 155<<8 | 140<<16 | 135<<24)
DATA categories<>+40(SB)/8, $0
DATA categories<>+48(SB)/8, $(180 | 157<<8 | 141<<16 | 134<<24 | 130<<32)
DATA categories<>+56(SB)/8, $0
DATA categories<>+64(SB)/8, $0x8C99B1C4E6F3FEFE
DATA categories<>+72(SB)/8, $(133 | 130<<8 | 129<<16)
GLOBL categories<>(SB), RODATA|NOPTR, $80

DATA zigzag<>+0(SB)/8, $0x0603020508040100
DATA zigzag<>+8(SB)/8, $0x0F0E0B070A0D0C09
GLOBL zigzag<>(SB), RODATA|NOPTR, $16

// The state of a partition in registers. Unlike readBit, a bit leaves doubling
// the range to the next one, so that it goes on beside the product:
//
//	AX  the bits read, the current one topmost
//	CX  nBits, before the doubling that is due
//	R8  the range, 1 to 256, before it
//	BX  24 + how often it is to be doubled
//	R9  the partition
//	BP  rounding
//
// R14 and R15 hold nothing for long.

// Puts the partition at R9 to registers. It uses DX.
#define LOAD \
	MOVQ  partition_value(R9), AX   \
	MOVQ  partition_nBits(R9), CX   \
	MOVL  partition_rangeM1(R9), R8 \
	INCL  R8                        \
	MOVL  $24, BX                   \
	MOVL  $56, DX                   \
	SUBQ  CX, DX                    \
	SHLXQ DX, AX, AX

#define SAVE \
	SHLXQ BX, R8, R8                \
	SHRQ  $24, R8                   \
	DECL  R8                        \
	MOVL  R8, partition_rangeM1(R9) \
	SUBQ  $24, BX                   \
	SHLXQ BX, AX, AX                \
	SUBQ  BX, CX                    \
	MOVQ  CX, partition_nBits(R9)   \
	MOVL  $56, DX                   \
	SUBQ  CX, DX                    \
	SHRXQ DX, AX, AX                \
	MOVQ  AX, partition_value(R9)

// Doubles the bits read. If too few are left the next instruction is to jump.
#define DOUBLE \
	LEAQ  -24(BX), R15 \
	SHLXQ R15, AX, AX  \
	SUBQ  R15, CX

// Puts the split + 1 to DX and to the top of R14, and compares the bits with it:
// the carry is for a 0. Where too few bits are left, fill fetches more and comes
// back to have.
#define SPLIT(prob, fill, have) \
	MOVBLZX prob, DX       \
	MOVQ    (BP)(DX*8), R14 \
	IMULL   R8, DX         \
	SHLXQ   BX, DX, DX     \
	ADDQ    R14, DX        \
	SHRQ    $32, DX        \
	DOUBLE                 \
	JLT     fill           \
have:                      \
	RORXQ   $8, DX, R14    \
	CMPQ    AX, R14

// What follows a bit of 0.
#define ZERO \
	MOVL   DX, R8 \
	LZCNTL R8, BX

// What follows a bit of 1.
#define ONE \
	SHLXQ  BX, R8, R8 \
	SHRQ   $24, R8    \
	SUBL   DX, R8     \
	SUBQ   R14, AX    \
	LZCNTL R8, BX

// Behind SPLIT, puts 1 to R15 for a bit of 1, else 0.
#define BIT \
	SHLXQ   BX, R8, R8  \
	SHRQ    $24, R8     \
	SUBL    DX, R8      \
	MOVQ    AX, R15     \
	SUBQ    R14, R15    \
	CMOVQCC R15, AX     \
	CMOVLCS DX, R8      \
	SBBQ    R15, R15    \
	INCQ    R15         \
	LZCNTL  R8, BX

// fill is partition.fill.
TEXT fill<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ   partition_r(R9), R14
	LEAQ   8(R14), R15
	CMPQ   R15, partition_buf+8(R9)
	JGT    few
	ADDQ   partition_buf(R9), R14
	MOVQ   (R14), R15
	BSWAPQ R15
	SHRQ   $8, R15
	SHLQ   $8, R15
	LEAQ   8(CX), R14
	SHRXQ  R14, R15, R15
	ORQ    R15, AX
	ADDQ   $7, partition_r(R9)
	ADDQ   $56, CX
	RET

few:
	CMPQ    R14, partition_buf+8(R9)
	JGE     none
	ADDQ    partition_buf(R9), R14
	MOVBLZX (R14), R15
	SHLQ    $56, R15
	LEAQ    8(CX), R14
	SHRXQ   R14, R15, R15
	ORQ     R15, AX
	INCQ    partition_r(R9)
	ADDQ    $8, CX
	RET

none:
	CMPB partition_unexpectedEOF(R9), $0
	JNE  again
	MOVB $1, partition_unexpectedEOF(R9)
	ADDQ $8, CX
	RET

again:
	NEGQ  CX
	SHRXQ CX, AX, AX
	XORL  CX, CX
	RET

// Puts the probabilities of the next coefficient in a context to R11. It uses
// DX.
#define NEXT(context) \
	LEAQ    bandOffsets<>(SB), R15 \
	MOVWLZX (R15)(R12*2), R15      \
	LEAQ    (context*11)(R10)(R15*1), R11

// region reads a 4x4 region. It takes the context in DX, the probabilities of
// the plane in R10, the first place in R12, the factors in SI, and where the
// coefficients go in DI. It leaves one more than the last place in R12, and
// uses R11 and R13.
TEXT region<>(SB), NOSPLIT|NOFRAME, $0-0
	IMULL   $11, DX
	LEAQ    bandOffsets<>(SB), R15
	MOVWLZX (R15)(R12*2), R15
	ADDQ    R10, DX
	LEAQ    (DX)(R15*1), R11
	SPLIT(0(R11), fill0, have0)
	JCC     some
	ZERO
	RET

some:
	ONE

loop:
	INCQ R12
	SPLIT(1(R11), fill1, have1)
	JCC  notZero
	ZERO
	NEXT(0)
	CMPQ R12, $16
	JLT  loop
	RET

notZero:
	ONE
	SPLIT(2(R11), fill2, have2)
	JCC  notOne
	ZERO
	MOVL $1, R13
	NEXT(1)
	JMP  sign

notOne:
	ONE
	SPLIT(3(R11), fill3, have3)
	JCC  over4
	ZERO
	SPLIT(4(R11), fill4, have4)
	JCC  over2
	ZERO
	MOVL $2, R13
	NEXT(2)
	JMP  sign

over2:
	ONE
	SPLIT(5(R11), fill5, have5)
	BIT
	LEAL 3(R15), R13
	NEXT(2)
	JMP  sign

over4:
	ONE
	SPLIT(6(R11), fill6, have6)
	JCC  over10
	ZERO
	SPLIT(7(R11), fill7, have7)
	BIT
	LEAQ categories<>(SB), R11
	LEAQ (R11)(R15*8), R11
	MOVL $1, R13
	JMP  extra

over10:
	ONE
	SPLIT(8(R11), fill8, have8)
	BIT
	MOVQ R15, R13
	ADDQ R15, R11
	SPLIT(9(R11), fill9, have9)
	BIT
	LEAQ  (R15)(R13*2), R15 // the category less 3
	SHLQ  $4, R15
	LEAQ  categories<>(SB), R11
	LEAQ  16(R11)(R15*1), R11
	XORL  R13, R13
	CMPQ  R15, $48 // category 6 begins with 3 + 64, others with 3 + a bit
	SETNE R13

// Reads the rest of a value, less 3, by the probabilities at R11.
extra:
	SPLIT(0(R11), fill10, have10)
	BIT
	LEAL (R15)(R13*2), R13
	INCQ R11
	CMPB (R11), $0
	JNE  extra
	ADDL $3, R13
	LEAQ categories<>+75(SB), R15
	CMPQ R11, R15
	JNE  valued
	ADDL $64, R13

valued:
	NEXT(2)

// readSign, and the coefficient.
sign:
	SHLXQ   BX, R8, R8
	SHRQ    $24, R8
	DOUBLE
	JLT     fill11
have11:
	LEAQ    1(R8), DX
	SHRQ    $1, DX
	RORXQ   $8, DX, R14
	MOVQ    AX, R15
	SUBQ    R14, R15
	CMOVQCC R15, AX
	SBBQ    R15, R15 // 0 for a bit of 1, else -1
	SUBQ    R15, R8
	SHRQ    $1, R8
	MOVL    $25, BX
	XORL    DX, DX
	CMPQ    R12, $1
	SETNE   DX
	MOVWLZX (SI)(DX*2), DX
	IMULL   DX, R13
	NOTQ    R15
	XORL    R15, R13
	SUBL    R15, R13
	LEAQ    zigzag<>(SB), R14
	MOVBLZX -1(R14)(R12*1), DX
	MOVW    R13, (DI)(DX*2)
	CMPQ    R12, $16
	JGE     return
	SPLIT(0(R11), fill12, have12)
	JCC     more
	ZERO

return:
	RET

more:
	ONE
	JMP loop

fill0:
	CALL fill<>(SB)
	JMP  have0

fill1:
	CALL fill<>(SB)
	JMP  have1

fill2:
	CALL fill<>(SB)
	JMP  have2

fill3:
	CALL fill<>(SB)
	JMP  have3

fill4:
	CALL fill<>(SB)
	JMP  have4

fill5:
	CALL fill<>(SB)
	JMP  have5

fill6:
	CALL fill<>(SB)
	JMP  have6

fill7:
	CALL fill<>(SB)
	JMP  have7

fill8:
	CALL fill<>(SB)
	JMP  have8

fill9:
	CALL fill<>(SB)
	JMP  have9

fill10:
	CALL fill<>(SB)
	JMP  have10

fill11:
	CALL fill<>(SB)
	JMP  have11

fill12:
	CALL fill<>(SB)
	JMP  have12

// One region whose neighbours are at up(R14) and left(R15).
#define REGION(i, above, before) \
	MOVQ    up+32(FP), R14      \
	MOVQ    left+24(FP), R15    \
	MOVBLZX above(R14), DX      \
	MOVBLZX before(R15), R13    \
	ADDL    R13, DX             \
	MOVQ    first-8(SP), R12    \
	CALL    region<>(SB)        \
	MOVQ    last+56(FP), R13    \
	MOVQ    up+32(FP), R14      \
	MOVQ    left+24(FP), R15    \
	MOVB    R12, i(R13)         \
	CMPQ    R12, first-8(SP)    \
	SETGT   DX                  \
	MOVB    DX, above(R14)      \
	MOVB    DX, before(R15)     \
	ADDQ    $32, DI

#define FOUR(i, before) \
	REGION(i, 0, before)     \
	REGION((i+1), 1, before) \
	REGION((i+2), 2, before) \
	REGION((i+3), 3, before)

#define PLANE (const_nBand*const_nContext*const_nProb)

// func regionsBMI2(p *partition, prob *[nPlane][nBand][nContext][nProb]uint8, quant *quant,
//	left, up *[9]uint8, hasWHT bool, coeff *[400]int16, last *[25]uint8,
//	rounding *[256]uint64)
TEXT ·regionsBMI2(SB), NOSPLIT, $16-72
	MOVQ p+0(FP), R9
	LOAD
	MOVQ rounding+64(FP), BP
	MOVQ prob+8(FP), R10
	MOVQ quant+16(FP), SI
	MOVQ coeff+48(FP), DI
	MOVQ $0, first-8(SP)
	CMPB hasWHT+40(FP), $0
	JEQ  sansWHT
	ADDQ $PLANE, R10
	ADDQ $quant_y2, SI
	ADDQ $768, DI
	REGION(24, 8, 8)
	SUBQ $PLANE, R10
	SUBQ $quant_y2, SI
	SUBQ $800, DI
	MOVQ $1, first-8(SP)
	JMP  luma

sansWHT:
	ADDQ $(3*PLANE), R10

luma:
	FOUR(0, 0)
	FOUR(4, 1)
	FOUR(8, 2)
	FOUR(12, 3)
	MOVQ prob+8(FP), R10
	ADDQ $(2*PLANE), R10
	ADDQ $quant_uv, SI
	MOVQ $0, first-8(SP)
	REGION(16, 4, 4)
	REGION(17, 5, 4)
	REGION(18, 4, 5)
	REGION(19, 5, 5)
	REGION(20, 6, 6)
	REGION(21, 7, 6)
	REGION(22, 6, 7)
	REGION(23, 7, 7)
	SAVE
	RET

// A node of the tree of 4x4 predictors.
#define NODE(node, fill, have, one) \
	SPLIT(node(R11), fill, have) \
	JCC one                      \
	ZERO

#define MODE(mode) \
	MOVL $mode, R12 \
	JMP  next

// func modesBMI2(p *partition, prob *[nPred][nPred][9]uint8, left, up *[4]uint8, modes *[16]uint8,
//	rounding *[256]uint64)
TEXT ·modesBMI2(SB), NOSPLIT, $8-48
	MOVQ p+0(FP), R9
	LOAD
	MOVQ rounding+40(FP), BP
	MOVQ prob+8(FP), R10
	MOVQ left+16(FP), SI
	MOVQ up+24(FP), DI
	XORL R13, R13

row:
	MOVQ    R13, R15
	SHRQ    $2, R15
	MOVBLZX (SI)(R15*1), R12

column:
	MOVQ    R13, R15
	ANDQ    $3, R15
	MOVBLZX (DI)(R15*1), DX
	IMULL   $90, DX
	LEAQ    (R12)(R12*8), R12
	ADDQ    R10, DX
	LEAQ    (DX)(R12*1), R11
	NODE(0, fill0, have0, one0)
	MODE(const_predDC)

one0:
	ONE
	NODE(1, fill1, have1, one1)
	MODE(const_predTM)

one1:
	ONE
	NODE(2, fill2, have2, one2)
	MODE(const_predVE)

one2:
	ONE
	NODE(3, fill3, have3, one3)
	NODE(4, fill4, have4, one4)
	MODE(const_predHE)

one4:
	ONE
	NODE(5, fill5, have5, one5)
	MODE(const_predRD)

one5:
	ONE
	MODE(const_predVR)

one3:
	ONE
	NODE(6, fill6, have6, one6)
	MODE(const_predLD)

one6:
	ONE
	NODE(7, fill7, have7, one7)
	MODE(const_predVL)

one7:
	ONE
	NODE(8, fill8, have8, one8)
	MODE(const_predHD)

one8:
	ONE
	MOVL $const_predHU, R12

next:
	MOVQ  modes+32(FP), DX
	MOVB  R12, (DX)(R13*1)
	MOVQ  R13, R15
	ANDQ  $3, R15
	MOVB  R12, (DI)(R15*1)
	INCQ  R13
	TESTQ $3, R13
	JNE   column
	MOVQ  R13, R15
	SHRQ  $2, R15
	MOVB  R12, -1(SI)(R15*1)
	CMPQ  R13, $16
	JLT   row
	SAVE
	RET

fill0:
	CALL fill<>(SB)
	JMP  have0

fill1:
	CALL fill<>(SB)
	JMP  have1

fill2:
	CALL fill<>(SB)
	JMP  have2

fill3:
	CALL fill<>(SB)
	JMP  have3

fill4:
	CALL fill<>(SB)
	JMP  have4

fill5:
	CALL fill<>(SB)
	JMP  have5

fill6:
	CALL fill<>(SB)
	JMP  have6

fill7:
	CALL fill<>(SB)
	JMP  have7

fill8:
	CALL fill<>(SB)
	JMP  have8
