"""Scores images by `kerasrun score` from Spark, Ray and pandas.

    from kerasrun_batch import Scorer

    scorer = Scorer("models/mine", flags=["--topk=3"])
    scorer.predict(["a.jpg", "b.jpg"]).to_pandas()

`kerasrun_batch.spark.score` answers a DataFrame of Spark; Ray's `map_batches` takes `Scorer`.
"""

from kerasrun_batch.process import ScoreError
from kerasrun_batch.scorer import Scorer

__version__ = "0.1.0"
__all__ = ["ScoreError", "Scorer", "__version__"]
