// Package page makes reports for people: one HTML file each, that needs no other and no network.
package page

import (
	_ "embed"
	"fmt"
	"html/template"
)

var (
	//go:embed head.html
	head string
	//go:embed style.css
	style string
)

// Parse returns a template that may begin with {{template "head" TITLE}}, which goes up to <body>
// and has the style of every report. It panics where the text is no template, as template.Must.
func Parse(text string) *template.Template {
	t := template.New("page").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(style) },
	})
	return template.Must(template.Must(t.New("head").Parse(head)).New("page").Parse(text))
}

// ShownOf says how many of a list there are, where not all are shown.
func ShownOf(shown, all int) string {
	if shown == all {
		return ""
	}
	return fmt.Sprintf(", %d of %d", shown, all)
}
