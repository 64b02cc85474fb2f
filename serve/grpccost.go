package serve

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/emptypb"
)

// reserving is a service whose requests are decoded when there is memory for them. To a message
// without fields all of a request is unknown, and stays as it came.
func (s *Server) reserving(service *grpc.ServiceDesc) *grpc.ServiceDesc {
	desc := *service
	desc.Methods = slices.Clone(desc.Methods)
	for i, method := range service.Methods {
		info := &grpc.UnaryServerInfo{FullMethod: "/" + desc.ServiceName + "/" + method.MethodName}
		desc.Methods[i].Handler = func(service any, ctx context.Context, decode func(any) error,
			interceptor grpc.UnaryServerInterceptor) (any, error) {
			var raw emptypb.Empty
			if err := decode(&raw); err != nil {
				return nil, err
			}
			handler := func(ctx context.Context, _ any) (any, error) {
				held := &account{memory: s.memory}
				defer held.free()
				return method.Handler(service, ctx, func(request any) error {
					return decodeReserved(raw.ProtoReflect().GetUnknown(), request.(proto.Message),
						held)
				}, nil)
			}
			if interceptor == nil {
				return handler(ctx, &raw)
			}
			info := *info
			info.Server = service
			return interceptor(ctx, &raw, &info, handler)
		}
	}
	desc.Streams = slices.Clone(desc.Streams)
	for i := range desc.Streams { // of which there is one, ModelStreamInfer
		desc.Streams[i].Handler = func(_ any, stream grpc.ServerStream) error {
			return s.streamInfer(stream)
		}
	}
	return &desc
}

// decodeReserved reserves what a request takes at most while it is decoded, and decodes it.
func decodeReserved(raw []byte, request proto.Message, held *account) error {
	cost, err := decodedCost(raw, request.ProtoReflect().Descriptor())
	if err == nil {
		err = held.take(int64(len(raw)) + cost)
	}
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(raw, request); err != nil {
		return errorf(codes.InvalidArgument, "the message cannot be read: %w", err)
	}
	return nil
}

// What parts of a message take in memory at most.
const (
	messageBytes = 128 // a message without fields, of two bytes or more, and its place in a map
	fieldBytes   = 24  // the place of a field in its message
	elementBytes = 64  // an element that comes alone, of two bytes or more
	numberBytes  = 8   // a number, of one byte or more
	unknownBytes = 2   // each byte of fields that the message does not have
)

// decodedCost returns what a message takes in memory at most. Messages do not contain themselves,
// so that the depth is bounded.
func decodedCost(raw []byte, message protoreflect.MessageDescriptor) (cost int64, err error) {
	known := message.Fields()
	cost = messageBytes + fieldBytes*int64(known.Len())
	err = fields(raw, func(number protowire.Number, kind protowire.Type, value []byte) error {
		cost += elementBytes
		field := known.ByNumber(number)
		switch {
		case field == nil, field.Message() != nil && kind != protowire.BytesType:
			cost += int64(len(value)) * unknownBytes
		case field.Message() != nil:
			inner, err := decodedCost(value, field.Message())
			cost += inner
			return err
		case field.Kind() == protoreflect.BytesKind, field.Kind() == protoreflect.StringKind,
			field.Kind() == protoreflect.FloatKind, field.Kind() == protoreflect.DoubleKind:
			cost += int64(len(value))
		default:
			cost += int64(len(value)) * numberBytes
		}
		return nil
	})
	return cost, err
}

// fields calls f for each field of a message, with its value, without its length where it has one.
func fields(raw []byte, f func(protowire.Number, protowire.Type, []byte) error) error {
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return malformed(n)
		}
		raw = raw[n:]
		var value []byte
		if kind == protowire.BytesType {
			value, n = protowire.ConsumeBytes(raw)
		} else if n = protowire.ConsumeFieldValue(number, kind, raw); n >= 0 {
			value = raw[:n]
		}
		if n < 0 {
			return malformed(n)
		}
		raw = raw[n:]
		if err := f(number, kind, value); err != nil {
			return err
		}
	}
	return nil
}

func malformed(n int) error {
	return errorf(codes.InvalidArgument, "the message cannot be read: %w", protowire.ParseError(n))
}
