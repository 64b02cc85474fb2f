package evaluate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/labels"
)

func named(names ...string) (l labels.Labels) {
	for i, name := range names {
		l = append(l, labels.Class{ID: fmt.Sprintf("n%d", i), Name: name})
	}
	return l
}

func TestResolve(t *testing.T) {
	digits := named("0", "1", "10", "2") // in the order of folders
	twice := named("crane", "cat", "crane")
	var many labels.Labels
	for i := range 30 {
		many = append(many, labels.Class{Name: fmt.Sprintf("class-%d", i)})
	}
	for _, test := range []struct {
		name    string
		labels  labels.Labels // nil: three classes
		given   string
		as      LabelType
		want    string // type and classes, or a part of the error
		table   bool
		classes int
	}{
		{name: "names", labels: named("cat", "dog"), given: "dog cat", want: "name map[cat:0 dog:1]"},
		{name: "ids", labels: named("cat", "dog"), given: "n1", want: "id map[n1:1]"},
		{name: "indices", labels: named("cat", "dog"), given: "1 0", want: "index map[0:0 1:1]"},
		{name: "indices without names", given: "2", want: "index map[2:2]"},
		{name: "one label as id and name", labels: labels.Labels{{ID: "cat", Name: "cat"}}, given: "cat",
			want: "name map[cat:0]"},
		{name: "digits that agree", labels: digits, given: "0 1", want: "name map[0:0 1:1]"},
		{name: "digits that disagree", labels: digits, given: "0 1 2",
			want: `every label is the name and the index of a class, but not of the same one: "2" is the ` +
				`name of class 3 and the index of class 2; --label-type says which is meant`},
		{name: "which is meant", labels: digits, given: "0 1 2", as: LabelName,
			want: "name map[0:0 1:1 2:3]"},
		{name: "the other", labels: digits, given: "0 1 2", as: LabelIndex,
			want: "index map[0:0 1:1 2:2]"},
		{name: "only names are all of a class", labels: digits, given: "0 10",
			want: "name map[0:0 10:2]"},
		{name: "a stranger", labels: named("cat", "dog"), given: "cat bird fish",
			want: `expected each folder to be named by the name of one of the model's 2 classes, "cat", ` +
				`"dog"; 2 of 3 labels are not: "bird", "fish"`},
		{name: "a stranger among ids", labels: named("cat", "dog"), given: "n0 n7", table: true,
			want: `expected each label to be the id of one of the model's 2 classes, "n0", "n1"; 1 of 2 ` +
				`labels are not: "n7"`},
		{name: "names for a model without", given: "cat dog",
			want: "expected each folder to be named by an index from 0 to 2, as the model's classes have no " +
				`names; 2 of 2 labels are not: "cat", "dog"`},
		{name: "from 1", given: "1 2 3", want: `1 of 3 labels are not: "3"`},
		{name: "padded", given: "00 01", want: `2 of 2 labels are not: "00", "01"`},
		{name: "other spelling", labels: named("cat"), given: "Cat", want: `"Cat"`},
		{name: "a name of two classes", labels: twice, given: "cat crane",
			want: `"crane" is the name of classes [0 2], so it says not which`},
		{name: "an id where names are asked for", labels: named("cat"), given: "n0", as: LabelName,
			want: "the name of one of the model's 1 classes"},
		{name: "a long list", labels: many, given: "x", want: `"class-19" and 10 more; 1 of 1`},
		{name: "numbered folders", given: "0 1", classes: 11,
			want: `in which "10" stands before "2"`},
		{name: "numbered folders, said", given: "0 1", classes: 11, as: LabelIndex,
			want: "index map[0:0 1:1]"},
		{name: "numbers in a table", given: "0 1", classes: 11, table: true, want: "index map[0:0 1:1]"},
	} {
		d := &Data{Name: "data", unit: "folder", labels: strings.Fields(test.given)}
		if test.table {
			d.unit = "row"
		}
		classes := max(test.classes, 3)
		if test.labels != nil {
			classes = len(test.labels)
		}
		if test.as == "" {
			test.as = LabelAuto
		}
		got, err := d.resolve(classes, test.labels, test.as)
		text := fmt.Sprint(got.as, " ", got.classes)
		if err != nil {
			text = err.Error()
		}
		if err == nil && text != test.want || err != nil && !strings.Contains(text, test.want) {
			t.Errorf("%s: got %s, want %s", test.name, text, test.want)
		}
	}
}

func TestFew(t *testing.T) {
	if diff := cmp.Diff(`"a", "b\n"`, Few([]string{"a", "b\n"})); diff != "" {
		t.Error(diff)
	}
}
