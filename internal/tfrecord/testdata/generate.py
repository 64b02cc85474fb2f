"""Writes records.tfrecord with TensorFlow: an empty record, a short one and one of 5,000 bytes.

Run from the repository's root.
"""

from pathlib import Path

import tensorflow as tf

with tf.io.TFRecordWriter(str(Path(__file__).with_name("records.tfrecord"))) as writer:
    for record in (b"", b"kerasrun", bytes(5_000)):
        writer.write(record)
