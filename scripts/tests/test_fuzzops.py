"""The fuzzer of operations: it sees what dies, eagerly and in models that a scan lets pass, and a
sample of what is allowed lives."""

import json
import subprocess
import sys

SAMPLE = ["AddV2", "ConcatV2", "LookupTableFindV2", "MatMul", "ResizeArea", "SparseToDense",
          "StridedSlice", "StringSplitV2", "TensorArrayReadV3"]  # fmt: skip
# It is off the list, for it dies: the control.
DYING = "FakeQuantWithMinMaxVarsPerChannel"


def test_a_sample_lives_and_what_dies_is_seen(tmp_path):
    command = [sys.executable, "-m", "scripts.fuzzops", "--tries", "100", "--seed", "3"]
    done = subprocess.run(
        [*command, "--out", tmp_path, *SAMPLE, DYING, "While"],
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 1, done.stderr[-2000:]
    counts = json.loads((tmp_path / "counts.json").read_text())["operations"]
    for op in SAMPLE:
        assert counts[op]["deaths"] == [], op
        assert counts[op]["tries"] == 100, (op, counts[op])
    assert sum(counts[op]["good"] for op in SAMPLE) > 50, counts
    assert counts[DYING]["deaths"][0]["signal"] == "SIGABRT", counts[DYING]
    assert "passed_over" in counts["While"]
    # A scan that lets the first model pass, which dies then, and refuses the others.
    scan = tmp_path / "scan"
    finding = {"findings": [{"severity": "error", "message": "no"}]}
    seen = f"[ -e {tmp_path}/seen ] || exec touch {tmp_path}/seen"
    scan.write_text(f"#!/bin/sh\n{seen}\necho '{json.dumps(finding)}'\nexit 1\n")
    scan.chmod(0o755)
    replay = [sys.executable, "-m", "scripts.fuzzops.replay", "--each", "1", "--out", tmp_path]
    done = subprocess.run([*replay, "--kerasrun", scan], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr[-2000:]
    assert done.stdout.count("DIES: SIGABRT") == 1, done.stdout
    assert "the scan: no" in done.stdout, done.stdout
