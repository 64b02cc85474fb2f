package score

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// skipMark reads a text without the byte order mark that Windows puts before UTF-8.
func skipMark(r io.Reader) *bufio.Reader {
	in := bufio.NewReader(r)
	if head, _ := in.Peek(3); string(head) == "\ufeff" {
		_, _ = in.Discard(3) // they are there
	}
	return in
}

// decodeText is skipMark, and reads as UTF-8 what begins with the mark of UTF-16.
func decodeText(r io.Reader) io.Reader {
	in := skipMark(r)
	switch head, _ := in.Peek(2); string(head) {
	case "\xff\xfe":
		return &utf16Reader{in: in, low: 0, high: 1}
	case "\xfe\xff":
		return &utf16Reader{in: in, low: 1, high: 0}
	}
	return in
}

// utf16Reader reads UTF-16 as UTF-8. Its low byte of two is the first or the second. What is no
// UTF-16 is an error, so that nothing is read as something else.
type utf16Reader struct {
	in        *bufio.Reader
	low, high int
	at        int64  // units read
	rest      []byte // not yet returned
	err       error  // that ended it
}

var errNotUTF16 = errors.New("it begins with the byte order mark of UTF-16: expected UTF-16, got " +
	"other bytes")

func (u *utf16Reader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(u.rest) == 0 && u.err == nil {
			var r rune
			if r, u.err = u.rune(); u.err == nil && u.at == 1 { // the mark
				r, u.err = u.rune()
			}
			if u.err == nil {
				u.rest = utf8.AppendRune(u.rest[:0], r)
			}
		}
		if len(u.rest) == 0 {
			if n > 0 {
				return n, nil
			}
			return 0, u.err
		}
		size := copy(p[n:], u.rest)
		u.rest, n = u.rest[size:], n+size
	}
	return n, nil
}

func (u *utf16Reader) rune() (rune, error) {
	first, err := u.unit()
	if err != nil {
		return 0, err
	}
	if !utf16.IsSurrogate(first) {
		return first, nil
	}
	second, err := u.unit()
	if r := utf16.DecodeRune(first, second); err == nil && r != utf8.RuneError {
		return r, nil
	}
	return 0, fmt.Errorf("%w: half a surrogate pair in unit %d", errNotUTF16, u.at)
}

func (u *utf16Reader) unit() (rune, error) {
	var two [2]byte
	if _, err := io.ReadFull(u.in, two[:]); err == io.ErrUnexpectedEOF {
		return 0, fmt.Errorf("%w: an odd number of bytes", errNotUTF16)
	} else if err != nil {
		return 0, err
	}
	u.at++
	return rune(two[u.low]) | rune(two[u.high])<<8, nil
}

// separators are those that are looked for in a table's header.
var separators = []rune{',', '\t', ';'}

// ParseSeparator reads what separates a table's columns: one character, or the word tab. "" is 0,
// for which the header decides.
func ParseSeparator(text string) (rune, error) {
	if text == "tab" {
		return '\t', nil
	}
	r, size := utf8.DecodeRuneInString(text)
	if text == "" {
		return 0, nil
	}
	if size != len(text) || r == utf8.RuneError || strings.ContainsRune("\"\r\n", r) {
		return 0, fmt.Errorf("separator: expected one character, as ';', or tab, got %q", text)
	}
	return r, nil
}

// maxHeader bounds a table's first line.
const maxHeader = 1 << 20

// textHeader reads the header of a text table, whose columns the separator parts. Where that is 0
// it is the one that parts the header so that all of wanted are among its columns. One that is not
// in the header at all parts nothing, and decides nothing.
//
// fallback is taken where none does, as for a header of one column.
func textHeader(
	in *bufio.Reader, separator, fallback rune, wanted []string,
) (*csv.Reader, []string, error) {
	line, err := peekLine(in)
	if err != nil {
		return nil, nil, err
	}
	if strings.ContainsRune(line, 0) {
		return nil, nil, errors.New("the first line holds a zero byte: expected UTF-8, or UTF-16 with " +
			"its byte order mark: write the table as one of them")
	}
	parse := func(separator rune, r io.Reader) (*csv.Reader, []string, error) {
		rows := csv.NewReader(r)
		rows.Comma, rows.ReuseRecord = separator, true
		header, err := rows.Read()
		return rows, slices.Clone(header), err
	}
	if separator == 0 {
		var fit []string
		for _, s := range separators {
			_, header, err := parse(s, strings.NewReader(line))
			if err == nil && len(header) > 1 && containsAll(header, wanted) {
				fit, separator = append(fit, separatorName(s)), s
			}
		}
		if len(fit) > 1 {
			return nil, nil, fmt.Errorf("expected a header of one reading, got %q, which has the columns "+
				"%q whether %s separates them: say it with --separator", strings.TrimRight(line, "\r\n"),
				wanted, strings.Join(fit, " or "))
		}
		if len(fit) == 0 {
			separator = fallback
		}
	}
	return parse(separator, in)
}

func containsAll(list, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(s string) bool { return !slices.Contains(list, s) })
}

func separatorName(r rune) string {
	if r == '\t' {
		return "tab"
	}
	return string(r)
}

// peekLine is the first line, which stays to be read.
func peekLine(in *bufio.Reader) (string, error) {
	for size := 512; ; size *= 2 {
		head, err := in.Peek(min(size, maxHeader))
		if i := strings.IndexByte(string(head), '\n'); i >= 0 {
			return string(head[:i+1]), nil
		}
		switch {
		case err == io.EOF:
			return string(head), nil
		case err != nil:
			return "", err
		case size >= maxHeader:
			return "", fmt.Errorf("expected a header of at most %d bytes, got more", maxHeader)
		}
	}
}
