package evaluate

import (
	"fmt"
	"iter"
	"strconv"
	"strings"

	"kerasrun/labels"
	"kerasrun/score"
)

// between stands between the texts of several columns.
const between = "\x00"

// Sets are the images of a table, as [Table] has them, each with any number of labels, which may be
// none. One column has them separated by "|"; several columns are named as the classes and have 0
// or 1, or false or true.
func Sets(table string, separator rune, paths string, columns ...string) (*Data, error) {
	d := &Data{Name: table, unit: "row", columns: columns,
		each: rows(table, separator, false, paths, columns...)}
	return d.findLabels(func(string) error {
		if len(d.labels) > maxLabels {
			return fmt.Errorf("%s: expected labels in %q, got over %d different sets of them",
				table, columns, maxLabels)
		}
		return nil
	})
}

// Numbers are the images of a table, as [Table] has them, each with a number in each of some
// columns, in the order of the model's values.
func Numbers(table string, separator rune, paths string, columns ...string) (*Data, error) {
	d := &Data{Name: table, unit: "row", columns: columns,
		each: rows(table, separator, true, paths, columns...)}
	return d.scan(func(label string) (err error) {
		numbers := make([]float64, len(columns))
		for i, text := range strings.Split(label, between) {
			numbers[i], err = strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil || numbers[i]-numbers[i] != 0 {
				return fmt.Errorf("%s: row %d: expected a finite number in the column %q, got %q",
					table, d.images, columns[i], text)
			}
		}
		d.numbers = append(d.numbers, numbers)
		return nil
	})
}

// rows yields the images of a table with the texts of some columns as the label.
func rows(
	table string, separator rune, floats bool, paths string, columns ...string,
) iter.Seq2[labelled, error] {
	return func(yield func(labelled, error) bool) {
		for row, err := range score.Table(table, separator, floats, paths, columns...) {
			if err != nil {
				yield(labelled{}, err)
				return
			}
			if !yield(labelled{row.Item, strings.Join(row.Texts, between)}, nil) {
				return
			}
		}
	}
}

// sets finds the classes that each text means, by its place in d.labels: sets[i][class] says
// whether the class is in it.
func (d *Data) sets(
	classes int, l labels.Labels, as LabelType,
) (sets [][]bool, t truth, err error) {
	if len(d.columns) > 1 {
		return d.columnSets(classes, l, as)
	}
	atoms := &Data{Name: d.Name, unit: "label"}
	seen := map[string]bool{}
	for _, text := range d.labels {
		parts, err := splitLabels(text)
		if err != nil {
			return nil, t, fmt.Errorf("%s: column %q: %w", d.Name, d.columns[0], err)
		}
		for _, part := range parts {
			if !seen[part] {
				seen[part] = true
				atoms.labels = append(atoms.labels, part)
			}
		}
	}
	if len(atoms.labels) == 0 {
		return nil, t, fmt.Errorf("%s: expected labels in the column %q, separated by |, got none "+
			"in every row", d.Name, d.columns[0])
	}
	if t, err = atoms.resolve(classes, l, as); err != nil {
		return nil, t, fmt.Errorf("%w; several labels of an image are separated by |", err)
	}
	for _, text := range d.labels {
		parts, _ := splitLabels(text)
		set := make([]bool, classes)
		for _, part := range parts {
			set[t.classes[part]] = true
		}
		sets = append(sets, set)
	}
	return sets, t, nil
}

// splitLabels takes "cat|dog" apart; an empty text has no labels.
func splitLabels(text string) ([]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	parts := strings.Split(text, "|")
	for i, part := range parts {
		if parts[i] = strings.TrimSpace(part); parts[i] == "" {
			return nil, fmt.Errorf("expected labels separated by |, as cat|dog, got %q", text)
		}
	}
	return parts, nil
}

// columnSets are those of a column for each class.
func (d *Data) columnSets(classes int, l labels.Labels, as LabelType) (sets [][]bool, t truth,
	err error) {
	names := &Data{Name: d.Name, unit: "column", labels: d.columns}
	if t, err = names.resolve(classes, l, as); err != nil {
		return nil, t, err
	}
	column := make([]string, classes)
	for _, name := range d.columns {
		class := t.classes[name]
		if column[class] != "" {
			return nil, t, fmt.Errorf("%s: expected one column for a class, got %q and %q", d.Name,
				column[class], name)
		}
		column[class] = name
	}
	for class, name := range column {
		if name == "" {
			return nil, t, fmt.Errorf("%s: expected a column for each of the model's %d classes, "+
				"got none for %v", d.Name, classes, className(l, class))
		}
	}
	for _, text := range d.labels {
		set := make([]bool, classes)
		for i, cell := range strings.Split(text, between) {
			switch strings.ToLower(strings.TrimSpace(cell)) {
			case "1", "1.0", "true":
				set[t.classes[d.columns[i]]] = true
			case "0", "0.0", "false":
			default:
				return nil, t, fmt.Errorf("%s: column %q: expected 0 or 1, or false or true, "+
					"got %q", d.Name, d.columns[i], cell)
			}
		}
		sets = append(sets, set)
	}
	return sets, t, nil
}
