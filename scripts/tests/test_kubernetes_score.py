"""The commands of deploy/kubernetes-score.yaml, as its pods run them, make the bytes of one run."""

import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def command_of(job: dict, work: Path) -> list[str]:
    """A job's command, with this machine's places."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    places = {
        "/opt/kerasrun/bin": str(ROOT / "bin"),
        "/opt/kerasrun/models/resnext50": str(ROOT / "models/resnext50-32"),
        "/data": str(work),
    }
    pattern = "|".join(re.escape(place) for place in places)
    return [re.sub(pattern, lambda m: places[m[0]], word) for word in container["command"]]


def test_the_parts_are_merged_to_one_run(tmp_path):
    documents = yaml.safe_load_all((ROOT / "deploy/kubernetes-score.yaml").read_text())
    _, score, merge = documents
    work, whole = tmp_path / "work", tmp_path / "whole.parquet"
    (work / "photos").mkdir(parents=True)
    photos = sorted((ROOT / "testdata/photos").glob("*.jpg"))
    for i, photo in zip(range(130), itertools.cycle(photos), strict=False):
        shutil.copy(photo, work / "photos" / f"{i:03d}.jpg")
    (work / "photos" / "bad.jpg").write_bytes(b"no image")  # a part ends with status 3

    assert score["spec"]["completionMode"] == "Indexed"
    parts = score["spec"]["completions"]
    for part in range(parts):
        environment = {**os.environ, "JOB_COMPLETION_INDEX": str(part)}
        subprocess.run(command_of(score, work), env=environment, check=True)
    subprocess.run(command_of(merge, work), check=True)
    assert len(list(work.glob("scores-*.parquet"))) == parts

    own = [ROOT / "bin/kerasrun", "score", "--quiet", f"--model={ROOT / 'models/resnext50-32'}"]
    done = subprocess.run([*own, f"--output={whole}", work / "photos"], check=False)
    assert done.returncode == 3
    assert (work / "scores.parquet").read_bytes() == whole.read_bytes()


def test_a_failed_run_fails(tmp_path):
    """Another status than 3 is the pod's."""
    documents = yaml.safe_load_all((ROOT / "deploy/kubernetes-score.yaml").read_text())
    _, score, _ = documents
    environment = {**os.environ, "JOB_COMPLETION_INDEX": "9"}  # no part of 4
    done = subprocess.run(command_of(score, tmp_path), env=environment, check=False)
    assert done.returncode not in (0, 3)
