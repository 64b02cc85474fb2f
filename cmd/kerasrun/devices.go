package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"kerasrun/runner"
)

func newDevicesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "List the devices that a model can run on",
		Long: `List the devices that TensorFlow sees, by the names that --device takes. Each has its type
and the memory that TensorFlow takes at most; a GPU has its model and compute capability too.
Without a GPU the reason is printed.`,
		Args: noArgs,
	}
	format := addFormat(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		devices, err := runner.Devices()
		if err != nil {
			return err
		}
		noGPU := runner.GPUUnavailableReason()
		if format.value == "json" {
			return writeJSON(cmd.OutOrStdout(), struct {
				Devices []runner.Device `json:"devices"`
				NoGPU   string          `json:"no_gpu"` // why there is none, "" where there is one
			}{devices, noGPU})
		}
		if noGPU != "" && !runner.HasCUDA() {
			noGPU += "; " + gpuSetup
		}
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, d := range devices {
			memory, model := "", ""
			if d.MemoryBytes > 0 {
				memory = fmt.Sprintf("%.1f GiB", float64(d.MemoryBytes)/(1<<30))
			}
			if d.Model != "" {
				model = fmt.Sprintf("%s, compute capability %s", d.Model, d.Compute)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", d.Name, d.Type, memory, model)
		}
		if noGPU != "" {
			fmt.Fprintf(table, "no GPU: %s\n", noGPU)
		}
		return table.Flush()
	}
	return cmd
}
