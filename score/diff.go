package score

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
)

// Difference is what two outputs over the same images disagree in.
type Difference struct {
	Images    int64   `json:"pictures"` // in both
	OnlyA     int64   `json:"only_a"`
	OnlyB     int64   `json:"only_b"`
	Errors    int64   `json:"errors"` // answered in one, failed in the other
	TopFlips  int64   `json:"top_flips"`
	SetFlips  int64   `json:"set_flips"` // the same top class, other classes among the top k
	Max       float64 `json:"max_difference"`
	Mean      float64 `json:"mean_difference"` // of each image's largest difference
	Worst     []Case  `json:"worst"`           // the images that differ most, worst first
	Tolerance float64 `json:"tolerance"`
}

// Case is one image in which two outputs differ.
type Case struct {
	Path string `json:"path"`
	TopA int64  `json:"top_a"` // -1 where there is none
	TopB int64  `json:"top_b"`
	// the largest, over the probabilities of classes in both, or over the vector
	Difference float64 `json:"difference"`
}

// OK tells whether the outputs agree: the same images answered, no top class flipped, nothing
// beyond the tolerance, no NaN.
func (d Difference) OK() bool {
	return d.OnlyA == 0 && d.OnlyB == 0 && d.Errors == 0 && d.TopFlips == 0 && d.Max <= d.Tolerance
}

const worstCases = 10

// Diff compares two outputs, of any of the formats, that hold the same numbers. Both are read once,
// side by side, in the order of the images' indices.
func Diff(a, b string, tolerance float64) (d Difference, err error) {
	d.Tolerance = tolerance
	columnsA, recordsA, err := ReadOutput(a)
	if err != nil {
		return d, err
	}
	columnsB, recordsB, err := ReadOutput(b)
	if err != nil {
		return d, err
	}
	if columnsA.Vector != columnsB.Vector || columnsA.Logits != columnsB.Logits {
		return d, fmt.Errorf("expected outputs of the same columns; %s has %s and %s, %s has %s "+
			"and %s", a, columnsA.score(), columnsA.vector(),
			b, columnsB.score(), columnsB.vector())
	}
	nextA, stopA := iter.Pull2(recordsA)
	defer stopA()
	nextB, stopB := iter.Pull2(recordsB)
	defer stopB()
	var sum float64
	ra, err, okA := nextA()
	if err != nil {
		return d, err
	}
	rb, err, okB := nextB()
	if err != nil {
		return d, err
	}
	for okA || okB {
		order := cmp.Compare(ra.Index, rb.Index)
		switch {
		case !okB || okA && order < 0:
			d.OnlyA++
			ra, err, okA = nextA()
		case !okA || order > 0:
			d.OnlyB++
			rb, err, okB = nextB()
		default:
			if ra.Path != rb.Path {
				return d, fmt.Errorf(
					"image %d: %s has %s, %s has %s: not outputs over the same input", ra.Index, a,
					ra.Path, b, rb.Path)
			}
			sum += d.add(ra, rb)
			if ra, err, okA = nextA(); err == nil {
				rb, err, okB = nextB()
			}
		}
		if err != nil {
			return d, err
		}
	}
	if d.Images > 0 {
		d.Mean = sum / float64(d.Images)
	}
	return d, nil
}

// add counts one image and returns its largest difference.
func (d *Difference) add(a, b Record) float64 {
	d.Images++
	if a.Error != "" || b.Error != "" {
		if (a.Error == "") != (b.Error == "") {
			d.Errors++
		}
		return 0
	}
	c := Case{Path: a.Path, TopA: first(a.Classes), TopB: first(b.Classes)}
	if c.TopA != c.TopB {
		d.TopFlips++
	} else if !sameSet(a.Classes, b.Classes) {
		d.SetFlips++
	}
	c.Difference = max(largest(a.Vector, b.Vector), sharedClasses(a, b))
	d.Max = max(d.Max, c.Difference) // the built-in max keeps a NaN, which is within no tolerance
	if c.Difference != 0 || c.TopA != c.TopB {
		d.Worst = append(d.Worst, c)
		slices.SortStableFunc(d.Worst,
			func(x, y Case) int { return cmp.Compare(y.Difference, x.Difference) })
		d.Worst = d.Worst[:min(len(d.Worst), worstCases)]
	}
	return c.Difference
}

func first(classes []int64) int64 {
	if len(classes) == 0 {
		return -1
	}
	return classes[0]
}

func sameSet(a, b []int64) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// largest is the largest difference of two vectors; of vectors of different lengths it is infinite.
func largest(a, b []float32) (worst float64) {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	for i := range a {
		worst = max(worst, math.Abs(float64(a[i])-float64(b[i])))
	}
	return worst
}

// sharedClasses is the largest difference of probability over the classes that both have among
// their best.
func sharedClasses(a, b Record) (worst float64) {
	for i, class := range a.Classes {
		if k := slices.Index(b.Classes, class); k >= 0 {
			worst = max(worst, math.Abs(float64(a.Scores[i])-float64(b.Scores[k])))
		}
	}
	return worst
}
