"""Runs every peer on the same weights and inputs, interleaved; writes a table and a chart.

`python -m benchmarks` (or `make bench-peers`). Each peer, ours too, lives in a process of its own
that is loaded and warmed up once; then, round after round, each has its turn alone. A ratio is
taken within each round, so that a machine whose speed drifts cannot favour anyone; its spread over
the rounds is printed with it.
"""

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kerasrun_export import cli  # noqa: F401  first: it silences TensorFlow

# isort: split
from benchmarks import frozen, onnx_model, tflite_model
from benchmarks.machine import OUT, ROOT, machine
from benchmarks.peers import MATMUL_SIZE
from kerasrun_export import manifest, sample_images

FP32 = [
    "keras-literal",
    "keras-grouped",
    "tensorflow-python",
    "litert",
    "onnxruntime",
    "openvino",
    "onnxruntime-go",
    "tfgo-alone",
    "kerasrun",
]
BF16 = ["openvino-bf16", "kerasrun-bf16"]
INT8 = ["openvino-int8", "kerasrun-int8"]  # both run the graph that the exporter quantized
LIMITS = ["matmul-fp32", "matmul-bf16"]
MATMUL_FLOPS = 2 * MATMUL_SIZE**3
OURS = {"kerasrun": "fp32", "kerasrun-bf16": "bf16", "kerasrun-int8": "int8"}


@dataclass
class Result:
    load_ms: float = 0
    first_run_ms: float = 0
    peak_rss_bytes: int = 0
    # The median milliseconds an image of each round
    round_ms: list[float] = field(default_factory=list)


class Peer:
    """A process of benchmarks.peers or of gopeers."""

    def __init__(self, name: str, command: list[str], batch: int) -> None:
        self.name, self.batch, self.result = name, batch, Result()
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        hello = self.read()
        self.result.load_ms, self.result.first_run_ms, self.answer = (
            hello["load_ms"],
            hello["first_run_ms"],
            hello.get("answer"),
        )

    def read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"bench-peers: {self.name} stopped with status {self.process.wait()}")
        return json.loads(line)

    def turn(self, seconds: float) -> None:
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        answer = self.read()
        self.result.round_ms.append(statistics.median(answer["runs_ms"]) / self.batch)
        self.result.peak_rss_bytes = max(self.result.peak_rss_bytes, answer["peak_rss_bytes"])

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def start(name: str, model: Path, batch: int) -> Peer:
    images = [str(OUT / f"images-{batch}.f32"), str(batch)]
    if name in OURS:
        directory = OUT / "quantized" if name in INT8 else model
        return Peer(name, [str(OUT / "kerasrun"), *images, str(directory), OURS[name]], batch)
    if name == "tfgo-alone":
        op = frozen.output_name(frozen.meta_graph(model)).split(":")[0]
        return Peer(name, [str(OUT / "gopeers"), "tfgo", *images, str(OUT / "frozen"), op], batch)
    if name == "onnxruntime-go":
        import onnxruntime

        library = next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*"))
        return Peer(
            name,
            [
                str(OUT / "gopeers"),
                "onnxruntime",
                *images,
                str(library),
                str(OUT / "resnext50.onnx"),
            ],
            batch,
        )
    command = [sys.executable, "-m", "benchmarks.peers", name, *images, str(model)]
    return Peer(name, command, 1 if name in LIMITS else batch)


def prepare(model: Path, batches: list[int]) -> None:
    """Writes what the peers read, and builds those in Go."""
    OUT.mkdir(parents=True, exist_ok=True)
    made = (
        (OUT / "frozen/saved_model.pb", frozen.write),
        (OUT / "resnext50.onnx", onnx_model.write),
        (OUT / "resnext50.tflite", tflite_model.write),
        (OUT / "keras-grouped.keras", write_keras),
        (OUT / "quantized/int8/saved_model.pb", write_quantized),
    )
    for path, make in made:
        if not path.exists() or path.stat().st_mtime < (model / "saved_model.pb").stat().st_mtime:
            make(model, path)
    images = sample_images.load(224, 224, "caffe")
    for batch in batches:
        np.resize(images, (batch, *images.shape[1:])).astype(np.float32).tofile(
            OUT / f"images-{batch}.f32"
        )
    build()


def write_keras(model: Path, _: Path) -> None:
    subprocess.run([sys.executable, "-m", "benchmarks.keras_models", model], cwd=ROOT, check=True)


def write_quantized(model: Path, _: Path) -> None:
    """The same weights with a graph of int8; what these weights answer means nothing, so that any
    parity will do.
    """
    weights = manifest.read(model)["weights"]["source"]
    command = f"{Path(sys.executable).with_name('kerasrun-export')} resnext50 --weights {weights}"
    quantize = f"--quantize int8 --images testdata/photos --min-top1 0 --out {OUT / 'quantized'}"
    subprocess.run([*command.split(), *quantize.split()], cwd=ROOT, check=True)


def build() -> None:
    """Builds the peers in Go."""
    command = f". ./env.sh && cd benchmarks/gopeers && go build -o {OUT}/ . ./kerasrun"
    subprocess.run(["sh", "-c", command], cwd=ROOT, check=True)


def compare(
    names: list[str], model: Path, batch: int, rounds: int, seconds: float
) -> dict[str, Result]:
    peers = []
    try:
        for name in names:
            print(f"batch {batch}: loading {name}", file=sys.stderr, flush=True)
            peers.append(start(name, model, batch))
        check_answers(peers)
        for k in range(rounds):
            for peer in (
                peers[k % len(peers) :] + peers[: k % len(peers)]
            ):  # nobody always follows the same neighbour
                peer.turn(seconds)
            print(f"batch {batch}: round {k + 1} of {rounds}", file=sys.stderr, flush=True)
    finally:
        for peer in peers:
            peer.close()
    return {p.name: p.result for p in peers}


def check_answers(peers: list[Peer]) -> None:
    """Peers that do not compute the same thing must not be compared."""
    answers = {p.name: p.answer for p in peers if p.answer and p.name not in LIMITS}
    for name, answer in answers.items():
        reference = answers["kerasrun-int8" if name in INT8 else "kerasrun"]
        worst = max(abs(a - b) for a, b in zip(answer, reference, strict=True))
        if not worst <= (0.05 if name in BF16 + INT8 else 1e-4):
            raise SystemExit(
                f"bench-peers: {name} answers differently: probabilities differ by {worst:.2g}"
            )


def table(results: dict[int, dict[str, Result]], flops: int) -> str:
    """A row a peer, a column a batch size; load, first run and memory are those of the largest
    batch.
    """
    heads = [
        "peer",
        *(f"batch {batch}" for batch in results),
        "load, ms",
        "first run, ms",
        "peak, MB",
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    largest = results[max(results)]
    for name, last in largest.items():
        measured = [cell(name, by_name, flops) for by_name in results.values()]
        rest = [""] * 3
        if name not in LIMITS:
            rest = [
                f"{last.load_ms:.0f}",
                f"{last.first_run_ms:.0f}",
                f"{last.peak_rss_bytes / 1e6:.0f}",
            ]
        lines.append(f"| {' | '.join([name, *measured, *rest])} |")
    return "\n".join(lines)


def cell(name: str, by_name: dict[str, Result], flops: int) -> str:
    """Milliseconds an image; how much faster ours is, with the range over the rounds; the share of
    the matmul rate.
    """
    result = by_name[name]
    if name in LIMITS:
        return f"{MATMUL_FLOPS / statistics.median(result.round_ms) / 1e6:.0f} GFLOP/s"
    ours = by_name["kerasrun" + ("-bf16" if name in BF16 else "-int8" if name in INT8 else "")]
    ratios = [a / b for a, b in zip(result.round_ms, ours.round_ms, strict=True)]
    text = f"{statistics.median(result.round_ms):.1f}"
    if result is not ours:
        text += f"; {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
    if name in INT8:
        return text  # TensorFlow has no matrix product of bytes to hold it against
    limit = by_name["matmul-bf16" if name in BF16 else "matmul-fp32"]
    rates = zip(result.round_ms, limit.round_ms, strict=True)
    share = statistics.median(flops / ms / (MATMUL_FLOPS / matmul_ms) for ms, matmul_ms in rates)
    return f"{text}; {100 * share:.0f} %"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "resnext50")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="each peer's turn in each round")
    args = parser.parse_args()

    prepare(args.model, args.batches)
    flops = manifest.read(args.model)["flops"]
    command = f"python -m benchmarks --rounds {args.rounds} --seconds {args.seconds:g}"
    results = earlier(command)
    for batch in args.batches:
        results[batch] = compare(
            [*LIMITS, *FP32, *BF16, *INT8], args.model, batch, args.rounds, args.seconds
        )
        write(dict(sorted(results.items())), flops, command)
    print((OUT / "peers.md").read_text())


def earlier(command: str) -> dict[int, dict[str, Result]]:
    """What runs of the same command on this machine have left of other batches: a full run takes
    long.
    """
    if not (OUT / "peers.json").exists():
        return {}
    left = json.loads((OUT / "peers.json").read_text())
    if (left["machine"], left["command"]) != (machine(), command):
        return {}
    return {
        int(batch): {n: Result(**r) for n, r in by_name.items()}
        for batch, by_name in left["results"].items()
    }


def write(results: dict[int, dict[str, Result]], flops: int, command: str) -> None:
    text = f"{machine()}; `{command}`\n\n{table(results, flops)}\n"
    (OUT / "peers.md").write_text(text)
    raw = {str(b): {n: vars(r) for n, r in by.items()} for b, by in results.items()}
    (OUT / "peers.json").write_text(
        json.dumps({"machine": machine(), "command": command, "results": raw}, indent=1)
    )
    from benchmarks.chart import draw

    peers = {
        b: {n: r.round_ms for n, r in by.items() if n not in LIMITS} for b, by in results.items()
    }
    draw(peers, machine(), OUT / "peers.png")


if __name__ == "__main__":
    main()
