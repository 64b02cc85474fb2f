package preprocess

import (
	"bytes"
	"errors"
)

// foreignFormats are images, and things that are often taken for one, that are not read, by their
// first bytes.
var foreignFormats = []struct {
	at          int
	magic, name string
}{
	{0, "II*\x00", "TIFF"}, {0, "MM\x00*", "TIFF"}, {0, "II+\x00", "BigTIFF"}, {0, "MM\x00+",
		"BigTIFF"},
	{4, "ftypavif", "AVIF"}, {4, "ftypavis", "AVIF"},
	{4, "ftypheic", "HEIC"}, {4, "ftypheix", "HEIC"}, {4, "ftyphevc", "HEIC"}, {4, "ftypmif1",
		"HEIF"}, {4, "ftypmsf1", "HEIF"},
	{4, "ftyp", "an MP4 or a relative of it"},
	{0, "\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"}, {0, "\xff\x4f\xff\x51", "JPEG 2000"},
	{0, "\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"}, {0, "\xff\x0a", "JPEG XL"},
	{0, "8BPS", "Photoshop (PSD)"}, {0, "%PDF-", "PDF"}, {0, "%!PS", "PostScript"}, {0, "qoif",
		"QOI"},
	{0, "\x00\x00\x01\x00", "an icon (ICO)"}, {0, "DDS ", "DDS"}, {0, "v/1\x01", "OpenEXR"}, {
		0, "#?RADIANCE", "Radiance HDR"},
	{0, "<svg", "SVG"}, {0, "<?xml", "XML, maybe SVG"}, {0, "<!DOCTYPE", "HTML"}, {0, "<html",
		"HTML"},
	{0, "P1", "PNM"}, {0, "P2", "PNM"}, {0, "P3", "PNM"}, {0, "P4", "PNM"}, {0, "P5", "PNM"}, {
		0, "P6", "PNM"},
	{0, "\x1f\x8b", "gzip"}, {0, "PK\x03\x04", "ZIP"}, {0, "version https://git-lfs",
		"a Git LFS pointer"},
}

// foreign returns the error for bytes that begin like none of the formats that are read as a
// library reads them.
func foreign(data []byte, by Library) error {
	if len(data) == 0 {
		return &FormatError{"", errors.New("the image is empty: 0 bytes")}
	}
	text := bytes.TrimLeft(data[:min(len(data), 64)], " \t\r\n\ufeff")
	for _, f := range foreignFormats {
		for _, head := range [][]byte{data, text} {
			if len(head) >= f.at+len(f.magic) && string(head[f.at:f.at+len(f.magic)]) == f.magic {
				return &UnsupportedError{Format: f.name, Read: formatNames(by)}
			}
		}
	}
	return &FormatError{"", errors.New("not an image: " + formatNames(by) + " begin otherwise")}
}
