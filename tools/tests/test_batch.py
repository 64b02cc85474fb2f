"""kerasrun_batch against `kerasrun score`'s own output, over the real program."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kerasrun_batch import ScoreError, Scorer

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = str(ROOT / "bin" / "kerasrun")
MODEL = str(ROOT / "models" / "resnext50-32")
BATCH = 4


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[str]:
    """Eighteen images, of which one is cut and one is not there."""
    folder = tmp_path_factory.mktemp("images")
    photos = sorted((ROOT / "testdata" / "photos").glob("*.[jp]*g"))
    paths = []
    for i in range(18):
        photo = photos[i % len(photos)]
        paths.append(str(folder / f"{i:02d}{photo.suffix}"))
        if i != 11:
            shutil.copy(photo, paths[i])
    Path(paths[5]).write_bytes(Path(paths[5]).read_bytes()[:100])
    return paths


def scored(tmp_path: Path, images: list[str], *flags: str) -> pa.Table:
    """What `kerasrun score` itself writes."""
    listed, output = tmp_path / "list.txt", tmp_path / "out.parquet"
    listed.write_text("\n".join(images))
    command = [PROGRAM, "score", "--quiet", f"--model={MODEL}", f"--batch={BATCH}", *flags]
    done = subprocess.run([*command, f"--files-from={listed}", f"--output={output}"], check=False)
    assert done.returncode == 3  # two images fail
    return pq.read_table(output)


def rows(table: pa.Table) -> list[dict]:
    return table.to_pylist()


def scorer(**options) -> Scorer:
    return Scorer(MODEL, **{"batch": BATCH, "program": PROGRAM, **options})


@pytest.mark.parametrize("flags", [(), ("--outputs=top,probs", "--topk=2", "--label-type=id")])
def test_predict(tmp_path, images, flags):
    want = scored(tmp_path, images, *flags)
    with scorer(flags=flags) as own:
        got = own.predict(images)
        assert got.column_names == want.column_names
        assert rows(got) == rows(want)
        # Bytes have no path, and their images are the same.
        present = [i for i, path in enumerate(images) if os.path.exists(path)]
        data = own.predict([Path(images[i]).read_bytes() for i in present])
        assert data.column("path").null_count == len(present)
        for got_row, i in zip(rows(data), present, strict=True):
            assert (got_row["error"] is None) == (i != 5)
            assert got_row["class"] == rows(want)[i]["class"]
        assert own.predict([]).schema.names == want.column_names


def test_partitions_keep_indices_and_columns(tmp_path, images):
    """Record batches and partitions of any size have the rows of one run, bit for bit."""
    want = scored(tmp_path, images)
    kept = pa.array([{"id": f"number {i}", "tags": [i]} for i in range(len(images))])
    table = pa.table({"kept": kept, "image": images, "place": range(len(images))})
    own = scorer(column="image", index="place", keep=["kept"])
    with own:
        for cut in ([0, 8, 18], [0, 4, 4, 12, 18]):  # partitions, at the ends of batches
            got = []
            for first, last in itertools.pairwise(cut):
                part = table.slice(first, last - first)
                got += own.map(part.to_batches(max_chunksize=3))
            answers = pa.Table.from_batches(got)
            assert answers.column("kept").to_pylist() == kept.to_pylist()
            assert answers.column_names[:3] == ["index", "path", "kept"]
            assert rows(answers.drop_columns(["kept"])) == rows(want)
        assert own(table.slice(0, 0)).schema == answers.schema
        assert own.schema(table.schema) == answers.schema
        assert own.schema(table.schema.with_metadata({})).metadata == answers.schema.metadata


def test_columns_of_both(images):
    """Bytes with their paths beside them, or as Hugging Face has them."""
    data = [Path(path).read_bytes() if os.path.exists(path) else None for path in images]
    both = [{"bytes": d, "path": p} for d, p in zip(data, images, strict=True)]
    table = pa.table({"content": data, "path": images, "image": both})
    with scorer(column="content", path="path") as own:
        beside = own(table)
    with scorer(column="image") as own:
        within = own(table)
    assert "index" not in beside.column_names
    assert beside.column("path").to_pylist() == images
    assert rows(beside) == rows(within)
    failed = [i for i, row in enumerate(rows(beside)) if row["error"]]
    assert failed == [5, 11]


def test_a_null_struct_is_no_image(images):
    """Whatever lies below it."""
    data = [Path(images[0]).read_bytes()] * 3
    image = pa.StructArray.from_arrays(
        [pa.array(data), pa.array(images[:3])],
        names=["bytes", "path"],
        mask=pa.array([False, True, False]),
    )
    with scorer(column="image") as own:
        got = rows(own(pa.table({"image": image.slice(1)})))
    assert [(row["path"], row["class"] is None) for row in got] == [
        (None, True),
        (images[2], False),
    ]
    assert "expected an image or a path" in got[0]["error"]


@pytest.mark.parametrize(
    ("options", "table", "want"),
    [
        ({"column": "x"}, {"path": ["a"]}, "expected one column 'x', got ['path']"),
        ({}, {"path": [1]}, "expected a column 'path' of paths, of images' bytes"),
        ({"index": "i"}, {"path": ["a"], "i": [None]}, "of integers without null"),
        ({"keep": ["error"]}, {"path": ["a"], "error": ["b"]}, "give the column another name"),
        ({"model": "no/model"}, {"path": ["a"]}, "no/model"),
        ({"flags": ["--topk=x"]}, {"path": ["a"]}, "--topk"),
        ({"program": "no-kerasrun"}, {"path": ["a"]}, "expected the program kerasrun"),
    ],
)
def test_errors(options, table, want):
    own = Scorer(**{"model": MODEL, "program": PROGRAM, **options})
    with pytest.raises(ScoreError) as error:
        own(pa.table(table))
    assert want in str(error.value)


def children(of: int) -> list[int]:
    """The processes that a process has started."""
    tasks = Path(f"/proc/{of}/task").iterdir()
    return [int(n) for task in tasks for n in (task / "children").read_text().split()]


def killing(paths: list[str], pids: list[int]):
    """Yields batches of paths, and kills kerasrun once before the third."""
    for n, first in enumerate(range(0, len(paths), BATCH)):
        if n == 2:
            pids += children(os.getpid())
            os.kill(pids[0], signal.SIGKILL)
        yield pa.record_batch({"path": paths[first : first + BATCH]})


def test_a_killed_process(images):
    pids: list[int] = []
    own = scorer()
    with pytest.raises(ScoreError) as error:
        list(own.map(killing(images, pids)))
    assert "by SIGKILL" in str(error.value)
    assert any(path in str(error.value) for path in images)  # which, is a matter of time
    assert "isolate=True" in str(error.value)
    with own:  # the next is answered by another process
        assert len(own.predict(images[:3])) == 3


def test_a_process_that_is_killed_while_it_waits(images):
    with scorer() as own:
        own.predict(images[:1])
        (pid,) = children(os.getpid())
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # all of its threads have ended
        assert len(own.predict(images[:3])) == 3


def test_an_isolated_process_is_started_again(tmp_path, images):
    want = scored(tmp_path, images)
    pids: list[int] = []
    with scorer(isolate=True) as own:
        got = pa.Table.from_batches(own.map(killing(images, pids)))
    assert rows(got) == rows(want.drop_columns(["index"]))


def test_the_caller_wants_no_more(images):
    with scorer() as own:
        answers = own.map(pa.table({"path": images}).to_batches())
        next(answers)
        answers.close()
        assert [row["path"] for row in rows(own.predict(images[8:10]))] == images[8:10]


def test_it_ends_with_its_worker(images):
    """The worker is killed, and its kerasrun ends. Neither TensorFlow nor Keras is imported."""
    program = f"""
import sys, time
from kerasrun_batch import Scorer
Scorer({MODEL!r}, program={PROGRAM!r}).predict([{images[0]!r}])
assert not {{"tensorflow", "keras"}} & set(sys.modules)
print("ready", flush=True)
time.sleep(100)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools" / "batch")}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment
    ) as worker:
        assert worker.stdout.readline() == b"ready\n"
        (pid,) = children(worker.pid)
        worker.kill()
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists() or "Z" in status(pid):
            return
        time.sleep(0.1)
    pytest.fail(f"process {pid} of kerasrun outlives its worker by 10 seconds")


def status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2]
    except FileNotFoundError:
        return "Z"
