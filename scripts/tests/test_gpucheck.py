"""The table of `make gpu-check`, from what kerasrun prints: here a made-up program, for a GPU that
is not there.
"""

import json

import pytest

from scripts import gpucheck

GPU = {
    "name": "gpu:0",
    "type": "GPU",
    "memory_bytes": 79 << 30,
    "model": "NVIDIA H100",
    "compute": "9.0",
}
CPU = {"name": "cpu", "type": "CPU", "memory_bytes": 0, "model": "", "compute": ""}


def stage(name: str, run: str, most: float | str, top: int) -> dict:
    return {"stage": name, "run": run, "max": most, "agreement": {"cases": 4, "top_1": top}}


def program(devices: list[dict], broken: str = ""):
    """A kerasrun that has these devices, and fails in one precision."""
    calls = []

    def run(*arguments: str) -> tuple[int, str]:
        calls.append(arguments)
        if arguments[0] == "devices":
            return 0, json.dumps(
                {"devices": devices, "no_gpu": "" if GPU in devices else "no driver"}
            )
        if arguments[0] == "version":
            return 0, '{"kerasrun": "1", "tensorflow": "2.21.0"}'
        precision = arguments[arguments.index("--precision") + 1]
        if arguments[0] == "verify":
            if precision == broken:
                return 1, ""
            most = {"fp32": 1e-6, "tf32": 2e-4}.get(precision, 3e-3)
            stages = [
                stage("decode", "", 0, 0),
                stage("probs", "alone", most, 4),
                stage("probs", "padded", 2 * most, 3),
                stage("logits", "alone", 10 * most, 4),
                stage("probs", "across", "NaN", 0),
            ]
            reports = [
                {"precision": "fp32", "stages": []},
                {"precision": precision, "stages": stages},
            ]
            return 0, "\n".join(json.dumps(report, indent=2) for report in reports)
        batches = [int(size) for size in arguments[arguments.index("--batch") + 1].split(",")]
        rows = [
            {
                "batch": size,
                "images_per_second": 100.0 * size,
                "latency_ms": {"p50": 10.0},
                "end_to_end": {"images_per_second": 50.0 * size},
                "first_run_ms": 1234.5,
            }
            for size in batches
        ]
        return 0, "\n".join(json.dumps(row) for row in rows)

    run.calls = calls
    return run


def options(*arguments: str):
    return gpucheck.parser().parse_args([*arguments, "--batches", "1,256"])


def test_table_of_a_gpu():
    run = program([CPU, GPU])
    table, good = gpucheck.check(run, options())
    assert good
    lines = table.splitlines()
    assert lines[0].startswith("NVIDIA H100, compute capability 9.0, 79.0 GiB for TensorFlow, ")
    assert "TensorFlow 2.21.0" in lines[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[4:]]
    assert [row[0] for row in rows] == ["fp32", "fp32", "tf32", "tf32", "fp16", "fp16"]
    assert rows[3] == [
        "tf32",
        "4.0e-04",
        "2.0e-03",
        "3 of 4",
        "ok",
        "256",
        "25600.0",
        "10.0",
        "12800.0",
        "1234",
    ]
    assert all("gpu" in call for call in run.calls if call[0] in ("verify", "bench"))


def test_cpu_takes_the_same_steps():
    run = program([CPU])
    table, good = gpucheck.check(run, options("--device", "cpu"))
    assert good
    assert "| bf16 |" in table and "tf32" not in table
    assert [call[0] for call in run.calls] == [
        "devices",
        "version",
        "verify",
        "bench",
        "verify",
        "bench",
    ]


@pytest.mark.parametrize(
    ("devices", "device", "message"),
    [
        ([CPU], "gpu", "device gpu: want one of cpu: no driver"),
        (
            [CPU, GPU],
            "gpu:3",
            "device gpu:3: want one of cpu, gpu:0: there is no GPU of this number",
        ),
    ],
)
def test_stops_without_the_device(devices, device, message):
    run = program(devices)
    with pytest.raises(gpucheck.CheckError, match=message):
        gpucheck.check(run, options("--device", device))
    assert [call[0] for call in run.calls] == ["devices"]


def test_a_failure_is_in_the_table_and_the_others_go_on():
    table, good = gpucheck.check(program([CPU, GPU], broken="tf32"), options())
    assert not good
    assert "| tf32 | - | - | - | failed | 1 |" in table
    assert table.count("| ok |") == 4
