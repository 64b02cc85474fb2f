package object

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

// Error is what is wrong with one object. Its words are the same each time, without the numbers by
// which a server names a request.
type Error struct {
	Path, Reason string
	Err          error // fs.ErrNotExist, fs.ErrPermission, ...; may be nil
}

func (e *Error) Error() string { return e.Path + ": " + e.Reason }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// StoreError says that a store could not be used at all, whatever the object: there is no such
// bucket, the credentials are missing or wrong, or it did not answer for longer than is waited.
type StoreError struct {
	Store string // scheme://bucket
	Err   error
}

func (e *StoreError) Error() string { return fmt.Sprintf("%s: %v", e.Store, e.Err) }

// Unwrap returns Err.
func (e *StoreError) Unwrap() error { return e.Err }

// temporary is an error after which it is worth to try again.
type temporary struct {
	error
	after time.Duration // that the server wants to be waited; 0 where it does not say
}

func (t temporary) Unwrap() error { return t.error }

const (
	attempts  = 6
	firstWait = 250 * time.Millisecond // doubled with each attempt, with a random part
	maxWait   = 30 * time.Second       // that a server may ask for
)

// retry calls f until it succeeds, its error is not temporary, or it has failed six times.
func retry(ctx context.Context, f func() error) error {
	for n := 0; ; n++ {
		err := withoutPanic(f)
		var again temporary
		if err == nil || !errors.As(err, &again) {
			return err
		}
		if n+1 == attempts {
			return withoutTemporary(err)
		}
		if err := pause(ctx, n, again.after); err != nil {
			return err
		}
	}
}

// withoutPanic returns as an error what a cloud's library panics over, as an answer in which a time
// or a number is missing.
func withoutPanic(f func() error) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("expected an answer as the store's protocol has it, got one that its "+
				"library fails over: %v", fault)
		}
	}()
	return f()
}

func withoutTemporary(err error) error {
	var again temporary
	if errors.As(err, &again) {
		return again.error
	}
	return err
}

// pause waits before attempt n+1.
func pause(ctx context.Context, n int, after time.Duration) error {
	wait := firstWait << n
	wait = max(wait/2+rand.N(wait), min(after, maxWait))
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// isTemporaryStatus tells of an HTTP status whether the same request may succeed later.
func isTemporaryStatus(status int) bool {
	return status == 408 || status == 429 || status >= 500 && status != 501 && status != 505
}

// networkReason says in fixed words, without addresses and times, why there was no answer.
func networkReason(err error) (reason string, isTemporary bool) {
	var dns *net.DNSError
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	var network net.Error
	switch {
	case errors.As(err, &certificate):
		return "its certificate could not be verified", false
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return "there is no such host", false
		}
		return "its host's address could not be looked up", true
	case errors.Is(err, errStalled), errors.As(err, &network) && network.Timeout():
		return fmt.Sprintf("no answer within %v", stallTime), true
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the answer was cut off", true
	case errors.As(err, &op):
		return "the connection failed: " + innermost(op.Err).Error(), true
	}
	return innermost(err).Error(), false
}

func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
