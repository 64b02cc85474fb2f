package savedmodel

import (
	"errors"
	"strings"
)

// Check is the name of one of the checks that a model is held against.
type Check string

// The checks, in the order in which they are reported. Those from CheckFiles on compare with the manifest.
const (
	CheckText       Check = "text"       // no saved_model.pbtxt or saved_model.cpb beside or in place of saved_model.pb
	CheckLinks      Check = "links"      // plain files only, no link out of the directory
	CheckSignatures Check = "signatures" // signatures and tags that can be used, each once
	CheckAssets     Check = "assets"     // assets are files below assets/
	CheckVariables  Check = "variables"  // every variable of the graph is in variables/, whole and with the right checksum
	CheckManifest   Check = "manifest"   // the manifest can be read
	CheckFiles      Check = "files"      // the files are those of the manifest, with its sizes and hashes
	CheckContract   Check = "contract"   // the signatures are those of the manifest, with its input
	CheckLabels     Check = "labels"     // there are as many labels as classes
	CheckConstants  Check = "constants"  // the graph's constants hold the elements that their shapes say
	CheckOps        Check = "ops"        // every operation is on the allow-list
)

// Finding is one thing that is wrong with a model.
type Finding struct {
	Check   Check  `json:"check"`
	File    string `json:"file"`            // in the directory, with slashes
	Where   string `json:"where,omitempty"` // in the file: a graph's node, a function's, a variable
	Op      string `json:"op,omitempty"`    // of CheckOps: the operation
	Message string `json:"message"`
}

// Error returns the finding in a line: the file, the place in it, what is wrong.
func (f Finding) Error() string {
	parts := []string{f.File}
	if f.Where != "" {
		parts = append(parts, f.Where)
	}
	return strings.Join(append(parts, f.Message), ": ")
}

// join makes findings one error, nil where there are none.
func join(findings []Finding) error {
	errs := make([]error, len(findings))
	for i, f := range findings {
		errs[i] = f
	}
	return errors.Join(errs...)
}
