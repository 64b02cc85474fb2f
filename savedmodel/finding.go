package savedmodel

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Check is the name of one of the checks that a model is held against.
type Check string

// The checks, in the order in which they are reported.
const (
	// no saved_model.pbtxt or saved_model.cpb beside saved_model.pb
	CheckText  Check = "text"
	CheckLinks Check = "links" // plain files only, no link out of the directory
	// graphs told apart by their tags, with signatures that can be called
	CheckSignatures Check = "signatures"
	CheckAssets     Check = "assets" // assets are files below assets/
	// every variable of the graph is in variables/, whole and with the right checksum
	CheckVariables Check = "variables"
	CheckManifest  Check = "manifest" // the manifest can be read
	// the files are those of the manifest, with its sizes and hashes
	CheckFiles    Check = "files"
	CheckContract Check = "contract" // the signatures are those of the manifest, with its input
	CheckLabels   Check = "labels"   // there are as many labels as classes
	// the graph's constants hold the elements that their shapes say
	CheckConstants  Check = "constants"
	CheckAttributes Check = "attributes" // shapes and lists of numbers are of sizes that can be
	// functions call each other in no circle, and not too often
	CheckCalls Check = "calls"
	CheckOps   Check = "ops" // every operation is on the allow-list
)

// Checks returns every check, in the order in which they are reported.
func Checks() []Check {
	return []Check{CheckText, CheckLinks, CheckSignatures, CheckAssets, CheckVariables,
		CheckManifest, CheckFiles, CheckContract,
		CheckLabels, CheckConstants, CheckAttributes, CheckCalls, CheckOps}
}

// Severity says what a finding means for the use of the model.
type Severity string

const (
	Error   Severity = "error"   // the model is not to be loaded
	Warning Severity = "warning" // worth a look; what it is about is never run
)

// Finding is one thing that is wrong with a model.
type Finding struct {
	Check    Check    `json:"check"`
	Severity Severity `json:"severity"`
	File     string   `json:"file"` // in the directory, with slashes
	// in the file: a graph's node, a function's, a variable
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

// Join makes of the findings that are errors one error, nil where there are none.
func Join(findings []Finding) error {
	var errs []error
	for _, f := range findings {
		if f.Severity == Error {
			errs = append(errs, f)
		}
	}
	return errors.Join(errs...)
}

// report collects the findings of one check.
type report struct {
	check    Check
	findings []Finding
}

func (r *report) add(severity Severity, file, where, message string) {
	r.findings = append(r.findings, Finding{
		Check: r.check, Severity: severity, File: file, Where: oneLine(where), Message: oneLine(
			message),
	})
}

// oneLine takes out of a text what would begin another line or drive a terminal: names in it may be
// a hostile model's.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

func (r *report) errorf(file, where, format string, args ...any) {
	r.add(Error, file, where, fmt.Sprintf(format, args...))
}
