"""A job of Ray, run by the Python of an environment with ray and kerasrun_batch.

python ray_job.py local|cluster|killed TABLE OUT OPTIONS: as spark_job.py, on one node, on two, and
on two of which one is killed when it has answered some rows.
"""

import json
import sys
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import ray
from ray.cluster_utils import Cluster

from kerasrun_batch import Scorer

# Of a node's two CPUs an actor has one; the other is for writing.
mode, table, out, options = sys.argv[1:]
options = json.loads(options)
cluster = None
if mode == "local":
    ray.init(num_cpus=4, include_dashboard=False)
else:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    other = cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    ray.init(address=cluster.address)
ray.data.DataContext.get_current().enable_progress_bars = False


def kill_other() -> None:
    """Kills the second node in mid-job."""
    while len(list(Path(out).glob("*.parquet"))) < 3:
        time.sleep(0.05)
    cluster.remove_node(other, allow_graceful=False)
    print("killed a node", flush=True)


if mode == "killed":
    threading.Thread(target=kill_other, daemon=True).start()
whole = pq.read_table(table)
size = options["batch"]
blocks = [whole.slice(first, 2 * size) for first in range(0, whole.num_rows, 2 * size)]
answers = ray.data.from_arrow(blocks).map_batches(
    Scorer,
    fn_constructor_kwargs=options,
    batch_format="pyarrow",
    batch_size=2 * size,
    num_cpus=1,
    concurrency=2,
)
answers.write_parquet(out)
ray.shutdown()
if cluster:
    cluster.shutdown()
