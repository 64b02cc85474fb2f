package serve

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"kerasrun/batch"
	"kerasrun/serve/internal/servingpb"
	"kerasrun/tfserving"
)

// ReadModels reads TensorFlow Serving's model_config_file, in protobuf's text format. Relative base
// paths are relative to the file; an address, as s3://bucket/model, needs a [Store].
//
//	model_config_list {
//	  config { name: "resnext50" base_path: "models/resnext50" }
//	  config {
//	    name: "other" base_path: "/srv/other"
//	    model_version_policy { latest { num_versions: 2 } }
//	  }
//	}
func ReadModels(path string) ([]ModelConfig, error) {
	var file tfserving.ModelServerConfig
	if err := readText(path, &file); err != nil {
		return nil, err
	}
	var models []ModelConfig
	var faults []error
	for _, c := range file.GetModelConfigList().GetConfig() {
		m := ModelConfig{Name: c.GetName(), Path: c.GetBasePath(), Labels: c.GetVersionLabels()}
		if !filepath.IsAbs(m.Path) && !strings.Contains(m.Path, "://") {
			m.Path = filepath.Join(filepath.Dir(path), m.Path)
		}
		switch policy := c.GetModelVersionPolicy(); {
		case policy.GetAll() != nil:
			m.Policy.All = true
		case policy.GetSpecific() != nil:
			m.Policy.Specific = policy.GetSpecific().GetVersions()
		default:
			m.Policy.Latest = int(policy.GetLatest().GetNumVersions())
		}
		if platform := c.GetModelPlatform(); platform != "" && platform != "tensorflow" {
			faults = append(faults,
				fmt.Errorf("%s: model %q: model_platform: expected tensorflow, got %q", path,
					m.Name, platform))
		}
		models = append(models, m)
	}
	if len(models) == 0 {
		faults = append(faults,
			fmt.Errorf("%s: expected a model_config_list with at least one config, got none", path))
	}
	return models, errors.Join(faults...)
}

// ReadBatching reads TensorFlow Serving's batching_parameters_file, in protobuf's text format, over
// p.
//
//	max_batch_size { value: 32 }
//	batch_timeout_micros { value: 1000 }
func ReadBatching(path string, p batch.Parameters) (batch.Parameters, error) {
	var file servingpb.BatchingParameters
	if err := readText(path, &file); err != nil {
		return p, err
	}
	if v := file.MaxBatchSize; v != nil {
		p.MaxBatchSize = int(v.Value)
	}
	if v := file.BatchTimeoutMicros; v != nil {
		if v.Value > math.MaxInt64/int64(time.Microsecond) {
			return p, fmt.Errorf("%s: batch_timeout_micros: %d is too long", path, v.Value)
		}
		p.BatchTimeout = time.Duration(v.Value) * time.Microsecond
	}
	if v := file.MaxEnqueuedBatches; v != nil {
		p.MaxEnqueuedBatches = int(v.Value)
	}
	if v := file.NumBatchThreads; v != nil {
		p.NumBatchThreads = int(v.Value)
	}
	if v := file.EnableLargeBatchSplitting; v != nil {
		p.EnableLargeBatchSplitting = v.Value
	}
	for _, size := range file.AllowedBatchSizes {
		p.AllowedBatchSizes = append(p.AllowedBatchSizes, int(size))
	}
	if err := p.Validate(); err != nil {
		return p, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func readText(path string, into proto.Message) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := prototext.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
