package evaluate

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"kerasrun/score"
)

// Data is labelled images: files with the text that says of what class each is.
type Data struct {
	Name string // the folder or the table
	// Passed are the entries of the folder that hold no class: files, and what begins with a dot.
	Passed []string
	labels []string // those that there are, each once; for folders in lexical order
	// Of several columns a label has the texts of all, with `between` in between.
	columns []string
	numbers [][]float64 // of each row, where the columns have such
	images  int64
	each    iter.Seq2[labelled, error] // an error is the last
	unit    string                     // what a label is written on: "folder", "row"
}

// labelled is one image with its label.
type labelled struct {
	score.Item
	label string
}

// Images returns how many images there are.
func (d *Data) Images() int64 { return d.images }

// Folders are the images below dir in a folder for each class, DIR/CLASS/..., as Keras's
// image_dataset_from_directory reads them. Folders that begin with a dot are passed over. Files
// that are no images are counted in skipped, which may be nil.
func Folders(dir string, skipped *score.Skipped) (*Data, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	d := &Data{Name: dir, unit: "folder"}
	for _, entry := range entries {
		name := entry.Name()
		info, err := os.Stat(filepath.Join(dir, name)) // also of what a link leads to
		if err != nil {
			return nil, err
		}
		if !info.IsDir() || strings.HasPrefix(name, ".") {
			d.Passed = append(d.Passed, name)
			continue
		}
		d.labels = append(d.labels, name)
	}
	if len(d.labels) == 0 {
		return nil, fmt.Errorf("%s: expected a folder for each class, %s, found none", dir,
			filepath.Join(dir, "CLASS", "IMAGE"))
	}
	walk := func(skipped *score.Skipped) iter.Seq2[labelled, error] {
		return func(yield func(labelled, error) bool) {
			for _, label := range d.labels {
				folder := filepath.Join(dir, label)
				for path, err := range score.Images(context.Background(), folder, skipped) {
					item := score.File(path)
					if err != nil {
						item.Read = func() ([]byte, error) { return nil, err }
					}
					if !yield(labelled{item, label}, nil) {
						return
					}
				}
			}
		}
	}
	for range walk(nil) {
		d.images++
	}
	if d.images == 0 {
		return nil, fmt.Errorf("%s: expected images in its folders %s, found none", dir,
			Few(d.labels))
	}
	d.each = walk(skipped)
	return d, nil
}

// maxLabels bounds the different labels of a table, and so the memory that they take. No model has
// as many classes.
const maxLabels = 1 << 20

// Table are the images of a table (see [score.IsTable]) that has a column of paths, which are
// relative to the table's own folder, and a column of labels. separator is that of
// [score.InputOptions].
func Table(table string, separator rune, paths, labels string) (*Data, error) {
	d := &Data{Name: table, unit: "row", each: rows(table, separator, false, paths, labels)}
	return d.findLabels(func(label string) error {
		if label == "" {
			return fmt.Errorf("%s: row %d: expected a class in the column %q, got none", table,
				d.images, labels)
		}
		if len(d.labels) > maxLabels {
			return fmt.Errorf("%s: expected a class in the column %q, got over %d different texts",
				table, labels, maxLabels)
		}
		return nil
	})
}

// findLabels goes through the rows for the labels that there are, and has check look at each row's.
// It returns the data where all is well.
func (d *Data) findLabels(check func(label string) error) (*Data, error) {
	seen := map[string]bool{}
	return d.scan(func(label string) error {
		if !seen[label] {
			seen[label] = true
			d.labels = append(d.labels, label)
		}
		return check(label)
	})
}

// scan goes through the rows and counts them. It ends with the first error of add, and returns the
// data where there is none.
func (d *Data) scan(add func(label string) error) (*Data, error) {
	for image, err := range d.each {
		if err != nil {
			return nil, err
		}
		d.images++
		if err := add(image.label); err != nil {
			return nil, err
		}
	}
	if d.images == 0 {
		return nil, fmt.Errorf("%s: expected a row for each image, found none", d.Name)
	}
	return d, nil
}
