// Package crash reads what a process writes to standard error when native code ends it.
package crash

import "regexp"

var (
	// Go's runtime takes signals of native code, and exits with status 2 after such a line.
	signalLine = regexp.MustCompile(`^(?:\[signal )?(SIG[A-Z]+): `)
	// of TensorFlow's CHECK, of C++, of Go
	reasonLine = regexp.MustCompile(`^(F\d{4} |terminate called |panic: |fatal error: )`)
)

// Signal returns the signal that a line names as the process's end, as "SIGABRT"; "" where it names
// none.
func Signal(line string) string {
	if match := signalLine.FindStringSubmatch(line); match != nil {
		return match[1]
	}
	return ""
}

// IsReason returns whether a line says why the process ends.
func IsReason(line string) bool { return reasonLine.MatchString(line) }
