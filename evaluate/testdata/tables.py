"""Writes tables of paths and labels into a directory, and prints their names."""

import datetime
import json
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(sys.argv[1])
FILES = ["a.jpg", "sub/b.jpg", "c d.jpg", str(HERE / "other" / "d.jpg")]
TEXTS = ["cat", "dog", "cat", 'a,"b"\nc']

text = pd.DataFrame({"file": FILES, "class": TEXTS, "more": [0.5, 1.5, 2.5, 3.5]})
text.to_csv(HERE / "text.csv", index=False)
text.to_csv(HERE / "mark.csv", index=False, encoding="utf-8-sig")
text.to_parquet(HERE / "text.parquet")
text.astype({"class": "category"}).to_parquet(HERE / "category.parquet")
pq.write_table(pa.Table.from_pandas(text), HERE / "groups.parquet", row_group_size=3)

integers = text.assign(**{"class": [1, 0, 1, 7]})
integers.to_csv(HERE / "integers.csv", index=False)
integers.to_parquet(HERE / "integers.parquet")

for name, column in {
    "null": ["cat", None, "cat", "dog"],
    "list": [["cat"], ["dog"], ["cat"], ["dog"]],
    "float": [1.0, 0.0, 1.0, 7.0],
    "date": [datetime.date(1970, 1, 2)] * 4,
}.items():
    pq.write_table(pa.table({"file": FILES, "class": column}), HERE / f"{name}.parquet")
text.assign(**{"class": ["cat", None, "cat", "dog"]}).to_csv(HERE / "null.csv", index=False)
text[:0].to_csv(HERE / "none.csv", index=False)
text[:0].astype({"file": str, "class": str}).to_parquet(HERE / "none.parquet")
(HERE / "twice.csv").write_text("file,class,class\na.jpg,cat,dog\n")

print(json.dumps(sorted(path.name for path in HERE.iterdir())))
