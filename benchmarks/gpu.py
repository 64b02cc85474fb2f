"""kerasrun and PyTorch on one GPU, in turns: `python -m benchmarks.gpu`.

Both get a float32 batch in the CPU's memory and give probabilities in the CPU's memory, one run at
a time. PyTorch runs torchvision's resnext50_32x4d, the same architecture with weights of its own,
in the layout that is faster, cuDNN's benchmark on, by itself ("eager") and as a CUDA graph. Prints
a table; each ratio is that of a round.
"""

import argparse
import json
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision

from benchmarks.machine import ROOT
from benchmarks.timing import timed

PROGRAM = ROOT / "bin" / "kerasrun"
WARM_UP_RUNS = 5
FEWEST = 5


def ours(model: Path, precision: str, batches: list[int], seconds: float) -> dict[int, float]:
    """Images a second by batch size: of the median run, as of PyTorch's."""
    command = [
        PROGRAM,
        "bench",
        "--format",
        "json",
        "--model",
        model,
        "--device",
        "gpu",
        "--precision",
        precision,
    ]
    command += ["--batch", ",".join(map(str, batches)), "--seconds", str(seconds)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = [json.loads(line) for line in out.splitlines()]
    return {row["batch"]: 1e3 * row["batch"] / row["latency_ms"]["p50"] for row in rows}


def rate(run: Callable[[np.ndarray], np.ndarray], batch: np.ndarray, seconds: float) -> float:
    for _ in range(WARM_UP_RUNS):
        run(batch)
    return 1e3 * len(batch) / statistics.median(timed(lambda: run(batch), seconds, FEWEST))


def eager(net: torch.nn.Module, dtype: torch.dtype, layout: torch.memory_format):
    def run(batch: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(batch).to("cuda").permute(0, 3, 1, 2).to(dtype, memory_format=layout)
        return torch.softmax(net(x).float(), 1).cpu().numpy()

    return run


def graphed(
    net: torch.nn.Module, dtype: torch.dtype, layout: torch.memory_format, shape: tuple[int, ...]
):
    static = torch.zeros(shape, device="cuda")

    def compute() -> torch.Tensor:
        return torch.softmax(
            net(static.permute(0, 3, 1, 2).to(dtype, memory_format=layout)).float(), 1
        )

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            compute()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = compute()

    def run(batch: np.ndarray) -> np.ndarray:
        static.copy_(torch.from_numpy(batch))
        graph.replay()
        return result.cpu().numpy()

    return run


@torch.inference_mode()
def pytorch(precision: str, batches: list[int], seconds: float) -> dict[int, tuple[float, float]]:
    """Images a second by batch size: by itself, as a CUDA graph; in the layout that is faster at
    32.
    """
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    dtype = torch.float16 if precision == "fp16" else torch.float32
    plain = torchvision.models.resnext50_32x4d(weights=None).eval().to("cuda", dtype)
    layouts = (torch.contiguous_format, torch.channels_last)

    def at(size: int) -> np.ndarray:
        return np.random.default_rng(size).normal(0, 60, (size, 224, 224, 3)).astype(np.float32)

    def speed(layout: torch.memory_format) -> float:
        return rate(eager(plain.to(memory_format=layout), dtype, layout), at(32), seconds / 4)

    layout = max(layouts, key=speed)
    net, rates = plain.to(memory_format=layout), {}
    for size in batches:
        batch = at(size)
        rates[size] = (
            rate(eager(net, dtype, layout), batch, seconds),
            rate(graphed(net, dtype, layout, batch.shape), batch, seconds),
        )
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "resnext50")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "tf32", "fp16"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="time for each measurement")
    args = parser.parse_args()

    print(
        f"{torch.cuda.get_device_name()}; PyTorch {torch.__version__}, cuDNN "
        f"{torch.backends.cudnn.version()}"
    )
    print(
        "\n| precision | batch | images/s | PyTorch eager | PyTorch CUDA graph | ours to the "
        "faster of them |"
    )
    print("|---|---|---|---|---|---|")
    for precision in args.precisions:
        rounds = []
        for _ in range(args.rounds):
            a = ours(args.model, precision, args.batches, args.seconds)
            b = pytorch(precision, args.batches, args.seconds)
            rounds.append({size: (a[size], *b[size]) for size in args.batches})
        for size in args.batches:
            mine, plain, graph = (
                statistics.median(values) for values in zip(*(r[size] for r in rounds), strict=True)
            )
            ratios = [r[size][0] / max(r[size][1:]) for r in rounds]
            ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
            print(
                f"| {precision} | {size} | {mine:.0f} | {plain:.0f} | {graph:.0f} | {ratio} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
