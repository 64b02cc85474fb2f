package score

import (
	"fmt"
	"strconv"
	"strings"
)

// Limit is how many of all images may be so: a number, or a share. The zero value is none.
type Limit struct {
	Images  int64
	Percent float64 // of all; where it is 0, Images counts
}

// ParseLimit reads "12" or "0.5%".
func ParseLimit(text string) (Limit, error) {
	if share, ok := strings.CutSuffix(text, "%"); ok {
		if p, err := strconv.ParseFloat(share, 64); err == nil && p >= 0 && p <= 100 {
			return Limit{Percent: p}, nil
		}
	} else if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return Limit{Images: n}, nil
	}
	return Limit{}, fmt.Errorf("expected a number of images, as 12, or a share, as 0.5%%, got %q",
		text)
}

func (l Limit) String() string {
	if l.Percent > 0 {
		return strconv.FormatFloat(l.Percent, 'g', -1, 64) + "%"
	}
	return strconv.FormatInt(l.Images, 10)
}

// Exceeded says whether n of all images are more than the limit allows.
func (l Limit) Exceeded(n, all int64) bool {
	if l.Percent > 0 {
		return float64(n) > l.Percent/100*float64(all)
	}
	return n > l.Images
}
