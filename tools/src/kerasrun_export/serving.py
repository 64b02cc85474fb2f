"""The served function of a Keras model, caffe-style images in and named outputs out, and its SavedModel directory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.backend import keras, tf
from tools.graph import Graph, freeze, split
from tools.model import ModelError

# tools.backend comes first: it silences TensorFlow's import.
# isort: split
from tensorflow.core.protobuf import saved_model_pb2, saver_pb2

INPUT = "images"
CAFFE_MEANS = np.array([103.939, 116.779, 123.68])  # of B, G, R, as in keras.applications.imagenet_utils
TORCH_MEANS, TORCH_DEVIATIONS = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # of R, G, B

CONVERSIONS = {
    "caffe": "",
    "none": "channels reversed to RGB, then the channel means added, before the first layer",
    "tf": "channels reversed to RGB, then x * scale + shift per channel from caffe to tf, before the first layer",
    "torch": "channels reversed to RGB, then x * scale + shift per channel from caffe to torch, before the first layer",
}


def from_caffe(images: tf.Tensor, mode: str) -> tf.Tensor:
    """Turns caffe-style images (BGR, means subtracted) into what preprocessing mode `mode` makes of the same picture.

    An exact change of variables: the constants are combined in float64. It has to come before any zero padding, since
    padding with zeros means another colour in each mode.
    """
    if mode == "caffe":
        return images
    scale, shift = np.ones(3), CAFFE_MEANS[::-1]
    if mode == "tf":
        scale, shift = scale / 127.5, shift / 127.5 - 1
    elif mode == "torch":
        scale, shift = scale / 255 / TORCH_DEVIATIONS, (shift / 255 - TORCH_MEANS) / TORCH_DEVIATIONS
    x = tf.reverse(images, [-1], name="from_caffe/rgb")
    if mode != "none":
        x = tf.multiply(x, tf.constant(scale, tf.float32), name="from_caffe/scaled")
    return tf.add(x, tf.constant(shift, tf.float32), name="from_caffe/shifted")


@dataclass(frozen=True)
class Served:
    """A traced model: `function` maps images to a dict of outputs, `signatures` are the outputs of each signature."""

    function: object
    signatures: dict[str, list[str]]
    layers: frozenset[str]
    model: keras.Model

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the literal graph on caffe-style float32 images, (batch, height, width, 3)."""
        return {key: value.numpy() for key, value in self.function(tf.constant(images)).items()}


def trace(model: keras.Model, mode: str, headless: bool) -> Served:
    """Traces a model whose layers expect images of preprocessing mode `mode`.

    Outputs: `probs` and `logits` where the model ends in a softmax or sigmoid, and `features`, what the last dense
    layer takes, in a signature of its own; a model without its top has `features` alone; any other keeps its outputs'
    Keras names.
    """
    names = list(model.output_names)
    signatures: dict[str, list[str]] = {}

    @tf.function(autograph=False)
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        results = tf.nest.flatten(model(from_caffe(images, mode), training=False))
        for name, result in zip(names, results, strict=True):
            if result.dtype != tf.float32:
                raise ModelError(f"output {name} is {result.dtype.name}: expected float32")
        if headless or len(results) > 1:
            outputs = {"features": results[0]} if headless else dict(zip(names, results, strict=True))
            signatures["serving_default"] = sorted(outputs)
            return outputs
        outputs = _classifier(results[0]) or {names[0]: results[0]}
        signatures["serving_default"] = sorted(key for key in outputs if key != "features")
        if "features" in outputs:
            signatures["features"] = ["features"]
        return outputs

    shape = (None, *model.input_shape[1:])
    function = serve.get_concrete_function(tf.TensorSpec(shape, tf.float32, name=INPUT))
    layers = {layer.name for layer in model._flatten_layers()}
    return Served(function, signatures, frozenset(layers - {model.name}), model)


def _classifier(result: tf.Tensor) -> dict[str, tf.Tensor] | None:
    """{probs, logits} of a result that is a softmax or sigmoid, and features where a dense layer makes the logits."""
    probs = _through_identities(result)
    if probs.op.type not in ("Softmax", "Sigmoid") or result.shape.rank != 2:
        return None
    logits = probs.op.inputs[0]
    outputs = {"probs": probs, "logits": logits}
    dense = _through_identities(logits).op
    if dense.type in ("BiasAdd", "AddV2"):
        dense = _through_identities(dense.inputs[0]).op
    if dense.type == "MatMul":
        outputs["features"] = dense.inputs[0]
    return outputs


def _through_identities(tensor: tf.Tensor) -> tf.Tensor:
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor


def frozen(served: Served) -> Graph:
    """The graph of a traced model with constants for variables."""
    names = {key: tensor.name for key, tensor in served.function.structured_outputs.items()}
    return freeze(served.function, names)


def write_rewritten(graph: Graph, signatures: dict[str, list[str]], directory: Path) -> None:
    """Writes a rewritten graph as a SavedModel with its kernels in variables. The same graph gives the same bytes.

    TensorFlow copies what stands in the graph itself half a dozen times before it runs it; of a variable there is one
    copy. The price is for whoever runs the graph as it is: its convolutions prepare a variable's kernel in each run.
    """
    kernels = graph.kernels()
    saved = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta = saved.meta_graphs.add()
    meta.meta_info_def.tags.append(tf.saved_model.SERVING)
    meta.meta_info_def.tensorflow_version = tf.version.VERSION
    meta.meta_info_def.tensorflow_git_version = tf.version.GIT_VERSION
    with tf.Graph().as_default() as served:
        tf.graph_util.import_graph_def(graph.graph_def(frozenset(kernels)), name="")
        for key, outputs in signatures.items():
            inputs = {INPUT: served.get_tensor_by_name(f"{INPUT}:0")}
            results = {
                output: served.get_tensor_by_name(":".join(map(str, split(graph.outputs[output]))))
                for output in outputs
            }
            meta.signature_def[key].CopyFrom(tf.compat.v1.saved_model.predict_signature_def(inputs, results))
        if kernels:
            meta.saver_def.CopyFrom(_saver(served, kernels))
        # With shapes, for readers that infer none: what an operation costs follows from them.
        meta.graph_def.CopyFrom(served.as_graph_def(add_shapes=True))
    directory.mkdir(parents=True, exist_ok=True)
    if kernels:
        (directory / "variables").mkdir()
        tf.raw_ops.SaveV2(
            prefix=str(directory / "variables/variables"),
            tensor_names=kernels,
            shape_and_slices=[""] * len(kernels),
            tensors=[tf.constant(graph.value(name)) for name in kernels],
        )
    (directory / "saved_model.pb").write_bytes(saved.SerializeToString(deterministic=True))


def _saver(graph: tf.Graph, variables: list[str]) -> saver_pb2.SaverDef:
    """Adds operations to the default graph that save and restore its variables, and says which they are."""
    path = tf.compat.v1.placeholder(tf.string, [], "save/path")
    whole = [""] * len(variables)
    reads = [graph.get_tensor_by_name(f"{name}:0") for name in variables]
    save = tf.raw_ops.SaveV2(
        prefix=path, tensor_names=variables, shape_and_slices=whole, tensors=reads, name="save/write"
    )
    with tf.control_dependencies([save]):
        written = tf.identity(path, "save/written")
    values = tf.raw_ops.RestoreV2(
        prefix=path,
        tensor_names=variables,
        shape_and_slices=whole,
        dtypes=[read.dtype for read in reads],
        name="save/read",
    )
    assigned = [
        tf.raw_ops.AssignVariableOp(resource=read.op.inputs[0], value=value, name=f"save/{read.op.name}")
        for read, value in zip(reads, values, strict=True)
    ]
    with tf.control_dependencies(assigned):
        restored = tf.no_op("save/restored")
    return saver_pb2.SaverDef(
        filename_tensor_name=path.name,
        save_tensor_name=written.name,
        restore_op_name=restored.name,
        version=saver_pb2.SaverDef.V2,
    )


def write_reference(served: Served, directory: Path) -> None:
    """Writes the literal graph of a traced model as a SavedModel with variables, each of them once."""
    # Plain tf.Variables by layer and name; tracking the Keras model itself would write each of them twice.
    variables: dict = {}
    for variable in served.model.weights:
        *scopes, name = variable.path.split("/")
        holder = variables
        for scope in scopes:
            holder = holder.setdefault(scope, {})
        holder[name] = variable.value
    module = tf.Module()
    module.layers = variables
    functions = {}
    for key, outputs in served.signatures.items():

        def signature(images: tf.Tensor, outputs: list[str] = outputs) -> dict[str, tf.Tensor]:
            results = served.function(images)
            return {output: results[output] for output in outputs}

        spec = served.function.structured_input_signature[0][0]
        functions[key] = tf.function(signature, autograph=False).get_concrete_function(spec)
    tf.saved_model.save(module, str(directory), signatures=functions)


def run(directory: Path, images: np.ndarray, key: str = "serving_default") -> dict[str, np.ndarray]:
    """Loads a SavedModel directory, as the C API does, and runs one signature on caffe-style float32 images.

    The first image is run alone and the others together, so that a model whose answers depend on what else is in the
    batch differs from its reference: whoever serves it joins and parts batches.
    """
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], str(directory))
        signature = loaded.signature_def[key]
        fetches = {name: info.name for name, info in signature.outputs.items()}
        parts = [part for part in (images[:1], images[1:]) if len(part)]
        results = [session.run(fetches, {signature.inputs[INPUT].name: part}) for part in parts]
        return {name: np.concatenate([result[name] for result in results]) for name in fetches}
