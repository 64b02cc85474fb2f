"""What Keras makes of images: the reference of the tests of preprocess.

Reads requests from standard input until it ends and answers each on standard output. A request is a
line of JSON and `bytes` bytes of an image file:

    {"bytes": n}            the image, decoded
    {"bytes": n, "width": w, "height": h, "filter": "bilinear", "fit": "stretch"}
                            and brought to a size
    {..., "mode": "caffe"}  and made a tensor ("none": img_to_array alone)

The answer is a line of JSON, {"width", "height", "bytes"} and so many bytes (uint8, or float32 with
a mode, row-major), or {"error": reason, "bytes": 0}.
"""

import io
import json
import os
import sys
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.simplefilter("ignore")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras.src.utils.image_utils import PIL_INTERPOLATION_METHODS  # noqa: E402
from PIL import Image  # noqa: E402


def center_crop(image, width, height, resample):
    """torchvision's Resize and CenterCrop of a Pillow image (its functional.py), for a resize to
    8/7 of the target.
    """
    w, h = image.size
    short = max(width, height) * 8 // 7
    size = (short, int(short * h / w)) if w <= h else (int(short * w / h), short)
    if size != image.size:
        image = image.resize(size, resample)
    top, left = round((size[1] - height) / 2.0), round((size[0] - width) / 2.0)
    return image.crop((left, top, left + width, top + height))


def load(data, request):
    file = io.BytesIO(data)
    if "width" not in request:
        return keras.utils.load_img(file)
    width, height, name = request["width"], request["height"], request["filter"]
    if request["fit"] == "short_side":
        return center_crop(
            keras.utils.load_img(file), width, height, PIL_INTERPOLATION_METHODS[name]
        )
    keep = request["fit"] == "crop"
    return keras.utils.load_img(
        file, target_size=(height, width), interpolation=name, keep_aspect_ratio=keep
    )


def answer(data, request):
    image = load(data, request)
    if "mode" not in request:
        return image.size, np.asarray(image).tobytes()
    x = keras.utils.img_to_array(image)
    if request["mode"] != "none":
        x = keras.applications.imagenet_utils.preprocess_input(x, mode=request["mode"])
    assert x.dtype == np.float32
    return image.size, x.tobytes()


def main():
    Image.MAX_IMAGE_PIXELS = None  # the limit is not what is compared
    out = sys.stdout.buffer
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        data = sys.stdin.buffer.read(request["bytes"])
        try:
            (width, height), pixels = answer(data, request)
            head = {"width": width, "height": height, "bytes": len(pixels)}
        except Exception as e:
            pixels, head = b"", {"error": f"{type(e).__name__}: {e}", "bytes": 0}
        out.write(json.dumps(head).encode() + b"\n" + pixels)
        out.flush()


if __name__ == "__main__":
    main()
