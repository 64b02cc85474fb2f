package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"

	"kerasrun/serve/internal/oip"
	"kerasrun/tensor"
	"kerasrun/tfserving"
)

// GRPCOptions returns what a gRPC server needs to keep the Server's limits, ask for its token, and
// log.
func (s *Server) GRPCOptions() []grpc.ServerOption {
	l := s.config.Limits
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(int(l.Body)),
		grpc.MaxHeaderListSize(uint32(l.HeaderBytes)),
		grpc.MaxConcurrentStreams(256), // of one connection
		grpc.ConnectionTimeout(l.ReadHeader),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: l.Idle, Time: l.Idle}),
		grpc.InTapHandle(s.admitGRPC),
		grpc.ChainUnaryInterceptor(s.answerGRPC),
		grpc.ChainStreamInterceptor(s.answerStream),
	}
}

// admitGRPC wants the token from all but probes, before it reads what they have to say, and refuses
// calls beyond the limit. One that does not send its request counts too, and has its time for that.
func (s *Server) admitGRPC(ctx context.Context, info *tap.Info) (context.Context, error) {
	if !strings.HasPrefix(info.FullMethodName, "/grpc.health.v1.") &&
		!s.hasToken(strings.Join(info.Header.Get("authorization"), "")) {
		return nil, asError(errToken).GRPCStatus().Err()
	}
	if !s.rpcStreams.enter(s.config.Limits.Streams, probeCall(info.FullMethodName)) {
		return nil, errStreams.GRPCStatus().Err()
	}
	cancel := context.CancelFunc(func() {})
	if !streamingCall(info.FullMethodName) {
		ctx, cancel = context.WithTimeout(ctx, s.config.Limits.Read+s.config.Limits.Deadline)
	}
	context.AfterFunc(ctx, func() {
		cancel()
		s.rpcStreams.leave()
	})
	return ctx, nil
}

var errStreams = asError(errorf(codes.Unavailable, "too many calls are being answered"))

// grpcServices are the services whose requests reserve memory.
var grpcServices = []*grpc.ServiceDesc{&oip.GRPCInferenceService_ServiceDesc,
	&tfserving.PredictionService_ServiceDesc, &tfserving.ModelService_ServiceDesc}

// RegisterGRPC adds the services of the Open Inference Protocol and of TensorFlow Serving, and the
// standard health service, to a gRPC server made with GRPCOptions. To a [grpc.Server] it adds
// reflection, which tells tools what the services are.
func (s *Server) RegisterGRPC(g grpc.ServiceRegistrar) {
	for i, service := range []any{&grpcService{server: s}, &predictionService{server: s},
		&modelService{server: s}} {
		g.RegisterService(s.reserving(grpcServices[i]), service)
	}
	grpc_health_v1.RegisterHealthServer(g, s.health)
	if g, ok := g.(reflection.GRPCServer); ok {
		reflection.Register(g)
	}
}

// probeCall says whether a call asks after the server's health.
func probeCall(method string) bool {
	return strings.HasPrefix(method, "/grpc.health.v1.") ||
		strings.HasSuffix(method, "/ServerLive") || strings.HasSuffix(method, "/ServerReady")
}

// streamingCall says whether a call is a stream of requests or of answers, which lasts as long as
// its client likes.
func streamingCall(method string) bool {
	return method == streamMethod || method == grpc_health_v1.Health_Watch_FullMethodName ||
		strings.HasPrefix(method, "/grpc.reflection.")
}

// answerGRPC gives each call an id, a deadline, a line in the log, and a span unless it is a probe.
func (s *Server) answerGRPC(ctx context.Context, request any, info *grpc.UnaryServerInfo,
	next grpc.UnaryHandler) (answer any, err error) {
	level := slog.LevelDebug
	if !probeCall(info.FullMethod) {
		var span trace.Span
		ctx, span = traceCall(ctx, info.FullMethod)
		defer func() {
			endCall(span, err)
			s.metrics.answeredGRPC(err)
		}()
		level = slog.LevelInfo
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Limits.Deadline)
	defer cancel()
	ctx, log := s.withCall(ctx)
	err = s.recorded(ctx, log, level, "request", info.FullMethod, func() (err error) {
		answer, err = next(ctx, request)
		return err
	})
	return answer, err
}

// withCall gives a call its id, which the answer has too, and ctx the log of it.
func (s *Server) withCall(ctx context.Context) (context.Context, *requestLog) {
	id := requestID(strings.Join(metadata.ValueFromIncomingContext(ctx, "x-request-id"), ""))
	// It fails only after the header was sent.
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-request-id", id))
	return s.withRequest(ctx, id)
}

// recorded runs f, keeps a panic within it, and writes its line in the log. The error is gRPC's.
func (s *Server) recorded(ctx context.Context, log *requestLog, level slog.Level, what,
	method string, f func() error) (err error) {
	start := time.Now()
	defer func() {
		if p := recover(); p != nil {
			err = s.panicked(ctx, p)
		}
		if err != nil {
			known := asError(err)
			log.notes = append(log.notes, "error", known.Error())
			err = known.GRPCStatus().Err()
		}
		notes := []any{"method", method, "code", status.Code(err).String(), "ms",
			milliseconds(time.Since(start))}
		if p, ok := peer.FromContext(ctx); ok {
			notes = append(notes, "remote", p.Addr.String())
		}
		log.logger.Log(ctx, level, what, append(notes, log.notes...)...)
	}()
	return f()
}

// grpcService is the Open Inference Protocol over gRPC.
type grpcService struct {
	oip.UnimplementedGRPCInferenceServiceServer
	server *Server
}

func (g *grpcService) ServerLive(context.Context, *oip.ServerLiveRequest) (*oip.ServerLiveResponse,
	error) {
	return &oip.ServerLiveResponse{Live: true}, nil
}

func (g *grpcService) ServerReady(context.Context,
	*oip.ServerReadyRequest) (*oip.ServerReadyResponse, error) {
	return &oip.ServerReadyResponse{Ready: g.server.Ready() == nil}, nil
}

func (g *grpcService) ModelReady(_ context.Context,
	r *oip.ModelReadyRequest) (*oip.ModelReadyResponse, error) {
	return &oip.ModelReadyResponse{Ready: g.server.modelIsReady(choose(r.Name, r.Version)) == nil},
		nil
}

func (g *grpcService) ServerMetadata(context.Context,
	*oip.ServerMetadataRequest) (*oip.ServerMetadataResponse, error) {
	return &oip.ServerMetadataResponse{Name: "kerasrun", Version: g.server.config.Version,
		Extensions: serverExtensions}, nil
}

func (g *grpcService) ModelMetadata(_ context.Context,
	r *oip.ModelMetadataRequest) (*oip.ModelMetadataResponse, error) {
	m, err := g.server.describe(choose(r.Name, r.Version))
	if err != nil {
		return nil, err
	}
	tensors := func(all []tensorMetadata) []*oip.ModelMetadataResponse_TensorMetadata {
		var out []*oip.ModelMetadataResponse_TensorMetadata
		for _, t := range all {
			out = append(out, &oip.ModelMetadataResponse_TensorMetadata{Name: t.Name,
				Datatype: t.Datatype, Shape: t.Shape})
		}
		return out
	}
	return &oip.ModelMetadataResponse{
		Name: m.Name, Versions: m.Versions, Platform: m.Platform, Inputs: tensors(m.Inputs),
		Outputs: tensors(m.Outputs),
	}, nil
}

func (g *grpcService) ModelInfer(ctx context.Context,
	r *oip.ModelInferRequest) (*oip.ModelInferResponse, error) {
	held := &account{memory: g.server.memory}
	defer held.free()
	if err := held.take(int64(proto.Size(r))); err != nil {
		return nil, err
	}
	note(ctx, "id", r.Id)
	var answer *oip.ModelInferResponse
	err := g.server.withVersion(ctx, protocolGRPC, choose(r.ModelName, r.ModelVersion),
		func(v *version) (timing, error) {
			request, err := readGRPC(r, held)
			if err != nil {
				return timing{}, invalid(err)
			}
			outputs, took, err := g.server.inferOIP(ctx, v, request)
			if err != nil {
				return took, err
			}
			answer, err = writeGRPC(v, r.Id, outputs)
			return took, err
		})
	return answer, err
}

func writeGRPC(v *version, id string, outputs []oipTensor) (*oip.ModelInferResponse, error) {
	answer := &oip.ModelInferResponse{ModelName: v.name, ModelVersion: fmt.Sprint(v.number), Id: id}
	if warning := v.warning(); warning != "" {
		answer.Parameters = map[string]*oip.InferParameter{"warning": {
			ParameterChoice: &oip.InferParameter_StringParam{StringParam: warning}}}
	}
	for _, o := range outputs {
		raw, err := rawTensor(o.Tensor)
		if err != nil {
			return nil, fmt.Errorf("output %q: %w", o.name, err)
		}
		answer.Outputs = append(answer.Outputs, &oip.ModelInferResponse_InferOutputTensor{
			Name: o.name, Datatype: datatypes[o.DType], Shape: o.Shape,
		})
		answer.RawOutputContents = append(answer.RawOutputContents, raw)
	}
	return answer, nil
}

func readGRPC(r *oip.ModelInferRequest, held *account) (request oipRequest, err error) {
	request = oipRequest{id: r.Id, signature: r.Parameters["signature_name"].GetStringParam(),
		inputs: map[string]tensor.Tensor{}, binary: true}
	if request.schedule, err = readSchedule(r.Parameters); err != nil {
		return request, err
	}
	contentType := r.Parameters["content_type"].GetStringParam()
	if err := checkContentType(contentType, "np", "str"); err != nil {
		return request, err
	}
	if len(r.Inputs) == 0 {
		return request, fmt.Errorf("expected inputs, got none")
	}
	if n := len(r.RawInputContents); n != 0 && n != len(r.Inputs) {
		return request, fmt.Errorf(
			"raw_input_contents: expected one for each of %d inputs or none, got %d", len(r.Inputs),
			n)
	}
	for i, in := range r.Inputs {
		if _, ok := request.inputs[in.Name]; ok {
			return request, fmt.Errorf("input %.100q comes twice", in.Name)
		}
		var raw []byte
		if len(r.RawInputContents) > 0 {
			raw = r.RawInputContents[i]
			if in.Contents != nil {
				return request, fmt.Errorf(
					"input %.100q: expected contents or raw_input_contents, got both", in.Name)
			}
		}
		t, err := readGRPCInput(in, raw, held)
		if err == nil {
			t, err = decodeContent(t, in.Parameters["content_type"].GetStringParam(), held)
		}
		if err != nil {
			return request, fmt.Errorf("input %.100q: %w", in.Name, err)
		}
		request.inputs[in.Name] = t
	}
	for _, o := range r.Outputs {
		if o.Parameters["shared_memory_region"] != nil {
			return request, fmt.Errorf("output %.100q: %w", o.Name, errSharedMemory)
		}
		top := o.Parameters["classification"].GetInt64Param()
		if top < 0 || top > 1<<20 {
			return request, fmt.Errorf(
				"output %.100q: classification: expected a number of classes, got %d", o.Name, top)
		}
		request.outputs = append(request.outputs, oipOutput{name: o.Name, classification: int(top)})
	}
	return request, nil
}

func readGRPCInput(in *oip.ModelInferRequest_InferInputTensor, raw []byte, held *account) (
	tensor.Tensor, error) {
	dtype, err := parseDatatype(in.Datatype)
	if err != nil {
		return tensor.Tensor{}, err
	}
	if in.Parameters["shared_memory_region"] != nil {
		return tensor.Tensor{}, errSharedMemory
	}
	shape := append(tensor.Shape{}, in.Shape...) // a scalar's shape is not nil
	if in.Contents == nil {
		return parseRawTensor(dtype, shape, raw, held)
	}
	c := in.Contents
	t, err := readContents(dtype, shape, c)
	if err != nil {
		return tensor.Tensor{}, fmt.Errorf("%s: %w", in.Datatype, err)
	}
	given := len(c.BoolContents) + len(c.IntContents) + len(c.Int64Contents) + len(c.UintContents) +
		len(c.Uint64Contents) + len(c.Fp32Contents) + len(c.Fp64Contents) + len(c.BytesContents)
	if elements, err := shape.Elements(); err == nil && int64(given) > elements {
		return tensor.Tensor{}, fmt.Errorf("expected %d elements of the shape %v in the contents "+
			"of %s, got %d in all contents", elements, shape, in.Datatype, given)
	}
	return t, nil
}

// readContents takes the elements from the one of the contents that is of the type.
func readContents(
	dtype tensor.DType, shape tensor.Shape, c *oip.InferTensorContents,
) (tensor.Tensor, error) {
	switch dtype {
	case tensor.Float32:
		return tensor.New(shape, c.Fp32Contents)
	case tensor.Float64:
		return tensor.New(shape, c.Fp64Contents)
	case tensor.Int64:
		return tensor.New(shape, c.Int64Contents)
	case tensor.Int32:
		return tensor.New(shape, c.IntContents)
	case tensor.Int16:
		return narrow[int16](shape, c.IntContents)
	case tensor.Int8:
		return narrow[int8](shape, c.IntContents)
	case tensor.Uint64:
		return tensor.New(shape, c.Uint64Contents)
	case tensor.Uint32:
		return tensor.New(shape, c.UintContents)
	case tensor.Uint16:
		return narrow[uint16](shape, c.UintContents)
	case tensor.Uint8:
		return narrow[uint8](shape, c.UintContents)
	case tensor.Bool:
		return tensor.New(shape, c.BoolContents)
	case tensor.String:
		return tensor.New(shape, c.BytesContents)
	}
	return tensor.Tensor{}, errors.New("it comes in raw_input_contents only")
}

// narrow makes a tensor of numbers that the protocol has wider.
func narrow[To int8 | int16 | uint8 | uint16, From int32 | uint32](shape tensor.Shape,
	wide []From) (tensor.Tensor, error) {
	data := make([]To, len(wide))
	for i, v := range wide {
		data[i] = To(v)
		if From(data[i]) != v {
			return tensor.Tensor{}, fmt.Errorf("element %d is %d, out of the range of %T", i, v,
				data[i])
		}
	}
	return tensor.New(shape, data)
}
