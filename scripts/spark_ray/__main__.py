"""Runs kerasrun_batch on PySpark 3.5 and 4 and on Ray, and compares with `kerasrun score`.

Each has an environment of its own under out/spark-ray. The jobs run on this machine and on clusters
of two workers, undisturbed and with a worker, its executor and its kerasrun killed in mid-job. The
rows have to be those of `kerasrun score`, in every bit, complete and without doubles.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scripts.clusters import (
    BATCH,
    KERASRUN,
    MODEL,
    ROOT,
    descendants,
    free_port,
    kill,
    listening,
    make_images,
)

OUT = ROOT / "out" / "spark-ray"
TIMEOUT = 300  # seconds a job

# Workers as fast as others on this machine, and no token between nodes of one machine.
RAY = {"RAY_worker_niceness": "0", "RAY_AUTH_MODE": "disabled"}

PACKAGES = {
    "spark35": ["pyspark>=3.5,<3.6", "pandas<3", "setuptools"],
    "spark4": ["pyspark>=4,<5", "pandas<3"],
    "ray": ["ray[data]"],
}


@dataclasses.dataclass
class Case:
    """A way to run the job: kill is called in mid-job."""

    name: str
    command: list[str]
    kill: Callable[[subprocess.Popen, Path], None] | None = None
    options: dict = dataclasses.field(default_factory=dict)


def python_of(engine: str) -> Path:
    """The Python of an engine's environment, which is made where it is not there."""
    python = OUT / engine / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    if not python.exists():
        print(f"spark-ray: {', '.join(PACKAGES[engine])} into {OUT / engine}", flush=True)
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, OUT / engine], check=True)
        install = [uv, "pip", "install", "-q", "--python", python]
        subprocess.run([*install, *PACKAGES[engine], "-e", ROOT / "tools/batch"], check=True)
    return python


def canonical(rows: pa.Table, want: pa.Schema) -> bytes:
    """The bytes of a table in the order of its index, with a format's own names and types gone."""
    rows = rows.select(want.names).cast(want).sort_by("index").combine_chunks()
    text = "\n".join(json.dumps(row, sort_keys=True) for row in rows.to_pylist())
    return text.encode()


def wait_for_some(job: subprocess.Popen, pattern: str, out: Path, count: int) -> None:
    """Waits until a job has written some of its output."""
    while len(list(out.glob(pattern))) < count:
        if job.poll() is not None:
            sys.exit(f"spark-ray: the job ended with {job.returncode} before it wrote {pattern}")
        time.sleep(0.02)


def kill_kerasrun(pattern: str) -> Callable[[subprocess.Popen, Path], None]:
    """Returns what kills a process of kerasrun of the job itself."""

    def act(job: subprocess.Popen, out: Path) -> None:
        wait_for_some(job, pattern, out, 3)
        scorers = [p for p, c in descendants(job.pid).items() if "score --arrow-stream" in c]
        if not scorers:
            sys.exit("spark-ray: expected a process of kerasrun to kill, found none")
        kill(random.choice(scorers))

    return act


@contextmanager
def spark_cluster(python: Path, logs: Path) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """A master of Spark and two workers of one core each."""
    home = subprocess.check_output(
        [python, "-c", "import pyspark; print(pyspark.__path__[0])"], text=True
    ).strip()
    environment = {**os.environ, "SPARK_HOME": home, "PYSPARK_PYTHON": str(python)}
    start = [f"{home}/bin/spark-class"]
    package = "org.apache.spark.deploy"
    port = free_port()
    with ExitStack() as ends:

        def run(name: str, *arguments: str) -> subprocess.Popen:
            log = ends.enter_context((logs / f"{name}.log").open("w"))
            command = [*start, *arguments]
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

            def end() -> None:
                for pid in [process.pid, *descendants(process.pid)]:
                    kill(pid)
                process.wait()

            ends.callback(end)
            return process

        here = ["--host", "127.0.0.1", "--webui-port", "0"]
        run("master", f"{package}.master.Master", *here, "--port", str(port))
        master = f"spark://127.0.0.1:{port}"
        while not listening(port):
            time.sleep(0.1)
        workers = [
            run(
                f"worker{i}",
                f"{package}.worker.Worker",
                *here,
                "--cores",
                "1",
                "--memory",
                "1g",
                "--work-dir",
                str(logs / f"work{i}"),
                master,
            )
            for i in range(2)
        ]
        while not all("registered with master" in log_of(logs, i) for i in range(2)):
            time.sleep(0.1)
        yield master, workers


def log_of(logs: Path, worker: int) -> str:
    return (logs / f"worker{worker}.log").read_text()


def run(case: Case, table: Path, want: pa.Table, python: Path) -> float:
    """Runs a case, and compares what it wrote. Returns how many seconds it took."""
    out = OUT / "answers"
    shutil.rmtree(out, ignore_errors=True)
    options = {
        "model": str(MODEL),
        "program": str(KERASRUN),
        "index": "place",
        "keep": ["id"],
        "batch": BATCH,
        **case.options,
    }
    began = time.monotonic()
    command = [*case.command, str(table), str(out), json.dumps(options)]
    log = OUT / "job.log"
    with log.open("w") as said:
        job = subprocess.Popen(
            [python, *command],
            stdout=said,
            stderr=said,
            env={**os.environ, "PYSPARK_PYTHON": str(python), **RAY},
        )
        try:
            if case.kill:
                case.kill(job, out)
            status = job.wait(TIMEOUT)
        finally:
            if job.poll() is None:
                for pid in [job.pid, *descendants(job.pid)]:
                    kill(pid)
    took = time.monotonic() - began
    if status:
        sys.exit(f"spark-ray: {case.name}: exit status {status}\n{log.read_text()[-4000:]}")
    if case.name.endswith("node killed") and "killed a node" not in log.read_text():
        sys.exit(f"spark-ray: {case.name}: the job ended before a node was killed")
    got = pq.read_table(out)
    texts = [canonical(rows, want.schema) for rows in (got, want)]
    sums = [hashlib.sha256(text).hexdigest() for text in texts]
    if sums[0] != sums[1]:
        pairs = zip(*(text.split(b"\n") for text in texts), strict=False)
        first = next(((g, w) for g, w in pairs if g != w), "")
        sys.exit(
            f"spark-ray: {case.name}: expected {want.num_rows} rows of `kerasrun score`, got "
            f"{got.num_rows}; the first that differ: {first}"
        )
    print(
        f"{case.name}: {got.num_rows} rows, sha256 {sums[0][:16]} as score's, {took:.0f} s",
        flush=True,
    )
    return took


def spark(engine: str, table: Path, want: pa.Table) -> None:
    python = python_of(engine)
    job = str(ROOT / "scripts/spark_ray/spark_job.py")
    committed = "_temporary/0/task_*"
    run(Case(f"{engine} local", [job, "local[2]"]), table, want, python)
    killed = [job, "local[2,4]"]  # a task may fail four times
    case = Case(f"{engine} local, kerasrun killed", killed, kill_kerasrun(committed))
    run(case, table, want, python)
    for name in ("standalone", "standalone, worker killed"):
        logs = OUT / "logs"
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir()
        with spark_cluster(python, logs) as (master, workers):

            def kill_worker(running: subprocess.Popen, out: Path, them=workers) -> None:
                wait_for_some(running, committed, out, 3)
                for pid in [them[0].pid, *descendants(them[0].pid)]:
                    kill(pid)

            kills = kill_worker if "killed" in name else None
            run(Case(f"{engine} {name}", [job, master], kills), table, want, python)


def ray(engine: str, table: Path, want: pa.Table) -> None:
    python = python_of(engine)
    job = str(ROOT / "scripts/spark_ray/ray_job.py")
    run(Case("ray local", [job, "local"]), table, want, python)
    run(Case("ray cluster", [job, "cluster"]), table, want, python)
    run(Case("ray cluster, node killed", [job, "killed"]), table, want, python)


def example(engine: str, word: str) -> None:
    """Runs the example of docs/scoring.md that has a word."""
    page = (ROOT / "docs/scoring.md").read_text()
    blocks = re.findall(r"```python norun=cluster\n(.*?)```", page, re.DOTALL)
    (program,) = [block for block in blocks if word in block]
    folder = OUT / "page"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "photos").symlink_to(ROOT / "testdata/photos")
    (folder / "models").symlink_to(ROOT / "models")
    environment = {**os.environ, "PATH": f"{KERASRUN.parent}:{os.environ['PATH']}"}
    python = python_of(engine)
    done = subprocess.run(
        [python, "-c", program],
        cwd=folder,
        env={**environment, "PYSPARK_PYTHON": str(python), **RAY},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    if done.returncode:
        sys.exit(f"spark-ray: the example of {engine}: {done.stdout[-2000:]}{done.stderr[-4000:]}")
    scores = pq.read_table(folder / "scores.parquet")
    photos = len(list((ROOT / "testdata/photos").glob("*.jpg")))
    if scores.num_rows != photos or scores.column("error").null_count != photos:
        sys.exit(f"spark-ray: the example of {engine}: expected {photos} answers, got {scores}")
    print(f"{engine}: the example of docs/scoring.md answers {photos} images", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("engines", nargs="+", choices=list(PACKAGES))
    arguments = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    rows = make_images(OUT / "images")
    table, output = OUT / "table.parquet", OUT / "score.parquet"
    pq.write_table(rows, table)
    for old in OUT.glob("score.parquet*"):
        old.unlink()
    command = [KERASRUN, "score", "--quiet", f"--model={MODEL}", f"--batch={BATCH}", "--keep=id"]
    done = subprocess.run([*command, "--column=path", f"--output={output}", table], check=False)
    if done.returncode != 3:
        sys.exit(f"spark-ray: score: expected exit status 3, got {done.returncode}")
    want = pq.read_table(output)
    for engine in arguments.engines:
        example(engine, "import ray" if engine == "ray" else "import SparkSession")
    for _ in range(arguments.runs):
        for engine in arguments.engines:
            (ray if engine == "ray" else spark)(engine, table, want)
    print(f"spark-ray: {', '.join(arguments.engines)}: as kerasrun score", flush=True)


if __name__ == "__main__":
    main()
