"""Writes what source_test.go reads, with the formats' own libraries: TFRecords, a WebDataset shard,
a column of paths.

Run from the repository's root. The "images" are short texts: no decoder sees them.
"""

import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

HERE = Path(__file__).parent


def example(**features: bytes) -> bytes:
    feature = {
        key.replace("__", "/"): tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for key, value in features.items()
    }
    feature["image/class/label"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[7]))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


with tf.io.TFRecordWriter(str(HERE / "images.tfrecord")) as writer:
    # As ImageNet's records
    writer.write(example(image__encoded=b"first", image__filename=b"n01440764_1.JPEG"))
    writer.write(example(image=b"second", file_name=b"b.jpg"))  # as TensorFlow Datasets'
    writer.write(example(image__encoded=b"third"))
    writer.write(example(text=b"no image"))
    writer.write(b"\xff\xff")

with tarfile.open(
    HERE / "shard-000000.tar.gz", "w:gz"
) as shard:  # WebDataset: files of one sample share a key
    for name, data in {
        "0001.jpg": b"first",
        "0001.cls": b"7",
        "0002.PNG": b"second",
        "0002.json": b"{}",
    }.items():
        info = tarfile.TarInfo(name)
        info.size = len(data)
        shard.addfile(info, io.BytesIO(data))

paths = {"id": [1, 2, 3], "path": ["a.jpg", "sub/b.png", "/absolute/c.jpg"]}
pq.write_table(pa.table(paths), HERE / "paths.parquet", row_group_size=2)
