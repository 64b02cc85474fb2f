package serve

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"kerasrun/serve/internal/oip"
)

// serviceDesc is the protocol's service, but for ModelInfer: its request is decoded when there is
// memory for it.
func serviceDesc() *grpc.ServiceDesc {
	desc := oip.GRPCInferenceService_ServiceDesc
	desc.Methods = slices.Clone(desc.Methods)
	for i := range desc.Methods {
		if desc.Methods[i].MethodName == "ModelInfer" {
			desc.Methods[i].Handler = handleModelInfer
		}
	}
	return &desc
}

// handleModelInfer answers ModelInfer. To a message without fields all of a request is unknown, and
// stays as it came.
func handleModelInfer(service any, ctx context.Context, decode func(any) error,
	interceptor grpc.UnaryServerInterceptor) (any, error) {
	var raw emptypb.Empty
	if err := decode(&raw); err != nil {
		return nil, err
	}
	g := service.(*grpcService)
	handler := func(ctx context.Context, _ any) (any, error) {
		return g.decodeAndInfer(ctx, raw.ProtoReflect().GetUnknown())
	}
	if interceptor == nil {
		return handler(ctx, &raw)
	}
	return interceptor(ctx, &raw, &grpc.UnaryServerInfo{Server: service,
		FullMethod: oip.GRPCInferenceService_ModelInfer_FullMethodName}, handler)
}

// decodeAndInfer reserves what a request takes at most while it is decoded, and decodes it.
func (g *grpcService) decodeAndInfer(ctx context.Context, raw []byte) (any, error) {
	held := &account{memory: g.server.memory}
	defer held.free()
	cost, err := inferCost(raw)
	if err == nil {
		err = held.take(int64(len(raw)) + cost)
	}
	if err != nil {
		return nil, err
	}
	var request oip.ModelInferRequest
	if err := proto.Unmarshal(raw, &request); err != nil {
		return nil, errorf(codes.InvalidArgument, "the message cannot be read: %w", err)
	}
	return g.ModelInfer(ctx, &request)
}

// What parts of a message take in memory at most.
const (
	messageBytes = 256 // a message, of two bytes or more
	elementBytes = 64  // an element that comes alone, of two bytes or more
	numberBytes  = 8   // a number, of one byte or more
	otherBytes   = 32  // each byte of other parts: entries of maps, and shapes
)

// inferCost returns what a ModelInferRequest takes in memory at most.
func inferCost(raw []byte) (cost int64, err error) {
	err = fields(raw, func(number protowire.Number, value []byte) error {
		cost += messageBytes
		switch {
		case number == 7: // raw_input_contents
			cost += int64(len(value))
			return nil
		case number != 5: // not an input
			cost += int64(len(value)) * otherBytes
			return nil
		}
		return fields(value, func(number protowire.Number, value []byte) error {
			cost += messageBytes
			if number != 5 { // not its contents
				cost += int64(len(value)) * otherBytes
				return nil
			}
			return fields(value, func(number protowire.Number, value []byte) error {
				cost += elementBytes
				if number == 6 || number == 7 { // of numbers of fixed size
					cost += int64(len(value))
				} else {
					cost += int64(len(value)) * numberBytes
				}
				return nil
			})
		})
	})
	return cost, err
}

// fields calls f for each field of a message, with the value of those that have a length.
func fields(raw []byte, f func(protowire.Number, []byte) error) error {
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return malformed(n)
		}
		raw = raw[n:]
		var value []byte
		if kind == protowire.BytesType {
			value, n = protowire.ConsumeBytes(raw)
		} else {
			n = protowire.ConsumeFieldValue(number, kind, raw)
		}
		if n < 0 {
			return malformed(n)
		}
		raw = raw[n:]
		if err := f(number, value); err != nil {
			return err
		}
	}
	return nil
}

func malformed(n int) error {
	return errorf(codes.InvalidArgument, "the message cannot be read: %w", protowire.ParseError(n))
}
