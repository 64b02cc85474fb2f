"""First tries that TensorFlow answers, of operations whose arguments are seldom drawn right: what
is drawn later changes these a little."""

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from .draw import BOOL, COMPLEX64, FLOAT, INT32, INT64, RESOURCE, STRING, VARIANT

QINT8, QINT32, UINT64 = 11, 13, 23


def of(name):
    """The tries of an operation. Inputs are given in its order: a tensor, or a list of them."""
    made = []
    args = op_def_registry.get(name).input_arg
    for attrs, *inputs in SEEDS.get(name, ()):
        pairs = zip(args, inputs, strict=True)
        given = {a.name: i if isinstance(i, list) else [i] for a, i in pairs}
        made.append({"attrs": attrs, "inputs": given})
    return made


def f(*shape, v=(1.0, 0.5, 3.0)):
    return FLOAT, list(shape), list(v)


def i(*values, shape=None, dtype=INT32):
    """A vector, or of another shape; () is a number."""
    return dtype, [len(values)] if shape is None else list(shape), list(values)


def one(value, dtype=INT32):
    return dtype, [], [value]


def long(*values, shape=None):
    return i(*values, shape=shape, dtype=INT64)


def s(*values, shape=None):
    return i(*values, shape=shape, dtype=STRING)


def c(*shape):
    return COMPLEX64, list(shape), [1 + 1j, 2 - 1j, 0j]


IMAGE, CUBE = f(2, 5, 4, 3), f(1, 4, 5, 3, 2)
STEPS, STEPS3 = {"T": FLOAT, "strides": [1, 1, 1, 1]}, {"T": FLOAT, "strides": [1] * 5}
SAME, VALID = {"padding": b"SAME"}, {"padding": b"VALID"}
NORM = (IMAGE, f(3), f(3), f(3), f(3))
MASK = {"begin_mask": 0, "end_mask": 0, "ellipsis_mask": 0, "new_axis_mask": 0}
# A sparse matrix of 2 x 3 with two elements.
AT, SIZES = long(0, 1, 1, 2, shape=(2, 2)), long(2, 3)
SPARSE = (AT, f(2), SIZES)
CROSS = {"N": 1, "hashed_output": True, "num_buckets": 10, "hash_key": 3, "sparse_types": [INT64],
         "dense_types": [INT64], "out_type": INT64, "internal_type": INT64}  # fmt: skip
CROSSED = ([AT], [long(1, 2)], [SIZES], [long(1, 2, 3, 4, shape=(2, 2))])
BOXES = f(3, 4, v=(0.0, 0.0, 1.0, 1.0, 0.5, 0.5, 3.0, 3.0))
KEY = (i(3, 5, dtype=UINT64, shape=(1,)), i(0, 0, dtype=UINT64, shape=(2,)), one(1))
SEED = i(1, 2)
TYPED = {"T": FLOAT}
LIST = (VARIANT, "variant", [2, FLOAT, [2]])
ARRAY = (RESOURCE, "resource", [2, FLOAT, [2]])
FLOW = f(v=(1.0,))
TABLE = (RESOURCE, "resource", [2, STRING, []])


def quantised(*names):
    made = {}
    for n in names:
        made |= {f"{n}quantization_min_val": -128, f"{n}quantization_max_val": 127}
    return made


def q(*shape, dtype=QINT8):
    return dtype, list(shape), [1, 2, -3]


SCALE, ZERO = f(v=(0.5,)), one(0)

FEATURES = tf.train.Features(feature={
    "a": tf.train.Feature(float_list=tf.train.FloatList(value=[1.0, 2.0])),
    "b": tf.train.Feature(int64_list=tf.train.Int64List(value=[3])),
    "c": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"x"])),
})  # fmt: skip
EXAMPLE = tf.train.Example(features=FEATURES).SerializeToString()
SEQUENCE = tf.train.SequenceExample(
    context=FEATURES,
    feature_lists=tf.train.FeatureLists(
        feature_list={"l": tf.train.FeatureList(feature=[FEATURES.feature["a"]] * 2)}
    ),
).SerializeToString()
NO_LIST = {"feature_list_dense_types": [], "feature_list_sparse_types": [],
           "context_sparse_types": [FLOAT], "Tcontext_dense": [INT64],
           "context_dense_shapes": [[1]], "feature_list_dense_shapes": []}  # fmt: skip

SEEDS = {
    "AdjustHue": [(TYPED, IMAGE, one(0.5, FLOAT))],
    "AdjustSaturation": [(TYPED, IMAGE, one(0.5, FLOAT))],
    "AdjustContrastv2": [(TYPED, IMAGE, one(0.5, FLOAT))],
    "BatchToSpace": [({"T": FLOAT, "block_size": 2, "Tidx": INT32}, f(4, 2, 2, 3),
                      i(0, 0, 0, 0, shape=(2, 2)))],
    "BatchToSpaceND": [({"T": FLOAT}, f(4, 2, 2, 3), i(2, 2), i(0, 0, 0, 0, shape=(2, 2)))],
    "SpaceToBatch": [({"T": FLOAT, "block_size": 2}, f(1, 4, 4, 3), i(0, 0, 0, 0, shape=(2, 2)))],
    "SpaceToBatchND": [({"T": FLOAT}, f(1, 4, 4, 3), i(2, 2), i(0, 0, 0, 0, shape=(2, 2)))],
    "BandedTriangularSolve": [(TYPED, f(2, 4), f(4, 3))],
    "CTCBeamSearchDecoder": [({"beam_width": 3, "top_paths": 2, "T": FLOAT}, f(4, 2, 5), i(4, 3))],
    "CTCGreedyDecoder": [({"T": FLOAT}, f(4, 2, 5), i(4, 3))],
    "CombinedNonMaxSuppression": [({}, f(1, 3, 1, 4, v=BOXES[2]), f(1, 3, 2), one(2), one(3),
                                   one(0.5, FLOAT), one(0.0, FLOAT))],
    "Conv2D": [(STEPS | SAME, IMAGE, f(3, 3, 3, 4)), (STEPS | VALID, IMAGE, f(1, 1, 3, 4))],
    "Conv2DBackpropInput": [(STEPS | SAME, i(2, 5, 4, 3), f(3, 3, 3, 4), f(2, 5, 4, 4))],
    "Conv3D": [(STEPS3 | SAME, CUBE, f(3, 3, 3, 2, 4)), (STEPS3 | VALID, CUBE, f(1, 2, 2, 2, 4))],
    "Conv3DBackpropInputV2": [(STEPS3 | SAME, i(1, 4, 5, 3, 2), f(3, 3, 3, 2, 4),
                               f(1, 4, 5, 3, 4))],
    "CropAndResize": [(TYPED, IMAGE, BOXES, i(0, 1, 0), i(2, 3))],
    "DecodeCSV": [({"OUT_TYPE": [FLOAT, STRING]}, s(b"1.5,b", b"2,\"c,d\""),
                   [f(1), s(b"x", shape=(1,))])],
    "DecodeJSONExample": [({}, s(b'{"features":{"feature":{"a":{"floatList":{"value":[1]}}}}}'))],
    "DecodePaddedRaw": [({"out_type": FLOAT}, s(b"abcdefgh", b"abcd"), one(8))],
    "DecodeRaw": [({"out_type": FLOAT}, s(b"abcdefgh", b"ijklmnop"))],
    "DecodeBase64": [({}, s(b"YWJj", b"_-8"))],
    "DepthwiseConv2dNative": [(STEPS | SAME, IMAGE, f(3, 3, 3, 2))],
    "Dilation2D": [({"T": FLOAT, "strides": [1, 1, 1, 1], "rates": [1, 1, 1, 1]} | SAME, IMAGE,
                    f(2, 2, 3))],
    "DrawBoundingBoxes": [(TYPED, IMAGE, f(2, 1, 4, v=(0.0, 0.0, 1.0, 1.0)))],
    "DrawBoundingBoxesV2": [(TYPED, IMAGE, f(2, 1, 4, v=(0.0, 0.0, 1.0, 1.0)), f(1, 4))],
    "DynamicPartition": [({"num_partitions": 2, "T": FLOAT}, f(3, 2), i(0, 1, 0))],
    "DynamicStitch": [({"N": 2, "T": FLOAT}, [i(0, 2), i(1)], [f(2, 3), f(1, 3)])],
    "Einsum": [({"equation": b"ij,jk->ik", "N": 2, "T": FLOAT}, [f(2, 3), f(3, 4)]),
               ({"equation": b"...ii,...jk->...ik", "N": 2, "T": FLOAT}, [f(5, 3, 3), f(5, 2, 4)])],
    "ExtractGlimpse": [({}, IMAGE, i(2, 2), f(2, 2))],
    "ExtractGlimpseV2": [({}, IMAGE, i(2, 2), f(2, 2))],
    "ExtractImagePatches": [({"ksizes": [1, 2, 2, 1], "strides": [1, 1, 1, 1], "T": FLOAT,
                              "rates": [1, 1, 1, 1]} | SAME, IMAGE)],
    "ExtractVolumePatches": [({"ksizes": [1, 2, 2, 2, 1], "strides": [1] * 5, "T": FLOAT} | SAME,
                              CUBE)],
    "Fingerprint": [({"T": FLOAT}, f(2, 3), one(b"farmhash64", STRING)),
                    ({"T": STRING}, s(b"a", b"b"), one(b"farmhash64", STRING))],
    "FusedBatchNorm": [({"T": FLOAT, "is_training": False}, *NORM),
                       ({"T": FLOAT}, IMAGE, f(3), f(3), f(0), f(0))],
    "FusedBatchNormV2": [({"T": FLOAT, "U": FLOAT, "is_training": False}, *NORM),
                         ({"T": FLOAT, "U": FLOAT}, IMAGE, f(3), f(3), f(0), f(0))],
    "FusedBatchNormV3": [({"T": FLOAT, "U": FLOAT, "is_training": False}, *NORM),
                         ({"T": FLOAT, "U": FLOAT}, IMAGE, f(3), f(3), f(0), f(0))],
    "GatherV2": [({"Tparams": FLOAT, "Tindices": INT32, "Taxis": INT32, "batch_dims": 1},
                  f(2, 3, 4), i(0, 2, 1, 1, shape=(2, 2)), one(2))],
    "IRFFT": [({}, c(2, 5), i(8))],
    "IRFFT2D": [({}, c(2, 4, 5), i(4, 8))],
    "IRFFT3D": [({}, c(2, 4, 4, 5), i(4, 4, 8))],
    "RFFT": [({}, f(2, 8), i(8))],
    "RFFT2D": [({}, f(2, 4, 8), i(4, 8))],
    "RFFT3D": [({}, f(2, 4, 4, 8), i(4, 4, 8))],
    "ImageProjectiveTransformV2": [({"dtype": FLOAT, "interpolation": mode}, IMAGE, f(1, 8),
                                    i(3, 3)) for mode in (b"NEAREST", b"BILINEAR")],
    "ImageProjectiveTransformV3": [({"dtype": FLOAT, "interpolation": mode, "fill_mode": fill},
                                    IMAGE, f(2, 8), i(3, 3), one(0.5, FLOAT))
                                   for mode in (b"NEAREST", b"BILINEAR")
                                   for fill in (b"REFLECT", b"WRAP", b"CONSTANT", b"NEAREST")],
    "InitializeTableV2": [({"Tkey": STRING, "Tval": INT64}, TABLE, s(b"a", b"b"), long(1, 2))],
    "LookupTableFindV2": [({"Tin": STRING, "Tout": INT64}, TABLE, s(b"a", b"b"), one(1, INT64))],
    "MatrixDiagV2": [(TYPED, f(2, 3), one(0), one(3), one(4), one(0.0, FLOAT))],
    "MatrixDiagV3": [(TYPED, f(2, 2, 3), i(-1, 0), one(3), one(4), one(0.0, FLOAT))],
    "MatrixDiagPartV2": [(TYPED, f(2, 3, 4), i(-1, 1), one(0.0, FLOAT))],
    "MatrixDiagPartV3": [(TYPED, f(2, 3, 4), i(-1, 1), one(0.0, FLOAT))],
    "MatrixSetDiagV2": [(TYPED, f(2, 3, 4), f(2, 3), one(0))],
    "MatrixSetDiagV3": [(TYPED, f(2, 3, 4), f(2, 2, 3), i(-1, 0))],
    "MaxPool": [({"ksize": [1, 2, 2, 1]} | STEPS | SAME, IMAGE)],
    "AvgPool": [({"ksize": [1, 2, 2, 1]} | STEPS | SAME, IMAGE)],
    "AvgPool3D": [({"ksize": [1, 2, 2, 2, 1]} | STEPS3 | SAME, CUBE)],
    "MaxPool3D": [({"ksize": [1, 2, 2, 2, 1]} | STEPS3 | SAME, CUBE)],
    "MaxPoolV2": [(TYPED | SAME, IMAGE, i(1, 2, 2, 1), i(1, 1, 1, 1))],
    "MaxPoolWithArgmax": [({"ksize": [1, 2, 2, 1]} | STEPS | SAME, IMAGE)],
    "NonMaxSuppression": [({}, BOXES, f(3), one(2))],
    "NonMaxSuppressionV2": [(TYPED, BOXES, f(3), one(2), one(0.5, FLOAT))],
    "NonMaxSuppressionV3": [(TYPED, BOXES, f(3), one(2), one(0.5, FLOAT), one(0.0, FLOAT))],
    "NonMaxSuppressionV4": [(TYPED, BOXES, f(3), one(2), one(0.5, FLOAT), one(0.0, FLOAT))],
    "NonMaxSuppressionV5": [(TYPED, BOXES, f(3), one(2), one(0.5, FLOAT), one(0.0, FLOAT),
                             one(0.5, FLOAT))],
    "NonMaxSuppressionWithOverlaps": [({}, f(3, 3), f(3), one(2), one(0.5, FLOAT),
                                       one(0.0, FLOAT))],
    "ParseExampleV2": [({"Tdense": [INT64], "num_sparse": 1, "sparse_types": [FLOAT],
                         "ragged_value_types": [STRING], "ragged_split_types": [INT64],
                         "dense_shapes": [[1]]}, s(EXAMPLE, EXAMPLE), s(), s(b"a"), s(b"b"),
                        s(b"c"), [long(7)])],
    "ParseSingleExample": [({"num_sparse": 1, "sparse_keys": [b"a"], "dense_keys": [b"b"],
                             "sparse_types": [FLOAT], "Tdense": [INT64], "dense_shapes": [[1]]},
                            one(EXAMPLE, STRING), [long(7)])],
    "ParseSequenceExample": [({"feature_list_dense_missing_assumed_empty": [],
                               "context_sparse_keys": [b"a"], "context_dense_keys": [b"b"],
                               "feature_list_sparse_keys": [b"l"], "feature_list_dense_keys": [],
                               "Ncontext_sparse": 1, "Ncontext_dense": 1,
                               "Nfeature_list_sparse": 1, "Nfeature_list_dense": 0} | NO_LIST
                              | {"feature_list_sparse_types": [FLOAT]},
                              s(SEQUENCE, SEQUENCE), s(), [long(7)])],
    "ParseSequenceExampleV2": [({"Ncontext_sparse": 1, "Nfeature_list_sparse": 0,
                                 "Nfeature_list_dense": 1,
                                 "context_ragged_value_types": [STRING],
                                 "context_ragged_split_types": [INT64],
                                 "feature_list_ragged_value_types": [],
                                 "feature_list_ragged_split_types": []} | NO_LIST
                                | {"feature_list_dense_types": [FLOAT],
                                   "feature_list_dense_shapes": [[2]]},
                                s(SEQUENCE, SEQUENCE), s(), s(b"a"), s(b"b"), s(b"c"), s(),
                                s(b"l"), s(), i(1, dtype=BOOL), [long(7)])],
    "ParseSingleSequenceExample": [({"Ncontext_sparse": 1, "Ncontext_dense": 1,
                                     "Nfeature_list_sparse": 1, "Nfeature_list_dense": 0} | NO_LIST
                                    | {"feature_list_sparse_types": [FLOAT]},
                                    one(SEQUENCE, STRING), s(), [one(b"a", STRING)],
                                    [one(b"b", STRING)], [one(b"l", STRING)], [], [long(7)],
                                    one(b"", STRING))],
    "RaggedBincount": [({"Tidx": INT32, "T": FLOAT}, long(0, 1, 3), i(0, 2, 1), one(4), f(0))],
    "RaggedCross": [({"Nsparse": 0, "input_order": b"R", "hashed_output": False, "num_buckets": 0,
                      "hash_key": 1, "ragged_values_types": [STRING],
                      "ragged_splits_types": [INT64], "sparse_values_types": [], "dense_types": [],
                      "out_values_type": STRING, "out_row_splits_type": INT64},
                     [s(b"a", b"b")], [long(0, 1, 2)], [], [], [], []),
                    ({"Nsparse": 1, "input_order": b"RSD", "hashed_output": True, "num_buckets": 5,
                      "hash_key": 1, "ragged_values_types": [INT64],
                      "ragged_splits_types": [INT64], "sparse_values_types": [INT64],
                      "dense_types": [INT64], "out_values_type": INT64,
                      "out_row_splits_type": INT64},
                     [long(1, 2)], [long(0, 1, 2)], [AT], [long(1, 2)], [SIZES],
                     [long(1, 2, 3, 4, shape=(2, 2))])],
    "RaggedFillEmptyRows": [(TYPED, long(0, 0, 2), f(3), one(4, INT64), one(1.0, FLOAT))],
    "RaggedRange": [({"T": INT32}, i(0, 1), i(3, 4), i(1, 1))],
    "RaggedTensorFromVariant": [({"input_ragged_rank": 1, "output_ragged_rank": 1,
                                  "Tvalues": FLOAT, "Tsplits": INT64},
                                 (VARIANT, "variant", [1, FLOAT, []]))],
    "RaggedTensorToSparse": [({"RAGGED_RANK": 1, "T": FLOAT}, [long(0, 1, 3)], f(3))],
    "RaggedTensorToTensor": [({"T": FLOAT, "Tindex": INT64, "Tshape": INT64,
                               "num_row_partition_tensors": 1, "row_partition_types":
                               [b"ROW_SPLITS"]}, long(2, 3), f(3), one(0.0, FLOAT),
                              [long(0, 1, 3)]),
                             ({"T": FLOAT, "Tindex": INT64, "Tshape": INT64,
                               "num_row_partition_tensors": 2, "row_partition_types":
                               [b"FIRST_DIM_SIZE", b"VALUE_ROWIDS"]}, long(-1, -1), f(3),
                              one(0.0, FLOAT), [one(2, INT64), long(0, 1, 1)])],
    "RaggedTensorToVariant": [({"RAGGED_RANK": 1, "Tvalues": FLOAT, "batched_input": batched},
                               [long(0, 1, 3)], f(3)) for batched in (True, False)],
    "ResizeBicubic": [(TYPED, IMAGE, i(3, 7))],
    "ResizeBilinear": [(TYPED, IMAGE, i(3, 7))],
    "ResizeArea": [(TYPED, IMAGE, i(3, 7))],
    "ResizeNearestNeighbor": [(TYPED, IMAGE, i(3, 7))],
    "ScaleAndTranslate": [({"T": FLOAT, "kernel_type": kind}, IMAGE, i(3, 7), f(2), f(2))
                          for kind in (b"lanczos3", b"gaussian", b"triangle", b"keyscubic")],
    "SparseAdd": [({"T": FLOAT, "Treal": FLOAT}, *SPARSE, *SPARSE, one(0.0, FLOAT))],
    "SparseBincount": [({"Tidx": INT32, "T": FLOAT}, AT, i(1, 2), SIZES, one(4), f(0))],
    "SparseConcat": [({"concat_dim": 0, "N": 2, "T": FLOAT}, [AT, AT], [f(2), f(2)],
                      [SIZES, SIZES])],
    "SparseCross": [(CROSS, *CROSSED)],
    "SparseCrossHashed": [({"N": 1, "sparse_types": [INT64], "dense_types": [INT64]}, *CROSSED,
                           one(10, INT64), one(False, BOOL), long(1, 2))],
    "SparseCrossV2": [({"N": 1, "sparse_types": [STRING], "dense_types": [STRING]}, [AT],
                       [s(b"a", b"b")], [SIZES], [s(b"c", b"d", shape=(2, 1))],
                       one(b"_", STRING))],
    **{op: [(TYPED, *SPARSE, f(2, 3))] for op in (
        "SparseDenseCwiseAdd", "SparseDenseCwiseDiv", "SparseDenseCwiseMul")},
    "SparseFillEmptyRows": [(TYPED, *SPARSE, one(1.0, FLOAT))],
    "SparseReduceMax": [(TYPED, *SPARSE, i(1))],
    "SparseReduceSum": [(TYPED, *SPARSE, i(1))],
    "SparseReorder": [(TYPED, *SPARSE)],
    "SparseReshape": [({}, AT, SIZES, long(3, -1))],
    "SparseSlice": [(TYPED, *SPARSE, long(0, 1), long(2, 2))],
    "SparseSoftmax": [(TYPED, *SPARSE)],
    "SparseSparseMaximum": [(TYPED, *SPARSE, *SPARSE)],
    "SparseSparseMinimum": [(TYPED, *SPARSE, *SPARSE)],
    "SparseSplit": [({"num_split": 2, "T": FLOAT}, one(1, INT64), *SPARSE)],
    "SparseTensorDenseAdd": [({"T": FLOAT, "Tindices": INT64}, *SPARSE, f(2, 3))],
    "SparseTensorDenseMatMul": [({"T": FLOAT}, *SPARSE, f(3, 4))],
    "SparseToDense": [({"T": FLOAT, "Tindices": INT64}, AT, SIZES, f(2), one(0.0, FLOAT))],
    **{op: [(TYPED, f(4, 3), i(0, 2, 3), i(0, 0, 1))] for op in (
        "SparseSegmentMean", "SparseSegmentSqrtN", "SparseSegmentSum")},
    **{op + "WithNumSegments": [(TYPED, f(4, 3), i(0, 2, 3), i(0, 0, 1), one(3))] for op in (
        "SparseSegmentMean", "SparseSegmentSqrtN", "SparseSegmentSum")},
    "StatelessMultinomial": [(TYPED, f(2, 3), one(4), SEED)],
    "StatelessParameterizedTruncatedNormal": [({"S": INT32, "dtype": FLOAT}, i(2, 3), SEED,
                                               *[one(v, FLOAT) for v in (0.0, 1.0, -1.0, 3.0)])],
    "StatelessRandomBinomial": [({"S": INT32, "T": FLOAT, "dtype": INT64}, i(2, 3), SEED,
                                 one(3.0, FLOAT), one(0.5, FLOAT))],
    "StatelessRandomGammaV2": [({"dtype": FLOAT, "T": INT32}, i(2, 3), SEED, one(0.5, FLOAT))],
    "StatelessRandomGammaV3": [({"dtype": FLOAT, "shape_dtype": INT32}, i(2, 3), *KEY,
                                one(0.5, FLOAT))],
    "StatelessRandomPoisson": [({"Rtype": FLOAT, "dtype": FLOAT, "T": INT32}, i(2, 3), SEED,
                                one(0.5, FLOAT))],
    **{op: [({"T": INT32}, i(2, 3), SEED)] for op in (
        "StatelessRandomNormal", "StatelessRandomUniform", "StatelessTruncatedNormal")},
    **{op: [({"Tshape": INT32}, i(2, 3), *KEY)] for op in (
        "StatelessRandomNormalV2", "StatelessRandomUniformV2", "StatelessTruncatedNormalV2",
        "StatelessRandomUniformFullIntV2")},
    "StatelessRandomUniformFullInt": [({"T": INT32, "dtype": UINT64}, i(2, 3), SEED)],
    "StatelessRandomUniformInt": [({"T": INT32, "dtype": INT32}, i(2, 3), SEED, one(0), one(5))],
    "StatelessRandomUniformIntV2": [({"Tshape": INT32, "dtype": INT32}, i(2, 3), *KEY, one(0),
                                     one(5))],
    "StatelessShuffle": [(TYPED, f(4, 3), *KEY)],
    "StridedSlice": [({"T": FLOAT, "Index": INT32, "shrink_axis_mask": 1} | MASK, f(4, 5, 3),
                      i(1, 0, 2), i(3, 5, 0), i(1, 2, -1))],
    "TensorStridedSliceUpdate": [({"T": FLOAT, "Index": INT32, "shrink_axis_mask": 0} | MASK,
                                  f(4, 5), i(1, 0), i(3, 4), i(1, 2), f(2, 2))],
    "StringNGrams": [({"separator": b" ", "ngram_widths": [1, 2], "left_pad": b"<",
                       "right_pad": b">", "pad_width": -1, "preserve_short_sequences": False},
                      s(b"a", b"b", b"c"), long(0, 2, 3))],
    "TensorArrayConcatV3": [({"dtype": FLOAT}, ARRAY, FLOW)],
    "TensorArrayGatherV3": [({"dtype": FLOAT}, ARRAY, i(0, 1), FLOW)],
    "TensorArrayScatterV3": [(TYPED, ARRAY, i(0, 1), f(2, 2), FLOW)],
    "TensorArraySplitV3": [(TYPED, (RESOURCE, "resource", [2, FLOAT, None]), f(3, 2),
                            long(1, 2), FLOW)],
    "TensorArrayWriteV3": [(TYPED, ARRAY, one(1), f(2), FLOW)],
    "TensorListConcatV2": [({"element_dtype": FLOAT, "shape_type": INT32}, LIST, i(2), long(2))],
    "TensorListGather": [({"element_dtype": FLOAT}, LIST, i(0, 1), i(2))],
    "TensorListScatterV2": [({"element_dtype": FLOAT, "shape_type": INT32}, f(2, 3), i(0, 2), i(3),
                             one(4))],
    "TensorListSplit": [({"element_dtype": FLOAT, "shape_type": INT32}, f(3, 2), i(-1, 2),
                         long(1, 2))],
    "TridiagonalSolve": [(TYPED, f(2, 3, 4), f(2, 4, 1))],
    "TridiagonalMatMul": [(TYPED, f(2, 1, 4), f(2, 1, 4), f(2, 1, 4), f(2, 4, 3))],
    "UnicodeDecode": [({"input_encoding": b"UTF-8"}, s(b"a", b"\xc3\xa4b"))],
    "UnicodeEncode": [({"output_encoding": b"UTF-8"}, i(97, 228, 98), long(0, 1, 3))],
    "UnicodeTranscode": [({"input_encoding": b"UTF-8", "output_encoding": b"UTF-16-BE"},
                          s(b"a", b"\xc3\xa4b"))],
    "UniformQuantize": [({"Tin": FLOAT, "Tout": QINT8} | quantised(""), f(2, 3), SCALE, ZERO)],
    "UniformDequantize": [({"Tin": QINT8, "Tout": FLOAT} | quantised(""), q(2, 3), SCALE, ZERO)],
    "UniformRequantize": [({"Tin": QINT8, "Tout": QINT8} | quantised("input_", "output_"),
                           q(2, 3), SCALE, ZERO, SCALE, ZERO)],
    "UniformQuantizedAdd": [({"T": QINT32} | quantised("lhs_", "rhs_", "output_"),
                             q(2, 3, dtype=QINT32), q(3, dtype=QINT32), SCALE, ZERO, SCALE, ZERO,
                             SCALE, ZERO)],
    "UniformQuantizedClipByValue": [({"T": QINT32} | quantised(""), q(2, 3, dtype=QINT32),
                                     q(dtype=QINT32), q(dtype=QINT32), SCALE, ZERO)],
    "UniformQuantizedDot": [({"Tin": QINT8, "Tout": QINT32} | quantised("lhs_", "rhs_", "output_"),
                             q(2, 3), q(3, 4), SCALE, ZERO, SCALE, ZERO, SCALE, ZERO)],
    "UniformQuantizedDotHybrid": [({"Tlhs": FLOAT, "Trhs": QINT8, "Tout": FLOAT}
                                   | quantised("rhs_"), f(2, 3), q(3, 4), SCALE, ZERO)],
    "UniformQuantizedConvolution": [({"Tin": QINT8, "Tout": QINT32}
                                     | quantised("lhs_", "rhs_", "output_") | SAME,
                                     q(2, 3, 5, 4), q(2, 3, 2, 2), SCALE, ZERO, SCALE, ZERO, SCALE,
                                     ZERO)],
    "UniformQuantizedConvolutionHybrid": [({"Tlhs": FLOAT, "Trhs": QINT8, "Tout": FLOAT}
                                           | quantised("rhs_") | SAME, f(2, 3, 5, 4),
                                           q(2, 3, 2, 2), SCALE, ZERO)],
}  # fmt: skip
