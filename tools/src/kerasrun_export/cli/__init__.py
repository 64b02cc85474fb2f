"""The commands kerasrun-export and kerasrun-golden.

Importing this package sets up the process of a command: TensorFlow is imported without its start-up
messages and computes on the CPU, where results are compared. A signal ends the process with nothing
left behind. The library itself leaves the process as it is.
"""

import os
import sys

from kerasrun_export.cli import stopping

if stopping.is_command():
    stopping.install()

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off by default on CPUs without VNNI
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

# While it is imported TensorFlow writes past Python and past its own log level.
sys.stderr.flush()
_stderr = os.dup(2)
with open(os.devnull, "wb") as _null:
    os.dup2(_null.fileno(), 2)
try:
    from kerasrun_export.backend import tf
except ImportError as error:
    os.dup2(_stderr, 2)
    sys.exit(f"kerasrun_export: {error}")
finally:
    os.dup2(_stderr, 2)
    os.close(_stderr)

tf.get_logger().setLevel("ERROR")
