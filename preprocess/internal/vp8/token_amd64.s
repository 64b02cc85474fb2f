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

// Registers: AX value, CX nBits, R8 rangeM1, SI buf, R9 r, DI coeff, R10 prob,
// R11 the probabilities of the current coefficient, R12 n, R13 its value; BX,
// DX, BP, R14 and R15 hold nothing for long.

// Reads seven bytes, and comes back to have.
#define FILL(have) \
	MOVQ   (SI)(R9*1), BX \
	BSWAPQ BX             \
	SHRQ   $8, BX         \
	SHLQ   $56, AX        \
	ORQ    BX, AX         \
	ADDQ   $7, R9         \
	ADDQ   $56, CX        \
	JMP    have

// Puts the split to DX and the value to compare it with to BX.
#define SPLIT(prob) \
	MOVBLZX prob, DX   \
	IMULL   R8, DX     \
	SHRXQ   CX, AX, BX \
	SHRL    $8, DX     \
	CMPL    DX, BX

// Doubles the range in R8 until it is 128 or more, and takes one off.
#define NORMALIZE \
	LZCNTL R8, BX     \
	SUBL   $24, BX    \
	SHLXL  BX, R8, R8 \
	SUBQ   BX, CX     \
	DECL   R8

// What follows a bit of 0.
#define ZERO \
	LEAL 1(DX), R8 \
	NORMALIZE

// What follows a bit of 1.
#define ONE \
	SUBL  DX, R8     \
	INCL  DX         \
	SHLXQ CX, DX, DX \
	SUBQ  DX, AX     \
	NORMALIZE

// Behind SPLIT, puts -1 for a bit of 1 to R14, else 0.
#define BIT \
	SBBQ    R14, R14    \
	LEAL    1(DX), BP   \
	SHLXQ   CX, BP, R15 \
	ANDQ    R14, R15    \
	SUBQ    R15, AX     \
	SUBL    DX, R8      \
	TESTQ   R14, R14    \
	CMOVLEQ BP, R8      \
	NORMALIZE

// Puts the probabilities of the next coefficient in a context to R11.
#define NEXT(context) \
	LEAQ    bandOffsets<>(SB), BX \
	MOVWLZX (BX)(R12*2), BX        \
	LEAQ    (context*11)(R10)(BX*1), R11

// func residualsBMI2(p *partition, prob *[nBand][nContext][nProb]uint8, context uint8,
//	quant *[2]uint16, n int, coeff *[16]int16) uint8
TEXT ·residualsBMI2(SB), NOSPLIT, $16-49
	MOVQ    p+0(FP), DX
	MOVQ    partition_buf(DX), SI
	MOVQ    partition_r(DX), R9
	MOVQ    partition_value(DX), AX
	MOVQ    partition_nBits(DX), CX
	MOVL    partition_rangeM1(DX), R8
	MOVQ    prob+8(FP), R10
	MOVQ    n+32(FP), R12
	MOVQ    coeff+40(FP), DI
	MOVBLZX context+16(FP), DX
	IMULQ   $11, DX
	LEAQ    bandOffsets<>(SB), BX
	MOVWLZX (BX)(R12*2), BX
	ADDQ    BX, DX
	LEAQ    (R10)(DX*1), R11
	TESTQ   CX, CX
	JLT     fill0

have0:
	SPLIT(0(R11))
	JCS some
	ZERO
	MOVB $0, ret+48(FP)
	JMP  return

some:
	ONE
	MOVB $1, ret+48(FP)

loop:
	INCQ  R12
	TESTQ CX, CX
	JLT   fill1

have1:
	SPLIT(1(R11))
	JCS notZero
	ZERO
	NEXT(0)
	CMPQ R12, $16
	JLT  loop
	JMP  return

notZero:
	ONE
	TESTQ CX, CX
	JLT   fill2

have2:
	SPLIT(2(R11))
	JCS  notOne
	ZERO
	MOVL $1, R13
	NEXT(1)
	JMP  sign

notOne:
	ONE
	TESTQ CX, CX
	JLT   fill3

have3:
	SPLIT(3(R11))
	JCS over4
	ZERO
	TESTQ CX, CX
	JLT   fill4

have4:
	SPLIT(4(R11))
	JCS  over2
	ZERO
	MOVL $2, R13
	NEXT(2)
	JMP  sign

over2:
	ONE
	TESTQ CX, CX
	JLT   fill5

have5:
	SPLIT(5(R11))
	BIT
	MOVL $3, R13
	SUBL R14, R13
	NEXT(2)
	JMP  sign

over4:
	ONE
	TESTQ CX, CX
	JLT   fill6

have6:
	SPLIT(6(R11))
	JCS over10
	ZERO
	TESTQ CX, CX
	JLT   fill7

have7:
	SPLIT(7(R11))
	BIT
	LEAQ  categories<>(SB), DX
	NEGQ  R14
	LEAQ  (DX)(R14*8), R11
	LEAQ  5(R14*2), R14 // the least value
	MOVQ  R14, least-8(SP)
	JMP   category

over10:
	ONE
	TESTQ CX, CX
	JLT   fill8

have8:
	SPLIT(8(R11))
	BIT
	NEGQ  R14
	MOVQ  R14, R13
	ADDQ  R14, R11
	TESTQ CX, CX
	JLT   fill9

have9:
	SPLIT(9(R11))
	BIT
	NEGQ  R14
	LEAQ  (R14)(R13*2), R13 // the category less 3
	LEAQ  categories<>(SB), DX
	MOVQ  R13, BX
	SHLQ  $4, BX
	LEAQ  16(DX)(BX*1), R11
	MOVL  $8, DX
	SHLXQ R13, DX, DX
	ADDQ  $3, DX
	MOVQ  DX, least-8(SP)

// Reads a value by the probabilities at R11.
category:
	XORL R13, R13

extra:
	TESTQ CX, CX
	JLT   fill10

have10:
	SPLIT(0(R11))
	BIT
	ADDL R13, R13
	SUBL R14, R13
	INCQ R11
	CMPB (R11), $0
	JNE  extra
	ADDQ least-8(SP), R13
	NEXT(2)

sign:
	TESTQ CX, CX
	JLT   fill11

have11:
	MOVL    R8, DX
	SHRL    $1, DX
	SHRXQ   CX, AX, BX
	MOVL    DX, R14
	SUBL    BX, R14
	SARL    $31, R14
	MOVLQSX R14, R14 // -1 for a bit of 1
	INCL    DX
	ANDL    R14, DX
	SHLXQ   CX, DX, DX
	SUBQ    DX, AX
	ADDL    R14, R8
	ORL     $1, R8
	DECQ    CX
	MOVQ  quant+24(FP), BX
	XORL  DX, DX
	CMPQ  R12, $1
	SETNE DX
	MOVWLZX (BX)(DX*2), BX
	IMULL BX, R13
	XORL  R14, R13
	SUBL  R14, R13
	LEAQ  zigzag<>(SB), BX
	MOVBLZX -1(BX)(R12*1), BX
	MOVW  R13, (DI)(BX*2)
	CMPQ  R12, $16
	JGE   return
	TESTQ CX, CX
	JLT   fill12

have12:
	SPLIT(0(R11))
	JCS more
	ZERO
	JMP return

more:
	ONE
	JMP loop

return:
	MOVQ p+0(FP), DX
	MOVQ R9, partition_r(DX)
	MOVQ AX, partition_value(DX)
	MOVQ CX, partition_nBits(DX)
	MOVL R8, partition_rangeM1(DX)
	RET

fill0:
	FILL(have0)

fill1:
	FILL(have1)

fill2:
	FILL(have2)

fill3:
	FILL(have3)

fill4:
	FILL(have4)

fill5:
	FILL(have5)

fill6:
	FILL(have6)

fill7:
	FILL(have7)

fill8:
	FILL(have8)

fill9:
	FILL(have9)

fill10:
	FILL(have10)

fill11:
	FILL(have11)

fill12:
	FILL(have12)

DATA zigzag<>+0(SB)/8, $0x0603020508040100
DATA zigzag<>+8(SB)/8, $0x0F0E0B070A0D0C09
GLOBL zigzag<>(SB), RODATA|NOPTR, $16
