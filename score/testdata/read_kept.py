"""Compares what score kept of a table with the table: read_kept.py TABLE OUTPUT ...

All columns have to be in the documented order, in every format the same.
"""

import json
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

faults = []
KEPT = ["text", "i8", "i64", "u8", "u64", "f32", "f64", "truth", "ms", "us", "ns"]
NAMES = dict(zip([*KEPT, "label", "kind"], [*KEPT, "input_label", "kind"], strict=True))


def read_table(path):
    if path.endswith(".csv"):
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    return pq.read_table(path).to_pandas(types_mapper=pd.ArrowDtype)


def read_output(path):
    """The columns' names, and the kept columns as pandas has the table's."""
    if path.endswith(".jsonl"):
        with open(path) as lines:
            rows = [json.loads(line) for line in lines]
        return list(rows[0]), pd.DataFrame(rows, dtype=object)
    if path.endswith(".csv"):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        return list(frame), frame
    if path.endswith(".npz"):
        arrays = np.load(path)
        one = {name: arrays[name] for name in arrays.files if arrays[name].ndim == 1}
        return arrays.files, pd.DataFrame(one)
    table = pq.read_table(path)
    return table.column_names, table.to_pandas(types_mapper=pd.ArrowDtype)


def text(value, unit):
    """What a kept value is in a text."""
    if isinstance(value, pd.Timestamp):
        zone = "Z" if value.tzinfo else ""
        return value.tz_localize(None).isoformat(timespec=UNITS[unit]) + zone
    return str(value)


UNITS = {"ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


def same(path, name, got, want, unit):
    if path.endswith((".jsonl", ".npz")) and isinstance(want, pd.Timestamp):
        want = text(want, unit)
    if isinstance(want, str):
        return got == want
    if path.endswith(".csv") and isinstance(want, (int, float, bool, np.number, np.bool_)):
        got = type(want)(got) if not isinstance(want, (bool, np.bool_)) else got == "true"
    if pd.isna(want):
        of_text = path.endswith(".csv") or (path.endswith(".npz") and isinstance(got, str))
        return got == "" if of_text else pd.isna(got)
    if path.endswith(".csv"):
        want = text(want, unit)
        got = str(got)
    if isinstance(want, float) and want == 0 and not path.endswith(".jsonl"):
        return got == 0 and np.signbit(got) == np.signbit(want)
    if isinstance(want, np.float32) or name == "f32":
        return np.float32(got) == np.float32(want)
    return got == want


for source, path in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    names, frame = read_output(path)
    table = read_table(source)
    separate = path.rpartition("/")[2].startswith("true")
    classes = ["class", "label", "probability"]
    if path.endswith(".csv") or (separate and not path.endswith(".npz")):
        classes = [f"{name}_{k}" for k in range(3) for name in classes]
    order = ["index", "path", *NAMES.values(), *classes, "error"]
    if names != order:
        faults.append(f"{path}: columns {names}, expected {order}")
    for column, name in NAMES.items():
        if path.endswith(".parquet") and not source.endswith(".csv"):
            types = str(table[column].dtype), str(frame[name].dtype)
            if column in ("text", "label", "kind"):  # Parquet has one type of texts
                types = "string[pyarrow]", types[1]
            if types[0] != types[1]:
                faults.append(f"{path}: {name}: {types[1]}, expected {types[0]}")
        for number, (got, want) in enumerate(zip(frame[name], table[column], strict=True)):
            if not same(path, name, got, want, column):
                faults.append(f"{path}: {name}: row {number}: {got!r}, expected {want!r}")
print("\n".join(faults))
sys.exit(bool(faults))
