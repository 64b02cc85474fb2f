"""How pandas and pyarrow see a file that score wrote: the schema's types, then the rows as JSON."""

import json
import sys

import pandas as pd
import pyarrow.parquet as pq

schema = pq.read_schema(sys.argv[1])
print(json.dumps({field.name: str(field.type).replace(" not null", "") for field in schema}))
print(pd.read_parquet(sys.argv[1]).to_json(orient="records", double_precision=15))
