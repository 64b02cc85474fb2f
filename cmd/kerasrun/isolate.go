package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kerasrun/classify"
	"kerasrun/internal/interrupt"
	"kerasrun/runner"
	"kerasrun/worker"
)

const workerCommand = "worker"

// newWorkerCommand is what --isolate starts, with the model flags of the command that does.
func newWorkerCommand() *cobra.Command {
	var f modelFlags
	cmd := &cobra.Command{
		Use:    workerCommand,
		Short:  "Run a model for the process that started this one",
		Hidden: true,
		Args:   cobra.NoArgs,
	}
	f.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		// A terminal and systemd send these to each process; the one that started this one decides.
		signal.Ignore(interrupt.Signals()...)
		connection, err := worker.Connection()
		if err != nil {
			return fmt.Errorf("%s is for kerasrun itself, which starts it: %w", workerCommand, err)
		}
		return worker.Serve(connection, func() (worker.Opened, error) {
			return f.openForWorker(cmd.Context())
		}, func(err error) bool {
			var usage *usageError
			return errors.As(err, &usage)
		})
	}
	return cmd
}

func (m *modelFlags) openForWorker(ctx context.Context) (worker.Opened, error) {
	model, err := m.open(ctx)
	if err != nil {
		return worker.Opened{}, err
	}
	opened := worker.Opened{Runner: model}
	if !model.SavedModel().Verified(m.scan.options()...) {
		opened.Files, err = model.SavedModel().SHA256(ctx)
	}
	return opened, err
}

// openModel is what serve and score need of a model that is open.
type openModel interface {
	classify.Model
	Tags() []string
	Devices() []string
	Close() error
}

// isolation is the --isolate flag.
type isolation struct {
	command *cobra.Command // that has the model flags
	on      bool
}

func (i *isolation) register(cmd *cobra.Command) {
	i.command = cmd
	cmd.Flags().BoolVar(&i.on, "isolate", false,
		"run the model in a process of its own, which is started again when it dies")
	underHeading(cmd, safetyFlags, "isolate")
}

// open opens the model in dir, in a process of its own where --isolate says so. The logger is told
// what happens to that.
func (i *isolation) open(ctx context.Context, model modelFlags, c worker.Config) (
	openModel, error) {
	if !i.on {
		m, err := model.open(ctx)
		if err != nil {
			return nil, err // not a nil *Model in an interface
		}
		return m, nil
	}
	dir, err := model.local(ctx)
	if err != nil {
		return nil, err
	}
	c.Dir = dir
	c.Command = append([]string{ownProgram(), workerCommand}, i.arguments(dir)...)
	m, err := worker.Open(ctx, c)
	if usage := (*worker.UsageError)(nil); errors.As(err, &usage) {
		return nil, &usageError{usage}
	}
	if err != nil {
		return nil, model.hint(err)
	}
	return m, nil
}

// arguments are the flags of the command that the worker has too, for a model in dir.
func (i *isolation) arguments(dir string) []string {
	arguments := []string{"--model=" + dir}
	newWorkerCommand().Flags().VisitAll(func(known *pflag.Flag) {
		given := i.command.Flags().Lookup(known.Name)
		if known.Name != "model" && given.Changed {
			arguments = append(arguments, argument(given))
		}
	})
	return arguments
}

// workerLog has a worker's own lines in the log.
func workerLog(log *slog.Logger) func(line string) {
	return func(line string) { log.Warn("worker writes", "line", line) }
}

var (
	_ openModel = (*runner.Model)(nil)
	_ openModel = (*worker.Model)(nil)
)
