package worker

import (
	"bytes"
	"cmp"
	"strings"
	"sync"

	"kerasrun/internal/crash"
)

// lineBytes is how much of a line of standard error is kept.
const lineBytes = 4 << 10

// lines cuts what a worker writes to standard error into lines, hands them on, and keeps what says
// why it died.
type lines struct {
	emit func(line string)

	mu             sync.Mutex
	rest           []byte
	signal, reason string // of the last line with one
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		l.rest = append(l.rest, line[:min(len(line), lineBytes-len(l.rest))]...)
		if ended {
			l.end()
		}
		rest = after
	}
	return len(p), nil
}

// end hands the current line on.
func (l *lines) end() {
	line := strings.ToValidUTF8(strings.TrimRight(string(l.rest), " \r"), "\ufffd")
	l.rest = l.rest[:0]
	l.signal = cmp.Or(crash.Signal(line), l.signal)
	if crash.IsReason(line) {
		l.reason = line
	}
	l.emit(line)
}

// death returns the signal and the reason that the lines name, each "" where none does.
func (l *lines) death() (signal, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.end()
	}
	return l.signal, l.reason
}
