"""The files of a directory with their class names, as image_dataset_from_directory has them."""

import json
import os
import sys

from keras.src.utils import dataset_utils, image_dataset_utils

directory = sys.argv[1]
paths, labels, names = dataset_utils.index_directory(
    directory, "inferred", formats=image_dataset_utils.ALLOWLIST_FORMATS, verbose=False
)
pairs = [
    (os.path.relpath(path, directory), names[label])
    for path, label in zip(paths, labels, strict=True)
]
print(json.dumps(pairs))
