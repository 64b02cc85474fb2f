package serve

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"kerasrun/serve/internal/oip"
)

const streamMethod = oip.GRPCInferenceService_ModelStreamInfer_FullMethodName

// streamDepth is how many requests of one stream are answered at a time; the next waits unread.
const streamDepth = 32

// streamAnswer is what a request of a stream waits for.
type streamAnswer chan *oip.ModelStreamInferResponse

// streamInfer answers the requests of a stream, in their order. One that fails has its error in its
// answer, and the stream goes on.
func (s *Server) streamInfer(stream grpc.ServerStream) error {
	answers := make(chan streamAnswer, streamDepth)
	ended := make(chan error, 1)
	go func() {
		defer close(answers)
		ended <- s.receive(stream, answers)
	}()
	var err error
	for answer := range answers {
		// What was read is answered, also when nobody listens any more.
		if ready := <-answer; err == nil {
			err = stream.SendMsg(ready)
		}
	}
	if received := <-ended; err == nil {
		err = received
	}
	return err
}

// receive reads requests and begins to answer them, until the stream ends or the server does.
func (s *Server) receive(stream grpc.ServerStream, answers chan<- streamAnswer) error {
	requests, failed := make(chan []byte), make(chan error, 1)
	go func() {
		for {
			raw := new(emptypb.Empty) // to which all of a message is unknown
			if err := stream.RecvMsg(raw); err != nil {
				failed <- err
				return
			}
			select {
			case requests <- raw.ProtoReflect().GetUnknown():
			case <-stream.Context().Done():
				return
			}
		}
	}()
	for {
		select {
		case raw := <-requests:
			answer := make(streamAnswer, 1)
			answers <- answer
			go func() { answer <- s.answerStreamed(stream.Context(), raw) }()
		case err := <-failed:
			if err == io.EOF {
				return nil
			}
			return err
		case <-s.streams.Done():
			return errorf(codes.Unavailable, "the server is shutting down")
		}
	}
}

// answerStreamed answers one request of a stream, which is logged and counted as a call is.
func (s *Server) answerStreamed(ctx context.Context, raw []byte) *oip.ModelStreamInferResponse {
	ctx, cancel := context.WithTimeout(ctx, s.config.Limits.Deadline)
	defer cancel()
	ctx, log := withLog(ctx, s.logger(ctx))
	held := &account{memory: s.memory}
	defer held.free()
	var request oip.ModelInferRequest
	var answer *oip.ModelInferResponse
	err := s.recorded(ctx, log, slog.LevelInfo, "request", streamMethod, func() error {
		err := decodeReserved(raw, &request, held)
		if err == nil {
			answer, err = (&grpcService{server: s}).ModelInfer(ctx, &request)
		}
		return err
	})
	s.metrics.answeredGRPC(err)
	if err != nil {
		return &oip.ModelStreamInferResponse{ErrorMessage: status.Convert(err).Message(),
			InferResponse: &oip.ModelInferResponse{Id: request.Id}}
	}
	if answer.Parameters == nil {
		answer.Parameters = map[string]*oip.InferParameter{}
	}
	answer.Parameters["triton_final_response"] = &oip.InferParameter{
		ParameterChoice: &oip.InferParameter_BoolParam{BoolParam: true}}
	return &oip.ModelStreamInferResponse{InferResponse: answer}
}

// serverStream is a stream whose context is another one.
type serverStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *serverStream) Context() context.Context { return s.ctx }

// answerStream is answerGRPC for a stream, which has no deadline and is no answer: its requests
// have, and are.
func (s *Server) answerStream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo,
	next grpc.StreamHandler) (err error) {
	ctx, level := stream.Context(), slog.LevelDebug // reflection, and who watches the health
	if info.FullMethod == streamMethod {
		var span trace.Span
		ctx, span = traceCall(ctx, info.FullMethod)
		defer func() { endCall(span, err) }()
		level = slog.LevelInfo
	} else {
		// The streams of others end when the server does.
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(s.streams, cancel)()
	}
	ctx, log := s.withCall(ctx)
	return s.recorded(ctx, log, level, "stream", info.FullMethod, func() error {
		return next(service, &serverStream{stream, ctx})
	})
}
