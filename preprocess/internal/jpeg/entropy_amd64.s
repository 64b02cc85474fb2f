#include "go_asm.h"
#include "textflag.h"

// Registers of decodeBlockBMI2:
//
//	AX  the bits read ahead, the next one on top and zeros behind the last
//	CX  how many they are
//	SI  data
//	R8  limit
//	R9  pos
//	DI  the block
//	R10 the AC table
//	R11 quant
//	R12 k
//	R13 used
//	R14 size
//	R15 zigzag
//	BX, DX and BP hold nothing for long

// Reads six bytes if there are 16 bits or fewer. Bytes with a 0xFF are left to slow, which comes
// back to have.
#define REFILL(have, slow) \
	CMPQ   CX, $16             \
	JGT    have                \
	LEAQ   8(R9), BX           \
	CMPQ   BX, R8              \
	JGT    slow                \
	MOVQ   (SI)(R9*1), DX      \
	BSWAPQ DX                  \
	MOVQ   DX, BP              \
	NOTQ   BP                  \
	MOVQ   $0xFEFEFEFEFEFEFEFF, BX \
	ADDQ   BX, BP              \
	ANDQ   DX, BP              \
	MOVQ   $0x8080808080808080, BX \
	TESTQ  BX, BP              \
	JNE    slow                \
	ANDQ   $~0xFFFF, DX        \
	SHRXQ  CX, DX, DX          \
	ORQ    DX, AX              \
	ADDQ   $48, CX             \
	ADDQ   $6, R9

// Takes off BX bits, 0 < BX < 16, and puts the number they stand for behind a symbol to DX: with
// their first bit 0 it is negative, 1 - 2^BX more.
#define EXTEND \
	MOVQ  AX, BP     \
	SARQ  $63, BP    \
	NOTQ  BP         \
	MOVL  $64, DX    \
	SUBQ  BX, DX     \
	SHRXQ DX, AX, DX \
	SUBQ  BX, CX     \
	SHLXQ BX, AX, AX \
	SHLXQ BX, BP, BX \
	SUBQ  BP, BX     \
	ADDQ  BX, DX

// func decodeBlockBMI2(d *decoder, b *block, dc, ac *huffTable, pred *int32, quant *[128]int32)
TEXT ·decodeBlockBMI2(SB), NOSPLIT, $16-48
	MOVQ  d+0(FP), DX
	MOVQ  (decoder_source+source_data)(DX), SI
	MOVQ  (decoder_source+source_limit)(DX), R8
	MOVQ  (decoder_source+source_pos)(DX), R9
	MOVQ  (decoder_bitReader+bitReader_buf)(DX), AX
	MOVQ  (decoder_bitReader+bitReader_n)(DX), CX
	MOVQ  b+8(FP), DI
	MOVQ  ac+24(FP), R10
	MOVQ  quant+40(FP), R11
	LEAQ  ·zigzag(SB), R15
	XORL  BX, BX
	MOVQ  CX, DX
	NEGQ  DX
	SHLXQ DX, AX, AX // by 64 - n
	TESTQ CX, CX
	CMOVQEQ BX, AX

	REFILL(dcCode, dcCodeSlow)

dcCode:
	MOVQ    dc+16(FP), BP
	MOVQ    AX, DX
	SHRQ    $56, DX
	MOVWLZX huffTable_look(BP)(DX*2), DX
	MOVL    DX, BX
	SHRL    $8, BX
	CMPL    BX, $8
	JGT     dcLong
	MOVBLZX DX, DX
	SUBQ    BX, CX
	SHLXQ   BX, AX, AX

dcSymbol:
	MOVL  DX, R12
	TESTL DX, DX
	JEQ   dcPut
	REFILL(dcBits, dcBitsSlow)

dcBits:
	MOVL R12, BX
	EXTEND

dcPut:
	MOVQ    pred+32(FP), BX
	ADDL    (BX), DX
	MOVL    DX, (BX)
	MOVWLSX DX, BP
	MOVL    $1, R13
	XORL    R14, R14
	XORL    R12, R12
	JMP     put

loop:
	REFILL(code, codeSlow)

code:
	MOVQ    AX, DX
	SHRQ    $(64-const_fastBits), DX
	MOVL    huffTable_fast(R10)(DX*4), DX
	MOVBLZX DX, BX
	SUBQ    BX, CX
	SHLXQ   BX, AX, AX
	MOVL    DX, BP
	SARL    $16, BP
	JEQ     symbolAlone
	SHRL    $8, DX
	MOVBLZX DX, DX
	ADDL    DX, R12

put:
	IMULL   (R11)(R12*4), BP
	MOVBLZX (R15)(R12*1), BX
	MOVW    BP, block_coefs(DI)(BX*2)
	BTSQ    BX, R13
	MOVL    BP, DX
	NEGL    DX
	CMOVLMI BP, DX
	ADDQ    DX, R14
	INCL    R12
	CMPL    R12, $64
	JLT     loop

done:
	MOVQ  R13, block_used(DI)
	MOVQ  R14, block_size(DI)
	MOVQ  CX, DX
	NEGQ  DX
	SHRXQ DX, AX, AX
	MOVQ  d+0(FP), DX
	MOVQ  R9, (decoder_source+source_pos)(DX)
	MOVQ  AX, (decoder_bitReader+bitReader_buf)(DX)
	MOVQ  CX, (decoder_bitReader+bitReader_n)(DX)
	RET

symbolAlone:
	TESTL DX, DX
	JEQ   long
	SHRL  $8, DX

symbol:
	MOVL DX, BX
	ANDL $15, BX
	JEQ  noValue
	SHRL $4, DX
	ADDL DX, R12
	CMPQ CX, $16
	JGT  value
	MOVQ BX, bits-16(SP)
	REFILL(valueRead, valueSlow)

valueRead:
	MOVQ bits-16(SP), BX

value:
	EXTEND
	MOVL DX, BP
	JMP  put

noValue:
	CMPL DX, $0xF0
	JNE  done
	ADDL $16, R12
	CMPL R12, $64
	JLT  loop
	JMP  done

long:
	MOVL $(const_fastBits+1), BX
	MOVQ R10, BP
	MOVQ $3, from-8(SP)
	JMP  longer

dcLong:
	MOVL $9, BX
	MOVQ $0, from-8(SP)

// Takes off a code of BX bits or more by the table BP and puts its symbol to DX.
longer:
	MOVL  $64, DX
	SUBQ  BX, DX
	SHRXQ DX, AX, DX
	CMPL  DX, huffTable_maxCode(BP)(BX*4)
	JLE   longFound
	INCL  BX
	JMP   longer

longFound:
	SUBQ    BX, CX
	SHLXQ   BX, AX, AX
	ADDL    huffTable_offset(BP)(BX*4), DX
	MOVBLZX DX, DX
	MOVBLZX huffTable_values(BP)(DX*1), DX
	CMPL    BX, $16
	JLE     longSymbol
	XORL    DX, DX // there is no such code

longSymbol:
	CMPQ from-8(SP), $0
	JEQ  dcSymbol
	JMP  symbol

dcCodeSlow:
	MOVQ $0, from-8(SP)
	JMP  slow

dcBitsSlow:
	MOVQ $1, from-8(SP)
	JMP  slow

codeSlow:
	MOVQ $2, from-8(SP)
	JMP  slow

valueSlow:
	MOVQ $3, from-8(SP)

// Reads six bytes one by one, behind a 1 that tells when they are complete.
slow:
	MOVL $1, DX

byte:
	LEAQ    1(R9), BP
	CMPQ    BP, R8
	JGE     marker
	MOVBLZX (SI)(R9*1), BX
	CMPL    BX, $0xFF
	JNE     plain
	CMPB    (SI)(BP*1), $0
	JNE     marker
	INCQ    R9

plain:
	INCQ R9

append:
	SHLQ  $8, DX
	ORQ   BX, DX
	BTQ   $48, DX
	JCC   byte
	SHLQ  $16, DX
	SHRXQ CX, DX, DX
	ORQ   DX, AX
	ADDQ  $48, CX
	CMPQ  from-8(SP), $2
	JEQ   code
	JGT   valueRead
	CMPQ  from-8(SP), $0
	JEQ   dcCode
	JMP   dcBits

marker:
	MOVQ d+0(FP), BP
	MOVB $1, decoder_sawMarker(BP)
	XORL BX, BX
	JMP  append
