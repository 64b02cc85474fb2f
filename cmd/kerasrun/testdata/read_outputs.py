"""How pyarrow and pandas see files that score wrote: of each pyarrow's types, then pandas's rows, a
line of JSON each.

A CSV file's class_0, class_1, ... become a list in the rows, as the other formats have them.
"""

import json
import sys

import pandas as pd
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet


def read_csv(path: str) -> pd.DataFrame:
    """Integers stay integers beside the empty cells of an image without a result."""
    return pd.read_csv(path, dtype_backend="numpy_nullable")


READERS = {
    "parquet": (pyarrow.parquet.read_schema, pd.read_parquet),
    "csv": (lambda path: pyarrow.csv.read_csv(path).schema, read_csv),
    "jsonl": (
        lambda path: pyarrow.json.read_json(path).schema,
        lambda path: pd.read_json(path, lines=True),
    ),
}

for path in sys.argv[1:]:
    schema, rows = (read(path) for read in READERS[path.rpartition(".")[2]])
    print(json.dumps({field.name: str(field.type).replace(" not null", "") for field in schema}))
    for name in ("class", "label", "probability"):
        parts = [column for column in rows if column.startswith(f"{name}_")]
        if parts:
            lists = rows[parts].values.tolist()
            rows[name] = [None if pd.isna(values[0]) else values for values in lists]
            rows = rows.drop(columns=parts)
    print(rows.to_json(orient="records", double_precision=15))
