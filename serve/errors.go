package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kerasrun/batch"
	"kerasrun/classify"
	"kerasrun/preprocess"
	"kerasrun/worker"
)

// Error is why a request was not answered, with the code that TensorFlow and gRPC share.
type Error struct {
	Code codes.Code
	HTTP int // the status over HTTP, where it is not the one that TensorFlow Serving gives for Code
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// GRPCStatus makes the error one of gRPC's.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.Code, e.Error()) }

// Status returns the status over HTTP.
func (e *Error) Status() int {
	if e.HTTP != 0 {
		return e.HTTP
	}
	if s, ok := httpStatus[e.Code]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// statusClientClosed is nginx's for a client that has left; nobody reads it but the log.
const statusClientClosed = 499

// httpStatus is TensorFlow Serving's translation; every other code is 500.
var httpStatus = map[codes.Code]int{
	codes.OK:                 http.StatusOK,
	codes.Canceled:           statusClientClosed,
	codes.InvalidArgument:    http.StatusBadRequest,
	codes.FailedPrecondition: http.StatusBadRequest,
	codes.OutOfRange:         http.StatusBadRequest,
	codes.Unauthenticated:    http.StatusUnauthorized,
	codes.PermissionDenied:   http.StatusForbidden,
	codes.NotFound:           http.StatusNotFound,
	codes.AlreadyExists:      http.StatusConflict,
	codes.Aborted:            http.StatusConflict,
	codes.ResourceExhausted:  http.StatusTooManyRequests,
	codes.Unimplemented:      http.StatusNotImplemented,
	codes.Unavailable:        http.StatusServiceUnavailable,
	codes.DeadlineExceeded:   http.StatusGatewayTimeout,
}

func errorf(code codes.Code, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// invalid makes err the client's fault, unless it says better whose it is.
func invalid(err error) error {
	var known *Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &Error{Code: codes.InvalidArgument, Err: err}
}

// asError gives every error its code.
func asError(err error) *Error {
	var known *Error
	var tooLong *http.MaxBytesError
	var tooLarge *preprocess.TooLargeError
	var malformed *preprocess.FormatError
	var longImage *classify.TooLongError
	var noClasses *classify.OutputError
	var unsupported *preprocess.UnsupportedError
	var died *worker.DiedError
	var down *worker.DownError
	var answered interface{ GRPCStatus() *status.Status }
	switch {
	case errors.As(err, &known):
		// with what was wrapped around it
		return &Error{Code: known.Code, HTTP: known.HTTP, Err: err}
	case errors.As(err, &answered): // by gRPC or one of its services
		return &Error{Code: answered.GRPCStatus().Code(),
			Err: errors.New(answered.GRPCStatus().Message())}
	case errors.As(err, &tooLong):
		return tooLongError(tooLong.Limit)
	case errors.As(err, &longImage):
		return &Error{Code: codes.InvalidArgument, HTTP: http.StatusRequestEntityTooLarge, Err: err}
	case errors.As(err, &noClasses):
		return &Error{Code: codes.FailedPrecondition, Err: err}
	case errors.As(err, &tooLarge):
		return &Error{Code: codes.InvalidArgument, HTTP: http.StatusUnprocessableEntity, Err: err}
	case errors.As(err, &malformed):
		return &Error{Code: codes.InvalidArgument, Err: err}
	case errors.As(err, &unsupported):
		return &Error{Code: codes.InvalidArgument, HTTP: http.StatusUnsupportedMediaType, Err: err}
	case errors.As(err, &died), errors.As(err, &down):
		return &Error{Code: codes.Unavailable, Err: err}
	case errors.Is(err, batch.ErrFull), errors.Is(err, batch.ErrTimeout),
		errors.Is(err, batch.ErrClosed):
		return &Error{Code: codes.Unavailable, Err: err}
	case errors.Is(err, batch.ErrTooLong):
		return &Error{Code: codes.InvalidArgument, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: codes.DeadlineExceeded,
			Err: errors.New("the request took longer than its deadline")}
	case errors.Is(err, context.Canceled):
		return &Error{Code: codes.Canceled, Err: errors.New("the client has left")}
	}
	return &Error{Code: codes.Internal, Err: err}
}

func tooLongError(limit int64) *Error {
	return &Error{Code: codes.InvalidArgument, HTTP: http.StatusRequestEntityTooLarge,
		Err: fmt.Errorf("the body is over the limit of %d bytes", limit)}
}
