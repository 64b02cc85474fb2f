package serve

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"

	"kerasrun/serve/internal/jsontensor"
	"kerasrun/serve/internal/oip"
)

// What Triton's tools call to look after a server. It can be looked at, and not changed: what is
// served, logged and traced is the choice of whoever started it.

// repositoryIndex lists the versions of all models, or those that are ready.
func (s *Server) repositoryIndex(onlyReady bool) *oip.RepositoryIndexResponse {
	states := map[State]string{StateAvailable: "READY", StateLoading: "LOADING",
		StateUnloading: "UNLOADING", StateEnd: "UNAVAILABLE"}
	index := &oip.RepositoryIndexResponse{}
	for _, name := range s.repository.names {
		statuses, err := s.repository.statuses(choice{model: name})
		if err != nil && !onlyReady { // it has no version yet
			index.Models = append(index.Models, &oip.RepositoryIndexResponse_ModelIndex{Name: name,
				State: "UNAVAILABLE", Reason: err.Error()})
		}
		for _, status := range statuses {
			if onlyReady && (status.State != StateAvailable || status.Down != nil) {
				continue
			}
			entry := &oip.RepositoryIndexResponse_ModelIndex{Name: name,
				Version: strconv.FormatInt(status.Version, 10), State: states[status.State]}
			switch {
			case status.Down != nil:
				entry.State, entry.Reason = "UNAVAILABLE", status.Down.Error()
			case status.Err != nil:
				entry.Reason = status.Err.Error()
			case status.State == StateEnd:
				entry.Reason = "unloaded"
			}
			index.Models = append(index.Models, entry)
		}
	}
	return index
}

func (g *grpcService) RepositoryIndex(_ context.Context, r *oip.RepositoryIndexRequest) (
	*oip.RepositoryIndexResponse, error) {
	if r.RepositoryName != "" {
		return nil, errorf(codes.Unimplemented,
			"'repository_name' specification is not supported; got %.100q", r.RepositoryName)
	}
	return g.server.repositoryIndex(r.Ready), nil
}

// writeRepositoryIndex answers POST /v2/repository/index: {"ready": true}, or nothing.
func (s *Server) writeRepositoryIndex(w http.ResponseWriter, r *http.Request) error {
	body, held, err := s.readBody(w, r)
	defer held.free()
	if err != nil {
		return err
	}
	onlyReady := false
	if len(body) > 0 {
		d := jsontensor.NewDecoder(body).Reserving(held.take)
		err := d.Object(func(key string) (err error) {
			if key != "ready" {
				return d.Skip()
			}
			onlyReady, err = d.Bool()
			return err
		})
		if err == nil {
			err = d.End()
		}
		if err != nil {
			return invalid(err)
		}
	}
	entries := []map[string]any{}
	for _, entry := range s.repositoryIndex(onlyReady).Models {
		entries = append(entries, jsonOf(entry.ProtoReflect()))
	}
	return writeJSON(w, entries)
}

// refuse answers with an error.
func refuse(err error) handler {
	return func(http.ResponseWriter, *http.Request) error { return err }
}

// Triton's words and code when it looks for versions by itself. 503 would say: again, later.
var errModelControl = &Error{Code: codes.Unavailable, HTTP: http.StatusBadRequest,
	Err: errors.New("explicit model load / unload is not allowed if polling is enabled; put the " +
		"version into the model's directory, or take it away")}

func (g *grpcService) RepositoryModelLoad(context.Context, *oip.RepositoryModelLoadRequest) (
	*oip.RepositoryModelLoadResponse, error) {
	return nil, errModelControl
}

func (g *grpcService) RepositoryModelUnload(context.Context, *oip.RepositoryModelUnloadRequest) (
	*oip.RepositoryModelUnloadResponse, error) {
	return nil, errModelControl
}

var errSharedMemory = errorf(codes.Unimplemented, "Client shared memory is disabled, and there is "+
	"no flag that enables it: expected tensors in the request and the answer, got a region of "+
	"shared memory")

func (g *grpcService) SystemSharedMemoryStatus(context.Context,
	*oip.SystemSharedMemoryStatusRequest) (*oip.SystemSharedMemoryStatusResponse, error) {
	return nil, errSharedMemory
}

func (g *grpcService) SystemSharedMemoryRegister(context.Context,
	*oip.SystemSharedMemoryRegisterRequest) (*oip.SystemSharedMemoryRegisterResponse, error) {
	return nil, errSharedMemory
}

func (g *grpcService) SystemSharedMemoryUnregister(context.Context,
	*oip.SystemSharedMemoryUnregisterRequest) (*oip.SystemSharedMemoryUnregisterResponse, error) {
	return nil, errSharedMemory
}

func (g *grpcService) CudaSharedMemoryStatus(context.Context,
	*oip.CudaSharedMemoryStatusRequest) (*oip.CudaSharedMemoryStatusResponse, error) {
	return nil, errSharedMemory
}

func (g *grpcService) CudaSharedMemoryRegister(context.Context,
	*oip.CudaSharedMemoryRegisterRequest) (*oip.CudaSharedMemoryRegisterResponse, error) {
	return nil, errSharedMemory
}

func (g *grpcService) CudaSharedMemoryUnregister(context.Context,
	*oip.CudaSharedMemoryUnregisterRequest) (*oip.CudaSharedMemoryUnregisterResponse, error) {
	return nil, errSharedMemory
}

var (
	errTraceUpdate = errorf(codes.Unimplemented, "trace settings cannot be changed over the "+
		"network: set OpenTelemetry's variables, as OTEL_EXPORTER_OTLP_ENDPOINT, and start again")
	errLogUpdate = errorf(codes.Unimplemented, "log settings cannot be changed over the network: "+
		"start again with another --log-level or --log-format")
)

// traceSettings are Triton's own, of traces written to a file, which this server does not write.
func traceSettings() map[string][]string {
	return map[string][]string{"trace_file": {""}, "trace_level": {"OFF"}, "trace_rate": {"1000"},
		"trace_count": {"-1"}, "log_frequency": {"0"}, "trace_mode": {"opentelemetry"}}
}

func (g *grpcService) TraceSetting(_ context.Context, r *oip.TraceSettingRequest) (
	*oip.TraceSettingResponse, error) {
	if len(r.Settings) > 0 {
		return nil, errTraceUpdate
	}
	if err := g.server.tracedModel(r.ModelName); err != nil {
		return nil, err
	}
	answer := &oip.TraceSettingResponse{
		Settings: map[string]*oip.TraceSettingResponse_SettingValue{}}
	for name, value := range traceSettings() {
		answer.Settings[name] = &oip.TraceSettingResponse_SettingValue{Value: value}
	}
	return answer, nil
}

// tracedModel is an error for a name that no model has; "" is all models.
func (s *Server) tracedModel(name string) error {
	if _, ok := s.repository.models[name]; name != "" && !ok {
		return errorf(codes.NotFound, "no model is called %.100q", name)
	}
	return nil
}

func (s *Server) writeTraceSettings(w http.ResponseWriter, r *http.Request) error {
	if err := s.tracedModel(r.PathValue("model")); err != nil {
		return err
	}
	settings := map[string]any{}
	for name, value := range traceSettings() {
		settings[name] = value[0]
		if name == "trace_level" {
			settings[name] = value // of which there can be several
		}
	}
	return writeJSON(w, settings)
}

// logSettings says what the log has: messages, and at level 1 those for debugging.
func (s *Server) logSettings(ctx context.Context) map[string]any {
	has := func(level slog.Level) bool { return s.config.Logger.Enabled(ctx, level) }
	verbose := uint32(0)
	if has(slog.LevelDebug) {
		verbose = 1
	}
	return map[string]any{"log_file": "", "log_info": has(slog.LevelInfo),
		"log_warning": has(slog.LevelWarn), "log_error": has(slog.LevelError),
		"log_verbose_level": verbose, "log_format": "default"}
}

func (g *grpcService) LogSettings(ctx context.Context, r *oip.LogSettingsRequest) (
	*oip.LogSettingsResponse, error) {
	if len(r.Settings) > 0 {
		return nil, errLogUpdate
	}
	answer := &oip.LogSettingsResponse{Settings: map[string]*oip.LogSettingsResponse_SettingValue{}}
	for name, value := range g.server.logSettings(ctx) {
		setting := &oip.LogSettingsResponse_SettingValue{}
		switch value := value.(type) {
		case bool:
			setting.ParameterChoice = &oip.LogSettingsResponse_SettingValue_BoolParam{
				BoolParam: value}
		case uint32:
			setting.ParameterChoice = &oip.LogSettingsResponse_SettingValue_Uint32Param{
				Uint32Param: value}
		case string:
			setting.ParameterChoice = &oip.LogSettingsResponse_SettingValue_StringParam{
				StringParam: value}
		}
		answer.Settings[name] = setting
	}
	return answer, nil
}

func (s *Server) writeLogSettings(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, s.logSettings(r.Context()))
}
