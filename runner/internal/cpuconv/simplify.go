package cpuconv

import (
	"slices"
)

// simplify leaves out steps that nothing reads, and has steps do what those behind them would. It
// returns whether all that are left can be computed.
func (l *lowering) simplify() bool {
	reads := map[string]int{} // how many of each value
	for _, s := range l.steps {
		for _, name := range s.values() {
			reads[name]++
		}
	}
	for slices.ContainsFunc(l.steps, func(s *step) bool { return l.simplifyOne(s, reads) }) {
	}
	return !slices.ContainsFunc(l.steps, func(s *step) bool {
		odd := s.shape.c%8 != 0 && (s.shape.c > maxOddChannels || len(s.images) > 1 ||
			s.scale+s.added != "")
		return s.kind == stepScale && (s.rank != 4 || odd)
	})
}

// simplifyOne removes a step if it can, and returns whether it has.
func (l *lowering) simplifyOne(s *step, reads map[string]int) bool {
	if reads[s.name] == 0 && !l.leaving[s.name] {
		for _, name := range s.values() {
			reads[name]--
		}
		l.remove(s)
		return true
	}
	if s.kind != stepScale || len(s.images) != 1 {
		return false
	}
	from := l.step[s.images[0]]
	if from == nil || reads[from.name] != 1 || l.leaving[from.name] ||
		from.region != s.region || !join(from, s) {
		return false
	}
	// The first takes the name of the second, which alone has read it.
	l.remove(s)
	delete(l.step, from.name)
	delete(l.alias, s.name)
	l.alias[from.name] = s.name
	from.name = s.name
	l.step[s.name] = from
	return true
}

func (l *lowering) remove(s *step) {
	l.steps = slices.DeleteFunc(l.steps, func(other *step) bool { return other == s })
	delete(l.step, s.name)
	l.alias[s.name] = s.images[0] // TensorFlow does not compute it either
}

// join has a step do what another does with its value, if it can.
func join(first, second *step) bool {
	isConv := first.kind <= stepDense || first.kind == stepQConv
	if first.act != actLinear || !isConv && first.kind != stepScale {
		return false
	}
	if !second.alone() && (first.kind != stepScale || first.added+second.added+second.scale != "" ||
		!first.scaleBy(second.scales, second.shifts)) {
		return false
	}
	first.act = second.act
	return true
}
