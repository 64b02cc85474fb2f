#include "go_asm.h"
#include "textflag.h"

// Registers of acRefineBMI2:
//
//	AX  the bits read ahead, the next one on top and zeros behind the last
//	CX  how many they are
//	SI  data
//	R9  pos
//	DI  the block
//	R10 the table
//	R11 where in nonzero
//	R12 rest, the places of the block that are to come
//	R13 which are not zero
//	R14 those of them of which the magnitude grows
//	R15 zigzag
//	BX, DX, BP and R8 hold nothing for long
//
// Places are counted from the top bit on.

// Reads bytes until there are 56 bits at least.
#define REFILL \
	MOVQ   (SI)(R9*1), DX \
	BSWAPQ DX             \
	SHRXQ  CX, DX, DX     \
	ORQ    DX, AX         \
	MOVL   $63, DX        \
	SUBQ   CX, DX         \
	SHRQ   $3, DX         \
	ADDQ   DX, R9         \
	ORQ    $56, CX

// Takes off a bit for each of the places in BP, up to as many as there are bits, and adds those
// with a 1 to R14. PDEP puts the last bit to the lowest place.
#define REFINE \
	POPCNTQ BP, BX     \
	MOVL    $64, DX    \
	SUBQ    BX, DX     \
	SHRXQ   DX, AX, DX \
	PDEPQ   BP, DX, DX \
	ORQ     DX, R14    \
	SHLXQ   BX, AX, AX \
	SUBQ    BX, CX

// REFINE of the BX places in BP, more than 56, in two parts.
#define HALF \
	SUBQ   $32, BX         \
	MOVL   $0xFFFFFFFF, DX \
	SHLXQ  BX, DX, DX      \
	PDEPQ  BP, DX, DX      \
	XORQ   DX, BP          \
	MOVQ   BP, half-32(SP) \
	MOVQ   DX, BP          \
	REFINE                 \
	REFILL                 \
	MOVQ   half-32(SP), BP \
	REFINE

// func acRefineBMI2(r *segmentReader, table *huffTable, blocks *coefBlock, nonzero *uint64, n int,
//	band uint64, al int, eobRun *int) (begun int)
TEXT ·acRefineBMI2(SB), NOSPLIT, $32-72
	MOVQ r+0(FP), DX
	MOVQ segmentReader_data(DX), SI
	MOVQ segmentReader_pos(DX), R9
	MOVQ segmentReader_bits(DX), AX
	MOVQ segmentReader_n(DX), CX
	MOVQ table+8(FP), R10
	MOVQ blocks+16(FP), DI
	MOVQ nonzero+24(FP), R11
	LEAQ ·zigzag(SB), R15
	MOVQ eobRun+56(FP), DX
	MOVQ (DX), BX
	MOVQ BX, run-8(SP)
	MOVQ n+32(FP), BX
	MOVQ BX, left-16(SP)

block:
	MOVQ  band+40(FP), R12
	MOVQ  (R11), R13
	XORL  R14, R14
	CMPQ  run-8(SP), $0
	JNE   ended

loop:
	REFILL
	MOVQ    AX, DX
	SHRQ    $(64-const_fastBits), DX
	MOVL    huffTable_fast(R10)(DX*4), DX
	MOVL    DX, R8
	SARL    $16, R8 // the value
	LEAL    1(R8), BP
	TESTL   $~2, BP
	JNE     other   // than 1 and -1
	MOVBLZX DX, BX
	SUBQ    BX, CX
	SHLXQ   BX, AX, AX
	SHRL    $8, DX
	MOVBLZX DX, BX

// Pass over BX coefficients that are still zero.
pass:
	ANDNQ   R12, R13, BP // zeros
	POPCNTQ BP, DX
	SUBQ    BX, DX
	JLE     tooFew
	DECQ    DX
	MOVL    $1, BX
	SHLXQ   DX, BX, DX
	PDEPQ   BP, DX, BX // the place of the next one
	LEAQ    -1(BX), DX
	MOVQ    R12, BP
	ANDQ    DX, R12
	ORQ     BX, DX
	ANDNQ   BP, DX, BP // the places passed over
	MOVQ    R13, DX
	ANDQ    DX, BP
	MOVQ    BX, place-24(SP)
	POPCNTQ BP, BX
	CMPQ    BX, CX
	JGT     passMany
	REFINE

passed:
	TESTL   R8, R8
	JEQ     noValue
	MOVQ    place-24(SP), BX
	ORQ     BX, R13
	LZCNTQ  BX, BX
	MOVBLZX (R15)(BX*1), BX
	MOVQ    al+48(FP), DX
	SHLXL   DX, R8, R8
	MOVW    R8, (DI)(BX*2)

noValue:
	TESTQ R12, R12
	JNE   loop
	JMP   done

// The block has no more new coefficients.
ended:
	DECQ    run-8(SP)
	MOVQ    R12, BP
	ANDQ    R13, BP
	JEQ     done
	REFILL
	POPCNTQ BP, BX
	CMPQ    BX, CX
	JGT     endMany
	REFINE

done:
	TESTQ R14, R14
	JEQ   store
	MOVQ  al+48(FP), R8

// Magnitudes grow where the bit is not set yet.
grow:
	LZCNTQ  R14, BX
	MOVQ    $0x8000000000000000, DX
	SHRXQ   BX, DX, DX
	XORQ    DX, R14
	MOVBLZX (R15)(BX*1), BX
	MOVWLSX (DI)(BX*2), DX
	SARXL   R8, DX, BP
	NOTL    BP
	ANDL    $1, BP
	SHLXL   R8, BP, BP
	MOVL    DX, R12
	SARL    $31, R12
	XORL    R12, BP
	SUBL    R12, BP
	ADDL    BP, DX
	MOVW    DX, (DI)(BX*2)
	TESTQ   R14, R14
	JNE     grow

store:
	MOVQ R13, (R11)
	ADDQ $8, R11
	ADDQ $128, DI
	LEAQ 0(R9*8), BX
	SUBQ CX, BX
	MOVQ r+0(FP), DX
	SUBQ $1, left-16(SP)
	JEQ  return
	CMPQ BX, segmentReader_end(DX)
	JLE  block

return:
	MOVQ R9, segmentReader_pos(DX)
	MOVQ AX, segmentReader_bits(DX)
	MOVQ CX, segmentReader_n(DX)
	MOVQ n+32(FP), BX
	SUBQ left-16(SP), BX
	MOVQ BX, begun+64(FP)
	MOVQ eobRun+56(FP), DX
	MOVQ run-8(SP), BX
	MOVQ BX, (DX)
	RET

// The value is not whole, is not 1 or -1, or there is none.
other:
	TESTL   R8, R8
	JEQ     symbolAlone
	// Whatever its size, there is but one bit.
	MOVL    R8, BP
	SARL    $31, BP
	XORL    BP, R8
	SUBL    BP, R8
	LZCNTL  R8, R8
	SUBL    $31, R8       // 1 - size
	MOVBLZX DX, BX
	ADDL    R8, BX
	SUBQ    BX, CX
	SHLXQ   BX, AX, AX
	ORL     $1, BP
	MOVL    BP, R8
	SHRL    $8, DX
	MOVBLZX DX, BX
	JMP     pass

symbolAlone:
	TESTL   DX, DX
	JEQ     long
	MOVBLZX DX, BX
	SUBQ    BX, CX
	SHLXQ   BX, AX, AX
	SHRL    $8, DX

symbol:
	MOVL DX, BX
	SHRL $4, BX
	ANDL $15, DX
	JEQ  noBit
	// 1 or -1
	MOVQ AX, R8
	SHRQ $63, R8
	LEAL -1(R8)(R8*1), R8
	ADDQ AX, AX
	DECQ CX
	JMP  pass

noBit:
	CMPL  BX, $15
	JEQ   pass
	MOVL  $1, DX
	SHLXQ BX, DX, DX
	MOVQ  AX, BP
	SHRQ  $1, BP
	MOVL  $63, R8
	SUBQ  BX, R8
	SHRXQ R8, BP, BP
	ADDQ  BP, DX
	MOVQ  DX, run-8(SP)
	SHLXQ BX, AX, AX
	SUBQ  BX, CX
	JMP   ended

// A code of more than fastBits bits.
long:
	MOVL $(const_fastBits+1), BX

longer:
	MOVL    $64, DX
	SUBQ    BX, DX
	SHRXQ   DX, AX, DX
	CMPL    DX, huffTable_maxCode(R10)(BX*4)
	JLE     longFound
	INCL    BX
	JMP     longer

longFound:
	SUBQ    BX, CX
	SHLXQ   BX, AX, AX
	ADDL    huffTable_offset(R10)(BX*4), DX
	MOVBLZX DX, DX
	MOVBLZX huffTable_values(R10)(DX*1), DX
	CMPL    BX, $16
	JLE     symbol
	XORL    DX, DX // there is no such code
	JMP     symbol

// There are not as many zeros left: all places are passed over, and the value comes behind them.
tooFew:
	MOVQ    R12, BP
	ANDQ    R13, BP
	XORL    R12, R12
	MOVQ    band+40(FP), BX
	MOVQ    BX, DX
	NEGQ    DX
	ANDQ    DX, BX
	SHRQ    $1, BX
	MOVL    $1, DX
	CMOVQEQ DX, BX
	MOVQ    BX, place-24(SP)
	POPCNTQ BP, BX
	CMPQ    BX, CX
	JGT     passMany
	REFINE
	JMP     passed

// There are not as many bits as places.
passMany:
	REFILL
	CMPQ BX, CX
	JGT  passHalf
	REFINE
	JMP  passed

passHalf:
	HALF
	JMP passed

endMany:
	HALF
	JMP done
