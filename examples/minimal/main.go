// Minimal classifies images over HTTP: curl --data-binary @cat.jpg 127.0.0.1:8080/classify
package main

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"

	"kerasrun/runner"
	_ "kerasrun/runner/preinit"
)

func main() {
	model, err := runner.Open(context.Background(), "models/resnext50")
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /classify", func(w http.ResponseWriter, r *http.Request) {
		image, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 20<<20))
		if err == nil {
			var predictions any
			if predictions, err = model.Classify(r.Context(), 5, image); err == nil {
				err = json.NewEncoder(w).Encode(predictions)
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		}
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
}
