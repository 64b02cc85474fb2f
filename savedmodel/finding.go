package savedmodel

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Check is the name of one of the checks of a model.
type Check string

// The checks, in the order in which they are reported.
const (
	// CheckText: there is no saved_model.pbtxt or saved_model.cpb beside saved_model.pb.
	CheckText Check = "text"
	// CheckLinks: there are only plain files and no links out of the directory.
	CheckLinks Check = "links"
	// CheckSignatures: graphs differ in their tags and have signatures that can be called.
	CheckSignatures Check = "signatures"
	// CheckAssets: assets are files below assets/.
	CheckAssets Check = "assets"
	// CheckVariables: every variable of the graph is in variables/, whole and of the right
	// checksum.
	CheckVariables Check = "variables"
	// CheckManifest: the manifest can be read.
	CheckManifest Check = "manifest"
	// CheckFiles: the files are those of the manifest, with its sizes and hashes.
	CheckFiles Check = "files"
	// CheckContract: the signatures are those of the manifest, with its input and outputs.
	CheckContract Check = "contract"
	// CheckLabels: there are as many labels as classes.
	CheckLabels Check = "labels"
	// CheckConstants: the graph's constants hold as many elements as their shapes say.
	CheckConstants Check = "constants"
	// CheckAttributes: shapes and lists of numbers have possible sizes.
	CheckAttributes Check = "attributes"
	// CheckCalls: functions do not call each other in a circle, and not too often.
	CheckCalls Check = "calls"
	// CheckOps: every operation is on the allow-list.
	CheckOps Check = "ops"
)

// Checks returns every check, in the order in which they are reported.
func Checks() []Check {
	return []Check{CheckText, CheckLinks, CheckSignatures, CheckAssets, CheckVariables,
		CheckManifest, CheckFiles, CheckContract, CheckLabels, CheckConstants, CheckAttributes,
		CheckCalls, CheckOps}
}

// Severity says whether a model with the finding may be loaded.
type Severity string

const (
	Error   Severity = "error"   // the model must not be loaded
	Warning Severity = "warning" // worth a look, in a part of the model that is never run
)

// Finding is a problem found in a model.
type Finding struct {
	Check    Check    `json:"check"`
	Severity Severity `json:"severity"`
	File     string   `json:"file"` // in the directory, with slashes
	// Where is the place in the file: a node of the graph or of a function, or a variable.
	Where   string `json:"where,omitempty"`
	Op      string `json:"op,omitempty"` // of CheckOps: the operation
	Message string `json:"message"`
}

// Error returns the finding in a line: the file, the place in it, what is wrong.
func (f Finding) Error() string {
	parts := []string{oneLine(f.File)}
	if f.Where != "" {
		parts = append(parts, f.Where)
	}
	return strings.Join(append(parts, f.Message), ": ")
}

// Join returns the findings that are errors as one error, nil where there are none.
func Join(findings []Finding) error {
	var errs []error
	for _, f := range findings {
		if f.Severity == Error {
			errs = append(errs, f)
		}
	}
	return errors.Join(errs...)
}

const (
	// maxFindings limits those of one check and severity.
	maxFindings = 1000
	// maxMessage and maxQuoted limit the bytes of a message and of one name in it. A name may be a
	// megabyte long, and be named by every finding.
	maxMessage = 4000
	maxQuoted  = 200
)

// report collects the findings of one check.
type report struct {
	check    Check
	work     *work
	findings []Finding
	added    map[Severity]int
}

func (r *report) add(severity Severity, file, where, message string) {
	if r.full(severity) {
		return
	}
	if r.added == nil {
		r.added = map[Severity]int{}
	}
	if r.added[severity]++; r.full(severity) {
		file, where, message = GraphPath, "", fmt.Sprintf("more than %d findings of the check; "+
			"the others are left out", maxFindings)
	}
	r.findings = append(r.findings, Finding{
		Check: r.check, Severity: severity, File: file, Where: oneLine(shorten(where, maxMessage)),
		Message: oneLine(shorten(message, maxMessage)),
	})
}

// full returns whether another finding of the severity would be left out.
func (r *report) full(severity Severity) bool { return r.added[severity] > maxFindings }

// shorten cuts text off behind limit bytes.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "..."
}

// quote quotes a name out of a file, shortened.
func quote(name string) string { return strconv.Quote(shorten(name, maxQuoted)) }

// quoteAll quotes the first of the names, each shortened.
func quoteAll(names []string) string {
	const most = 20
	quoted := make([]string, 0, most)
	for _, name := range names[:min(len(names), most)] {
		quoted = append(quoted, quote(name))
	}
	if len(names) > most {
		quoted = append(quoted, fmt.Sprintf("and %d more", len(names)-most))
	}
	return "[" + strings.Join(quoted, " ") + "]"
}

// oneLine replaces what would begin another line or control a terminal: names in the text may come
// from a hostile model.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

func (r *report) errorf(file, where, format string, args ...any) {
	if !r.full(Error) {
		r.add(Error, file, where, fmt.Sprintf(format, args...))
	}
}
