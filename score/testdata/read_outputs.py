"""Reads files that score wrote, and compares each output's arrays with those on standard input.

{"files": [path], "outputs": {name: {"DType", "Shape", "Rows": [nested lists, or null]}}}
"""

import json
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet

spec = json.load(sys.stdin)
faults = []


def array(row, output):
    """An image's row as the model gives it; float16 is written as float32."""
    dtype = {"float16": "float32"}.get(output["DType"], output["DType"])
    return np.array(row, dtype).reshape(output["Shape"])


def same(path, name, number, got, want):
    if got.dtype != want.dtype or got.shape != want.shape or not np.array_equal(got, want):
        faults.append(f"{path}: {name}: row {number}: {got!r}, expected {want!r}")


def read_jsonl(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines]


def check_rows(path, rows):
    for name, output in spec["outputs"].items():
        for number, (row, want) in enumerate(zip(rows, output["Rows"], strict=True)):
            if want is None:
                if row[name] is not None or not row["error"]:
                    faults.append(f"{path}: row {number}: expected an error, got {row}")
                continue
            same(path, name, number, array(row[name], output), array(want, output))


def check_parquet(path):
    table = pyarrow.parquet.read_table(path)
    meta = json.loads(table.schema.metadata[b"kerasrun.outputs"])
    for said in meta:
        output = spec["outputs"][said["name"]]
        dtype = {"float16": "float32"}.get(output["DType"], output["DType"])
        if said["shape"] != output["Shape"] or said["dtype"] != dtype:
            faults.append(f"{path}: metadata: {said}")
        kind = table.schema.field(said["name"]).type
        kind = kind.value_type if output["Shape"] else kind
        if kind.to_pandas_dtype() != np.dtype(dtype).type:
            faults.append(f"{path}: {said['name']}: {kind}, expected {dtype}")
    check_rows(path, table.to_pylist())


def check_npz(path):
    arrays = np.load(path)
    errors = arrays["error"].tolist()
    for name, output in spec["outputs"].items():
        got = arrays[name]
        for number, want in enumerate(output["Rows"]):
            if want is not None:
                same(path, name, number, got[number], array(want, output))
            elif not errors[number] or (got.dtype.kind == "f" and not np.isnan(got[number]).all()):
                faults.append(f"{path}: {name}: row {number}: expected NaN, got {got[number]}")
    if arrays["index"].tolist() != list(range(len(errors))) or arrays["class"].ndim != 2:
        faults.append(f"{path}: index {arrays['index']}, class {arrays['class']}")
    if not arrays["path"][0].endswith("0.bmp"):
        faults.append(f"{path}: path {arrays['path']}")


def check_csv(path):
    table = pd.read_csv(path, dtype_backend="numpy_nullable")
    for name, output in spec["outputs"].items():
        if len(output["Shape"]) > 1:
            continue
        columns = [f"{name}_{i}" for i in range(*output["Shape"])] if output["Shape"] else [name]
        for number, want in enumerate(output["Rows"]):
            row = table.loc[number, columns]
            if want is None:
                if not row.isna().all():
                    faults.append(f"{path}: {name}: row {number}: {row}")
                continue
            same(path, name, number, array(row.to_list(), output), array(want, output))


for path in spec["files"]:
    kind = path.rpartition(".")[2]
    if kind == "jsonl":
        check_rows(path, read_jsonl(path))
    else:
        {"parquet": check_parquet, "npz": check_npz, "csv": check_csv}[kind](path)
print("\n".join(faults))
sys.exit(bool(faults))
