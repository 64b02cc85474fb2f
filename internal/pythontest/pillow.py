"""What Pillow makes of the files on standard input: pillow.py FORMAT MODE.

All numbers in the streams are little-endian int32. A file is its length and its bytes. A decoded
image is its width and height and its bytes; a file that Pillow refuses is -1, the length of
the reason and the reason.
"""

import io
import struct
import sys
import warnings

from PIL import Image


def main(kind, mode, src, dst):
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None
    while head := src.read(4):
        data = src.read(struct.unpack("<i", head)[0])
        try:
            image = Image.open(io.BytesIO(data), formats=[kind]).convert(mode)
        except Exception as error:  # whatever a caller would get
            reason = f"{type(error).__name__}: {error}".encode()
            dst.write(struct.pack("<ii", -1, len(reason)) + reason)
        else:
            dst.write(struct.pack("<ii", *image.size) + image.tobytes())
        dst.flush()


main(sys.argv[1], sys.argv[2], sys.stdin.buffer, sys.stdout.buffer)
