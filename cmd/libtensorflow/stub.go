package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
)

// writeStub writes a shared library to link against in place of TensorFlow's. It has the names of
// the C API and the soname of the real one, which the loader takes. To read the real one's 800 MB
// costs the linker seconds for each package that uses cgo.
func writeStub(library, path string) error {
	file, err := elf.Open(library)
	if err != nil {
		return fmt.Errorf("%s: expected a shared library: %w", library, err)
	}
	defer file.Close()
	sonames, err := file.DynString(elf.DT_SONAME)
	if err != nil || len(sonames) != 1 || file.Class != elf.ELFCLASS64 ||
		file.Data != elf.ELFDATA2LSB {
		return fmt.Errorf("%s: expected a 64-bit little-endian library with a soname", library)
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return fmt.Errorf("%s: %w", library, err)
	}
	var names []string
	for _, symbol := range symbols {
		if symbol.Section != elf.SHN_UNDEF && elf.ST_TYPE(symbol.Info) == elf.STT_FUNC &&
			(strings.HasPrefix(symbol.Name, "TF_") || strings.HasPrefix(symbol.Name, "TFE_") ||
				strings.HasPrefix(symbol.Name, "TSL_")) {
			names = append(names, symbol.Name)
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("%s: expected TensorFlow's C API, found no function TF_*", library)
	}
	return os.WriteFile(path, stubELF(file.Machine, sonames[0], names), 0o755)
}

// stubELF is a shared library for a machine with functions of no content. Only the linker reads it:
//
//	header | program headers | .text | .dynsym | .dynstr | .dynamic | .shstrtab | section headers
func stubELF(machine elf.Machine, soname string, functions []string) []byte {
	const (
		headerSize, progSize, sectionSize, symSize, dynSize = 64, 56, 64, 24, 16
		textSize                                            = 16
	)
	stringTable := func(names []string) ([]byte, []uint32) {
		table, offsets := []byte{0}, make([]uint32, len(names))
		for i, name := range names {
			offsets[i] = uint32(len(table))
			table = append(append(table, name...), 0)
		}
		return table, offsets
	}
	sectionNames := []string{".text", ".dynsym", ".dynstr", ".dynamic", ".shstrtab"}
	shstrtab, sectionName := stringTable(sectionNames)
	dynstr, symbolName := stringTable(append([]string{soname}, functions...))

	text := uint64(headerSize + 2*progSize)
	symAt := text + textSize
	strAt := symAt + uint64(symSize*(1+len(functions)))
	dynAt := (strAt + uint64(len(dynstr)) + 7) &^ 7
	dynamic := []elf.Dyn64{
		{Tag: int64(elf.DT_SONAME), Val: uint64(symbolName[0])},
		{Tag: int64(elf.DT_STRTAB), Val: strAt},
		{Tag: int64(elf.DT_STRSZ), Val: uint64(len(dynstr))},
		{Tag: int64(elf.DT_SYMTAB), Val: symAt},
		{Tag: int64(elf.DT_SYMENT), Val: symSize},
		{Tag: int64(elf.DT_NULL)},
	}
	dynLen := uint64(dynSize * len(dynamic))
	shstrAt := dynAt + dynLen
	sectionsAt := (shstrAt + uint64(len(shstrtab)) + 7) &^ 7

	symbols := make([]elf.Sym64, 1, 1+len(functions)) // the first is the null symbol
	for i := range functions {
		symbols = append(symbols, elf.Sym64{
			Name: symbolName[1+i], Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC),
			Shndx: 1, Value: text,
		})
	}
	alloc := uint64(elf.SHF_ALLOC)
	sections := []elf.Section64{
		{},
		{Type: uint32(elf.SHT_PROGBITS), Flags: alloc | uint64(elf.SHF_EXECINSTR),
			Addr: text, Off: text, Size: textSize, Addralign: 8},
		{Type: uint32(elf.SHT_DYNSYM), Flags: alloc, Addr: symAt, Off: symAt,
			Size: strAt - symAt, Link: 3, Info: 1, Addralign: 8, Entsize: symSize},
		{Type: uint32(elf.SHT_STRTAB), Flags: alloc, Addr: strAt, Off: strAt,
			Size: uint64(len(dynstr)), Addralign: 1},
		{Type: uint32(elf.SHT_DYNAMIC), Flags: alloc, Addr: dynAt, Off: dynAt,
			Size: dynLen, Link: 3, Addralign: 8, Entsize: dynSize},
		{Type: uint32(elf.SHT_STRTAB), Off: shstrAt, Size: uint64(len(shstrtab)), Addralign: 1},
	}
	for i := range sectionNames {
		sections[1+i].Name = sectionName[i]
	}
	header := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Phoff: headerSize, Shoff: sectionsAt, Ehsize: headerSize, Phentsize: progSize, Phnum: 2,
		Shentsize: sectionSize, Shnum: uint16(len(sections)), Shstrndx: uint16(len(sections) - 1),
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS] = byte(elf.ELFCLASS64)
	header.Ident[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	header.Ident[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	programs := []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X),
			Filesz: shstrAt, Memsz: shstrAt, Align: 0x10000},
		{
			Type:   uint32(elf.PT_DYNAMIC),
			Flags:  uint32(elf.PF_R),
			Off:    dynAt,
			Vaddr:  dynAt,
			Paddr:  dynAt,
			Filesz: dynLen,
			Memsz:  dynLen,
			Align:  8,
		},
	}

	var out bytes.Buffer // to which no write fails
	write := func(at uint64, content any) {
		out.Write(make([]byte, at-uint64(out.Len())))
		_ = binary.Write(&out, binary.LittleEndian, content)
	}
	write(0, header)
	write(headerSize, programs)
	write(text, make([]byte, textSize))
	write(symAt, symbols)
	write(strAt, dynstr)
	write(dynAt, dynamic)
	write(shstrAt, shstrtab)
	write(sectionsAt, sections)
	return out.Bytes()
}
