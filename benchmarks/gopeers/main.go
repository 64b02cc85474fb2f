// Gopeers are the other Go programs of the comparison, as their users would write them: tfgo alone,
// and ONNX Runtime from Go. They are a module of their own, so that the project does not depend on
// what it is measured against. Ours is the program in kerasrun/, apart from these, because what
// package runner sets in the process would hold for them too.
//
//	gopeers tfgo IMAGES.f32 BATCH DIR OUTPUT_OP
//	gopeers onnxruntime IMAGES.f32 BATCH LIBRARY MODEL.onnx
package main

import (
	"fmt"
	"os"
	"strconv"

	"gopeers/turns"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gopeers:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 5 {
		return fmt.Errorf("expected tfgo or onnxruntime and four arguments, got %q", args)
	}
	images, err := turns.Images(args[1])
	if err != nil {
		return err
	}
	batch, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	switch args[0] {
	case "tfgo":
		return turns.Serve(batch,
			func() (turns.Predict, error) { return openTFGo(args[3], args[4], images, batch) })
	case "onnxruntime":
		return turns.Serve(batch,
			func() (turns.Predict, error) { return openONNX(args[3], args[4], images, batch) })
	}
	return fmt.Errorf("expected tfgo or onnxruntime, got %q", args[0])
}
