"""Parity and speed at each precision and batch size on one device: `make gpu-check`.

It stops where the device is not there and says why. `make gpu-check DEVICE=cpu` takes the same
steps on the CPU, at the CPU's precisions.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "out" / "gpu-check.md"
PROGRAM = ROOT / "bin" / "kerasrun"
PRECISIONS = {"cpu": ("fp32", "bf16"), "gpu": ("fp32", "tf32", "fp16")}
COLUMNS = (
    "precision",
    "probabilities differ by",
    "logits (relative)",
    "same best class",
    "verify",
    "batch",
    "images/s, model alone",
    "p50 ms",
    "images/s, from files",
    "first run ms",
)

Run = Callable[..., tuple[int, str]]  # arguments of kerasrun -> exit status, standard output


class CheckError(RuntimeError):
    """The check cannot go on. The message is one line for the user."""


def kerasrun(*arguments: str) -> tuple[int, str]:
    """Runs the program; what it writes to standard error goes to the user."""
    result = subprocess.run([PROGRAM, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    return result.returncode, result.stdout


def objects(text: str) -> list[dict]:
    """The JSON objects that stand one after the other in a text."""
    decoder, found = json.JSONDecoder(), []
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def find_device(run: Run, device: str) -> dict:
    """What `kerasrun devices` has of the device; CheckError, with its reason, where it is not
    there.
    """
    status, out = run("devices", "--format", "json")
    if status:
        raise CheckError("kerasrun devices failed")
    listed = json.loads(out)
    name = "gpu:0" if device == "gpu" else device
    for found in listed["devices"]:
        if found["name"] == name:
            return found
    there = ", ".join(found["name"] for found in listed["devices"])
    raise CheckError(
        f"device {device}: want one of {there}: "
        f"{listed['no_gpu'] or 'there is no GPU of this number'}"
    )


def parity(run: Run, model: str, device: str, precision: str) -> list[str]:
    """The cells of the comparison with Keras: differences of probabilities and logits, best
    classes, verdict.
    """
    status, out = run(
        "verify", "--device", device, "--precision", precision, "--format", "json", model
    )
    reports = [report for report in objects(out) if report["precision"] == precision]
    if not reports:
        return ["-", "-", "-", "failed"]
    stages = [
        stage
        for stage in reports[-1]["stages"]
        if stage.get("run") in ("alone", "batched", "padded")
    ]

    def largest(name: str) -> str:
        values = [float(stage["max"]) for stage in stages if stage["stage"] == name]
        return f"{max(values):.1e}" if values else "-"

    best = [
        (stage["agreement"]["top_1"], stage["agreement"]["cases"])
        for stage in stages
        if stage.get("agreement")
    ]
    agreement = "{} of {}".format(*min(best)) if best else "-"
    return [largest("probs"), largest("logits"), agreement, "failed" if status else "ok"]


def speed(run: Run, options: argparse.Namespace, precision: str) -> list[list[str]]:
    """A row of cells a batch size: batch, images a second, median latency, images a second from
    files, first run.
    """
    status, out = run(
        "bench", "--format", "json", "--model", options.model, "--device", options.device,
        "--precision", precision,
        "--batch", options.batches, "--seconds", str(options.seconds), "--images", options.images,
    )  # fmt: skip
    rows = [
        [
            str(row["batch"]),
            f"{row['images_per_second']:.1f}",
            f"{row['latency_ms']['p50']:.1f}",
            f"{row['end_to_end']['images_per_second']:.1f}",
            f"{row['first_run_ms']:.0f}",
        ]
        for row in objects(out)
    ]
    if status:
        rows.append(["failed", "-", "-", "-", "-"])
    return rows


def driver() -> str:
    """The GPU driver's version, as nvidia-smi has it."""
    if not shutil.which("nvidia-smi"):
        return "unknown driver (no nvidia-smi)"
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    result = subprocess.run(query, capture_output=True, text=True, check=False)
    return (
        f"driver {result.stdout.split()[0]}"
        if result.returncode == 0 and result.stdout.strip()
        else "unknown driver"
    )


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown processor"


def check(run: Run, options: argparse.Namespace) -> tuple[str, bool]:
    """The table, in Markdown, and whether nothing failed."""
    found = find_device(run, options.device)
    kind = found["type"].lower()
    status, out = run("version", "--format", "json")
    if status:
        raise CheckError("kerasrun version failed")
    what = processor()
    if kind == "gpu":
        memory = f"{found['memory_bytes'] / 2**30:.1f} GiB for TensorFlow"
        gpu = f"{found['model'] or 'unknown GPU'}, compute capability {found['compute']}"
        what = f"{gpu}, {memory}, {driver()}; {what}"
    rows, good = [], True
    for precision in PRECISIONS[kind]:
        print(f"gpu-check: {options.device}, {precision}", file=sys.stderr)
        compared = parity(run, options.model, options.device, precision)
        for measured in speed(run, options, precision):
            rows.append([precision, *compared, *measured])
            good = good and "failed" not in rows[-1]
    lines = [f"{what}; TensorFlow {json.loads(out)['tensorflow']}; {options.model}", ""]
    lines += ["| " + " | ".join(cells) + " |" for cells in (COLUMNS, ["---"] * len(COLUMNS), *rows)]
    return "\n".join(lines) + "\n", good


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.gpucheck", description=__doc__.partition("\n")[0]
    )
    add = parser.add_argument
    add("--device", default="gpu", help="gpu (default), gpu:N or cpu")
    add("--model", default="models/resnext50", help="the model's directory")
    add("--batches", default="1,8,32,64,128,256", help="batch sizes")
    add("--seconds", type=float, default=3, help="time for each measurement")
    add("--images", default="testdata/photos", help="images for the measurement from files")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit status: 0 all well, 1 something failed, 2 (by argparse) wrong
    usage.
    """
    options = parser().parse_args(arguments)
    try:
        table, good = check(kerasrun, options)
    except CheckError as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return 1
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(table, encoding="utf-8")
    print(table, end="")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
