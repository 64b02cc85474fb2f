package tfserving_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"kerasrun/tfserving"
)

// halfPlusTwo stands for a server: TensorFlow Serving's or `kerasrun serve`.
type halfPlusTwo struct {
	tfserving.UnimplementedPredictionServiceServer
}

func (halfPlusTwo) Predict(_ context.Context, r *tfserving.PredictRequest) (
	*tfserving.PredictResponse, error) {
	x := r.Inputs["x"]
	y := &tfserving.TensorProto{Dtype: x.Dtype, TensorShape: x.TensorShape}
	for _, v := range x.FloatVal {
		y.FloatVal = append(y.FloatVal, v/2+2)
	}
	return &tfserving.PredictResponse{Outputs: map[string]*tfserving.TensorProto{"y": y}}, nil
}

func Example() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	tfserving.RegisterPredictionServiceServer(server, halfPlusTwo{})
	go server.Serve(listener) // ends with Stop
	defer server.Stop()

	connection, err := grpc.NewClient(listener.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	answer, err := tfserving.NewPredictionServiceClient(connection).Predict(context.Background(),
		&tfserving.PredictRequest{
			ModelSpec: &tfserving.ModelSpec{Name: "half_plus_two",
				VersionChoice: &tfserving.ModelSpec_Version{Version: wrapperspb.Int64(1)}},
			Inputs: map[string]*tfserving.TensorProto{"x": {
				Dtype: tfserving.DataType_DT_FLOAT,
				TensorShape: &tfserving.TensorShapeProto{
					Dim: []*tfserving.TensorShapeProto_Dim{{Size: 3}}},
				FloatVal: []float32{1, 2, 5}, // of an image: StringVal with its bytes, and DT_STRING
			}},
		})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Outputs["y"].FloatVal)
	// Output: [2.5 3 4.5]
}
