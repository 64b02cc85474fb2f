"""Runs kerasrun-beam on Flink and Spark, and compares with `kerasrun score`.

Each runs inside Beam's job server and as a cluster of two workers, undisturbed and with a worker
killed in mid-job. What the shards merge into has to be the bytes of `kerasrun score`.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from scripts.clusters import BATCH, KERASRUN, MODEL, ROOT, descendants, free_port, kill, make_images
from scripts.flink_spark import engines
from scripts.flink_spark.engines import OUT, Engine

BEAM = OUT / "kerasrun-beam"
REPEATS = 8  # of the images, so that a job is long enough to be disturbed
TIMEOUT = 300  # seconds a job
CPU_SECONDS = 2.0  # of a worker that is past loading the model


class Wrong(Exception):
    """A job that did not do what it has to."""


def build() -> None:
    command = f". ./env.sh && cd cmd/kerasrun-beam && go build -o {BEAM} ."
    subprocess.run(["sh", "-c", command], cwd=ROOT, check=True)


def reference(inputs: Path, ending: str) -> bytes:
    """What `kerasrun score` makes of the inputs, of which some are no images."""
    output = OUT / f"score.{ending}"
    for old in OUT.glob(f"{output.name}*"):
        old.unlink()
    command = [KERASRUN, "score", "-q", f"--model={MODEL}", f"--batch={BATCH}"]
    done = subprocess.run([*command, f"--output={output}", f"--files-from={inputs}"], check=False)
    if done.returncode != 3:
        raise Wrong(f"score: expected exit status 3, got {done.returncode}")
    return output.read_bytes()


def start(engine: str, e: Engine, output: Path, inputs: Path, *more: str) -> subprocess.Popen:
    """Starts a client. Later flags go before earlier ones."""
    for old in output.parent.glob(f"{output.stem}*"):
        old.unlink()
    command = [BEAM, f"--runner={engine}", f"--endpoint={e.endpoint}", f"--model={MODEL}"]
    command += [f"--batch={BATCH}", f"--output={output}", f"--files-from={inputs}"]
    log = e.ends.enter_context((e.logs / "client.log").open("w"))
    client = subprocess.Popen(
        [*command, "--environment_type=LOOPBACK", *more], stdout=log, stderr=log
    )

    def end() -> None:
        for pid in [client.pid, *descendants(client.pid)]:
            kill(pid)

    e.ends.callback(end)
    return client


def wait(e: Engine, client: subprocess.Popen, status: int) -> None:
    got = client.wait(TIMEOUT)
    if got != status:
        raise Wrong(f"expected exit status {status}, got {got}:\n{e.log('client')[-4000:]}")


def equal(output: Path, want: bytes) -> None:
    """Merges the shards, which have to be score's bytes, with nothing else left behind."""
    merged = output.with_name(f"merged{output.suffix}")
    for old in output.parent.glob("merged*"):
        old.unlink()
    shards = sorted(output.parent.glob(f"{output.stem}-*{output.suffix}"))
    subprocess.run([KERASRUN, "merge", f"--output={merged}", *shards], check=True)
    if merged.read_bytes() != want:
        raise Wrong(f"{merged}: expected score's {len(want)} bytes, got others")
    wanted = {f"{output.stem}_SUCCESS"}
    wanted |= {name for s in shards for name in (s.name, f"{s.name}.manifest.json")}
    if left := {path.name for path in output.parent.glob(f"{output.stem}*")} - wanted:
        raise Wrong(f"expected shards and their manifests alone, got {sorted(left)} too")


def until_scoring(e: Engine, client: subprocess.Popen) -> None:
    """Waits until every worker process of the job is at images."""
    per_second = os.sysconf("SC_CLK_TCK")
    while True:
        if client.poll() is not None:
            raise Wrong(f"the job ended before it was disturbed:\n{e.log('client')[-4000:]}")
        used = []
        for pid, command in descendants(client.pid).items():
            if " --provision_endpoint=" in command:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                used.append((int(fields[11]) + int(fields[12])) / per_second)
        if len(used) >= 2 and min(used) > CPU_SECONDS:
            return
        time.sleep(0.1)


Disturb = Callable[[Engine, subprocess.Popen], None]


def kill_flink_worker(e: Engine, client: subprocess.Popen) -> None:
    until_scoring(e, client)
    kill(e.workers[0].pid)
    e.another()


def kill_spark_worker(e: Engine, client: subprocess.Popen) -> None:
    until_scoring(e, client)
    for pid in [e.workers[0].pid, *descendants(e.workers[0].pid)]:
        kill(pid)


def run(
    name: str,
    e: Engine,
    inputs: Path,
    want: bytes,
    ending: str,
    *more: str,
    disturb: Disturb | None = None,
) -> None:
    began = time.monotonic()
    output = OUT / f"out.{ending}"
    client = start(name.split()[0], e, output, inputs, *more)
    if disturb:
        disturb(e, client)
    wait(e, client, 3)
    equal(output, want)
    rows = len(inputs.read_text().splitlines())
    took = time.monotonic() - began
    print(f"{name}: {rows} rows, merged to score's bytes ({ending}), {took:.0f} s", flush=True)


def refusals(engine: str, e: Engine, inputs: Path, *workers: str) -> None:
    """What goes wrong is said by the client."""
    client = start(engine, e, OUT / "out.jsonl", inputs, "--model=/no/such/model", *workers)
    wait(e, client, 1)
    said = e.log("client")
    if "/no/such/model" not in said.splitlines()[-1] and "no such file" not in said:
        raise Wrong(f"a wrong model: expected it in the error, got:\n{said[-2000:]}")
    print(f"{engine}: a model that is not there is named", flush=True)
    client = start(engine, e, OUT / "out.jsonl", inputs)
    until_scoring(e, client)
    client.send_signal(signal.SIGINT)
    wait(e, client, 1)
    if engine == "flink":
        engines.until(
            lambda: all(
                job["state"] in ("CANCELED", "FAILED", "FINISHED")
                for job in e.get("/jobs/overview").get("jobs", [{"state": ""}])
            ),
            "the end of an interrupted job",
        )
    if left := list(OUT.glob("out*.inputs*")) + list(OUT.glob("out*_SUCCESS")):
        raise Wrong(f"an interrupted job: expected nothing left, got {left}")
    print(f"{engine}: an interrupted client cancels its job", flush=True)


def flink(inputs: Path, wants: dict[str, bytes]) -> None:
    with engines.flink(cluster=False) as e:
        run("flink inside the job server", e, inputs, wants["jsonl"], "jsonl")
    with engines.flink(cluster=True) as e:
        run("flink cluster, no restarts", e, inputs, wants["parquet"], "parquet")
        pool = f"127.0.0.1:{free_port()}"
        e.start("pool", [BEAM, "pool", pool])
        external = ["--environment_type=EXTERNAL", f"--environment_config={pool}"]
        run("flink cluster, a pool of workers", e, inputs, wants["jsonl"], "jsonl", *external)
        refusals("flink", e, inputs, *external)
    with engines.flink(cluster=True, restarts=True) as e:
        run(
            "flink cluster, a worker killed",
            e,
            inputs,
            wants["jsonl"],
            "jsonl",
            disturb=kill_flink_worker,
        )


def spark(inputs: Path, wants: dict[str, bytes]) -> None:
    with engines.spark(cluster=False) as e:
        run("spark inside the job server", e, inputs, wants["jsonl"], "jsonl")
    with engines.spark(cluster=True) as e:
        run("spark cluster", e, inputs, wants["parquet"], "parquet")
        refusals("spark", e, inputs)
    with engines.spark(cluster=True) as e:
        run(
            "spark cluster, a worker killed",
            e,
            inputs,
            wants["jsonl"],
            "jsonl",
            disturb=kill_spark_worker,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("engine", choices=["flink", "spark"])
    arguments = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    try:
        engines.install(arguments.engine)
        build()
        inputs = OUT / "list.txt"
        paths = make_images(OUT / "images").column("path").to_pylist()
        inputs.write_text("".join(f"{path}\n" for path in paths * REPEATS))
        wants = {ending: reference(inputs, ending) for ending in ("jsonl", "parquet")}
        for _ in range(arguments.runs):
            {"flink": flink, "spark": spark}[arguments.engine](inputs, wants)
    except Wrong as wrong:
        sys.exit(f"flink-spark: {arguments.engine}: {wrong}")
    print(f"{arguments.engine}: as kerasrun score", flush=True)


if __name__ == "__main__":
    main()
