"""A job of Spark, run by the Python of an environment with pyspark and kerasrun_batch.

python spark_job.py MASTER TABLE OUT OPTIONS: the rows of a Parquet file are answered by a Scorer of
these options, in JSON, and written as Parquet.
"""

import json
import sys

from pyspark.sql import SparkSession

from kerasrun_batch import Scorer
from kerasrun_batch.spark import score, whole_batches

# Of rows that run together there are many times as many, so that all partitions have some.
PARTITIONS = 16

master, table, out, options = sys.argv[1:]
session = (
    SparkSession.builder.master(master)
    .config("spark.driver.memory", "1g")
    .config("spark.executor.memory", "512m")
    .config("spark.executor.cores", "1")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.adaptive.enabled", "false")  # it would join the small partitions
    .config("spark.sql.execution.arrow.maxRecordsPerBatch", "5")  # not the scorer's
    .getOrCreate()
)
session.sparkContext.setLogLevel("ERROR")
scorer = Scorer(**json.loads(options))
rows = whole_batches(session.read.parquet(table), scorer, PARTITIONS)
score(rows, scorer).write.parquet(out)
session.stop()
