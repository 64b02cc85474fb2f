"""Scores DataFrames of Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import functions
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import StructType

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from kerasrun_batch.scorer import Scorer


def score(frame: DataFrame, scorer: Scorer) -> DataFrame:
    """Returns the answers to a frame's rows, which keep their order within a partition.

    It opens the model here once, for the columns that the answers have.
    """
    answers = scorer.schema(to_arrow_schema(frame.schema))
    own = pa.schema([field for field in answers if field.name not in scorer.keep])
    types = {field.name: field for field in from_arrow_schema(own)}
    kept = {name: frame.schema[name] for name in scorer.keep}
    schema = StructType([{**types, **kept}[name] for name in answers.names])
    return frame.mapInArrow(lambda batches: scorer.map(batches), schema)


def whole_batches(frame: DataFrame, scorer: Scorer, partitions: int) -> DataFrame:
    """Brings the rows together, by their index, that run together in `kerasrun score`.

    Then the answers have its bits. Without, other images may run beside one, which moves the last
    bits of its numbers on some machines.
    """
    if scorer.index is None:
        raise ValueError("whole_batches: expected a scorer with an index, got one without")
    place = functions.col(scorer.index)
    return frame.repartition(
        partitions, functions.floor(place / scorer.batch)
    ).sortWithinPartitions(place)
