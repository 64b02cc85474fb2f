package score

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// EscapePath makes of a path, which is bytes, the text that stands for it in every output. A byte
// that is not UTF-8, a zero and a carriage return are \xNN, and a backslash that begins such a text
// in the path itself is \x5c; all else is as it is. So no two paths have one text, and
// [UnescapePath] gives the path back.
func EscapePath(path string) string {
	var out strings.Builder
	for i := 0; i < len(path); {
		r, size := utf8.DecodeRuneInString(path[i:])
		if r == utf8.RuneError && size == 1 || r == 0 || r == '\r' || isEscape(path[i:]) {
			fmt.Fprintf(&out, `\x%02x`, path[i])
		} else {
			out.WriteString(path[i : i+size])
		}
		i += size
	}
	return out.String()
}

// UnescapePath returns the path of a text that [EscapePath] made.
func UnescapePath(text string) string {
	var out []byte
	for i := 0; i < len(text); i++ {
		if isEscape(text[i:]) {
			b, _ := strconv.ParseUint(text[i+2:i+4], 16, 8) // two digits
			out = append(out, byte(b))
			i += 3
		} else {
			out = append(out, text[i])
		}
	}
	return string(out)
}

func isEscape(text string) bool {
	return len(text) >= 4 && text[0] == '\\' && text[1] == 'x' && isHex(text[2]) && isHex(text[3])
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}
