package golden

import (
	"fmt"
	"math"
	"slices"
)

// roundingULPs is how far rounding moves a result at most, in units in the last place of the
// output's largest value. Sums in another order move deep networks by some hundreds; other weights,
// and images prepared otherwise, move them by millions.
const roundingULPs = 4096

// diagnosis says in a sentence what a failure looks like.
func (v *verification) diagnosis() string {
	wrong := func(run string) *stage {
		i := slices.IndexFunc(v.stages, func(s *stage) bool { return !s.OK && s.Run == run })
		if i < 0 {
			return nil
		}
		return v.stages[i]
	}
	if s := wrong(""); s != nil {
		return fmt.Sprintf("It looks like images prepared otherwise, not like rounding: they differ "+
			"at the stage %s already, before the model runs.", s.Name)
	}
	if i := slices.IndexFunc(v.stages, func(s *stage) bool { return s.count == 0 }); i >= 0 {
		return fmt.Sprintf("It looks like another model, or one that cannot run here: nothing of %s "+
			"could be compared.", v.stages[i].label())
	}
	if wrong(alone) == nil {
		return "It looks like a model whose answer to an image depends on the other rows of its " +
			"batch: alone, every case agrees."
	}
	var worst *stage
	for _, s := range v.stages {
		if !s.OK && s.Run == alone && (worst == nil || !(s.ulps() <= worst.ulps())) {
			worst = s
		}
	}
	same := !slices.ContainsFunc(v.stages, func(s *stage) bool {
		return s.Run == alone && s.Agreement != nil && s.Agreement.Top1 < s.Agreement.Cases
	})
	prepared := "the tensors are equal"
	if v.pipeline == nil {
		prepared = "the inputs are the pack's own"
	}
	differs := fmt.Sprintf("%s differs by up to %.3g, %.3g units in the last place of its largest "+
		"value", worst.Name, worst.Max, worst.ulps())
	switch {
	case worst.ulps() <= roundingULPs && same:
		return fmt.Sprintf("It looks like rounding: %s, every top class is the reference's, and %s.",
			prepared, differs)
	case worst.within():
		return fmt.Sprintf("It looks like an arithmetic that is too coarse for the classes: %s is "+
			"within its tolerance, but too few of its top classes are the reference's.", worst.Name)
	case same:
		return fmt.Sprintf("It looks like another model or other weights, not like rounding: %s, but "+
			"%s.", prepared, differs)
	}
	return fmt.Sprintf("It looks like another model or other weights, not like rounding: %s, but top "+
		"classes are not the reference's, and %s.", prepared, differs)
}

// ulps is the largest difference in units in the last place, as float32 has it, of the reference's
// largest value; NaN where there was one.
func (s *stage) ulps() float64 {
	largest := float32(s.largest)
	if s.Relative {
		largest = 1
	}
	if largest == 0 {
		largest = math.SmallestNonzeroFloat32
	}
	return s.max / float64(math.Nextafter32(largest, math.MaxFloat32)-largest)
}
