// Package junit writes results in JUnit's XML, for what reads test results in a CI.
package junit

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Suite is a group of cases.
type Suite struct {
	Name       string
	Seconds    float64 // that it took; 0 is not known
	Properties []Property
	Cases      []Case
}

// Property is what a suite ran with.
type Property struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

// Properties are those of a map, by their names.
func Properties(values map[string]string) (all []Property) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		all = append(all, Property{name, values[name]})
	}
	return all
}

// Case is one check.
type Case struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Failure *Failure `xml:"failure,omitempty"` // nil: it passed
	Error   *Failure `xml:"error,omitempty"`   // why it could not be checked at all
	Output  string   `xml:"system-out,omitempty"`
}

// Failure says why a case did not pass: in a line, and in full.
type Failure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// Write writes suites as a document.
func Write(w io.Writer, suites ...Suite) error {
	type properties struct {
		All []Property `xml:"property"`
	}
	type testsuite struct {
		Name       string      `xml:"name,attr"`
		Tests      int         `xml:"tests,attr"`
		Failures   int         `xml:"failures,attr"`
		Errors     int         `xml:"errors,attr"`
		Time       string      `xml:"time,attr,omitempty"` // seconds
		Properties *properties `xml:"properties"`
		Cases      []Case      `xml:"testcase"`
	}
	var all struct {
		XMLName xml.Name    `xml:"testsuites"`
		Suites  []testsuite `xml:"testsuite"`
	}
	for _, s := range suites {
		out := testsuite{Name: s.Name, Tests: len(s.Cases), Cases: s.Cases}
		for _, c := range s.Cases {
			if c.Failure != nil {
				out.Failures++
			}
			if c.Error != nil {
				out.Errors++
			}
		}
		if s.Seconds > 0 {
			out.Time = fmt.Sprintf("%.3f", s.Seconds)
		}
		if len(s.Properties) > 0 {
			out.Properties = &properties{s.Properties}
		}
		all.Suites = append(all.Suites, out)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
