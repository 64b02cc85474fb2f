package worker

import "time"

// Backoff says how long a dead worker's successor waits to be started: after the first death not at
// all, then First, and twice as long each time, up to Most. What has lived for Healthy begins anew.
type Backoff struct{ First, Most, Healthy time.Duration }

// DefaultBackoff is for a server.
func DefaultBackoff() Backoff {
	return Backoff{First: time.Second, Most: time.Minute, Healthy: time.Minute}
}

// deaths counts those in a row.
type deaths struct {
	Backoff
	inRow int
}

// wait returns how long to wait after another death of a worker that had lived for so long; 0 for
// one that could not be started.
func (d *deaths) wait(lived time.Duration) time.Duration {
	if lived >= d.Healthy {
		d.inRow = 0
	}
	d.inRow++
	if d.inRow == 1 {
		return 0
	}
	wait := d.First
	for i := 2; i < d.inRow && wait < d.Most; i++ {
		wait *= 2
	}
	return min(wait, d.Most)
}
