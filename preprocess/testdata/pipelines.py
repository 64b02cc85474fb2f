"""What the Python libraries make of images: the reference of the tests of whole pipelines.

Reads requests from standard input until it ends and answers each on standard output. A request is a
line of JSON, {"input": an input of a manifest, "bytes": n}, and so many bytes of an image file. The
answer is a line of JSON and the bytes of three arrays, row-major:

    {"decoded": [dtype, shape], "resized": [dtype, shape], "tensor": [dtype, shape]}

or {"error": reason} alone.
"""

import json
import os
import sys
import warnings
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
warnings.simplefilter("ignore")
sys.path.insert(0, str(Path(__file__).parents[2] / "tools" / "src"))

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from kerasrun_export import contract, images  # noqa: E402


def main():
    Image.MAX_IMAGE_PIXELS = None  # the limit is not what is compared
    out = sys.stdout.buffer
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        data = sys.stdin.buffer.read(request["bytes"])
        try:
            made = images.stages(contract.input_from_json(request["input"]), data)
            arrays = {"decoded": made.decoded, "resized": made.resized, "tensor": made.tensor}
        except Exception as error:
            out.write(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode() + b"\n")
        else:
            head = {name: [str(a.dtype), list(a.shape)] for name, a in arrays.items()}
            out.write(json.dumps(head).encode() + b"\n")
            for array in arrays.values():
                out.write(np.ascontiguousarray(array).tobytes())
        out.flush()


if __name__ == "__main__":
    main()
