"""What the scan of savedmodel/ refuses, whatever the rest of a model is, and what no try is spent
on: replay.py shows of what died that the scan refuses it."""

import math

# The ranks of inputs without which trusted.go refuses an operation: with a known rank TensorFlow
# refuses all others in a graph.
RANKS = {
    "CombinedNonMaxSuppression": {"boxes": 4, "scores": 3},
    "Conv2D": {"input": 4, "filter": 4},
    "Conv2DBackpropInput": {"input_sizes": 1, "filter": 4, "out_backprop": 4},
    "Conv3D": {"input": 5, "filter": 5},
    "Conv3DBackpropInputV2": {"input_sizes": 1, "filter": 5, "out_backprop": 5},
    "DepthwiseConv2dNative": {"input": 4, "filter": 4},
    "MaxPool3D": {"input": 5},
    "ScatterNd": {"shape": 1},
    "TensorListGetItem": {"index": 0},
}
# How many numbers their attributes have, by TensorFlow's own inference of shapes.
SIDES = {"AvgPool": 4, "MaxPool": 4, "AvgPool3D": 5, "MaxPool3D": 5, "Conv2D": 4, "Conv3D": 5,
         "DepthwiseConv2dNative": 4, "Conv2DBackpropInput": 4, "Conv3DBackpropInputV2": 5,
         "MaxPoolWithArgmax": 4}  # fmt: skip
LISTS = ("ksize", "strides", "dilations")
# mostOf of trusted.go.
INT32 = 3
MOST = {"precision": 1024, "width": 1024} | dict.fromkeys(
    ("beam_width", "num", "num_partitions", "num_sparse", "num_split", "top_paths",
     "Ncontext_sparse", "Nfeature_list_dense", "Nfeature_list_sparse"), 1 << 16)  # fmt: skip
HOLLOW = 1 << 24  # no client sends a tensor without elements; a constant is bounded by the scan
LENGTHS = ("RFFT", "RFFT2D", "RFFT3D", "IRFFT", "IRFFT2D", "IRFFT3D")


def refuse(name, tried):
    """Whether the scan, or the inference of shapes in a graph that it lets pass, refuses a try."""
    inputs, attrs = tried["inputs"], tried["attrs"]
    if any(_hollow(t[1]) for ts in inputs.values() for t in ts):
        return True
    for arg, rank in RANKS.get(name, {}).items():
        if any(len(shape) != rank for _, shape, _ in inputs[arg]):
            return True
    if name in LENGTHS:
        return any(not all(_values(t)) for t in inputs["fft_length"])
    if name in ("ResourceGather", "ResourceGatherNd"):  # skips.go
        return any(values[0] == 17 for _, _, values in inputs["resource"])
    if name == "RaggedTensorToTensor":
        types = attrs["row_partition_types"]
        first = inputs["row_partition_tensors"][:1]
        return len(types) != len(inputs["row_partition_tensors"]) or (
            types[:1] == [b"FIRST_DIM_SIZE"] and any(t[1] for t in first)
        )
    if name == "AdjustHue":
        return not all(abs(v) <= 1 for t in inputs["delta"] for v in _values(t))
    if any(attrs.get(a, 0) > most for a, most in MOST.items()):
        return True
    sides = SIDES.get(name)
    if sides and any(len(attrs.get(a, range(sides))) != sides for a in LISTS):
        return True
    if name in ("MaxPool", "MaxPool3D") and attrs["padding"] == b"VALID":  # dividesByZero
        shape, windows, steps = inputs["input"][0][1], attrs["ksize"], attrs["strides"]
        sizes = zip(shape, windows, steps, strict=False)
        return any(size < window and window > step for size, window, step in sizes)
    if name in ("Conv2DBackpropInput", "Conv3DBackpropInputV2"):
        dtype, shape, values = inputs["input_sizes"][0]
        return dtype != INT32 or shape != [SIDES[name]] or min(values[: SIDES[name]], default=0) < 0
    if name == "Conv2D":  # skips.go
        window, strides = inputs["filter"][0][1][:2], attrs.get("strides", [])[1:3]
        return len(strides) == 2 and any(s > w for s, w in zip(strides, window, strict=True))
    return False


def _hollow(shape):
    """Whether a tensor without elements has other sizes of which a client's data would not fit."""
    return not isinstance(shape, str) and 0 in shape and math.prod(d or 1 for d in shape) > HOLLOW


def _values(tensor):
    _, shape, values = tensor
    return values[: math.prod(shape)]
