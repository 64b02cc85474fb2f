package savedmodel

// Validate returns everything that is wrong with the directory, joined, each a [Finding]; nil where nothing is. It reads every
// file that the manifest names, and all of the variables. It does not judge what the graph does: see [Model.Scan].
func (m *Model) Validate() error {
	return join(m.validate())
}

func (m *Model) validate() []Finding {
	var findings []Finding
	findings = append(findings, m.links...)
	return findings
}
