"""Writes SavedModel directories, of a rewritten graph or of the literal one, and runs them."""

from pathlib import Path

import numpy as np
from tensorflow.core.protobuf import saved_model_pb2, saver_pb2

from kerasrun_export.backend import tf
from kerasrun_export.graph import Graph, split
from kerasrun_export.serving import INPUT, Served


def write_rewritten(graph: Graph, signatures: dict[str, list[str]], directory: Path) -> None:
    """Writes a rewritten graph as a SavedModel with its kernels in variables.

    TensorFlow copies what stands in the graph itself half a dozen times before it runs it; of a
    variable there is one copy. The price is for whoever runs the graph as it is: its convolutions
    prepare a variable's kernel in each run.
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
            meta.signature_def[key].CopyFrom(
                tf.compat.v1.saved_model.predict_signature_def(inputs, results)
            )
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
    """Adds operations that save and restore the default graph's variables."""
    path = tf.compat.v1.placeholder(tf.string, [], "save/path")
    whole = [""] * len(variables)
    reads = [graph.get_tensor_by_name(f"{name}:0") for name in variables]
    save = tf.raw_ops.SaveV2(
        prefix=path,
        tensor_names=variables,
        shape_and_slices=whole,
        tensors=reads,
        name="save/write",
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
        tf.raw_ops.AssignVariableOp(
            resource=read.op.inputs[0], value=value, name=f"save/{read.op.name}"
        )
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
    """Writes the literal graph of a traced model as a SavedModel with variables."""
    # Plain tf.Variables by layer and name; tracking the Keras model itself would write each of them
    # twice.
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
    """Loads a SavedModel directory, as the C API does, and runs a signature on caffe-style images.

    The first image is run alone and the others together, so that a model whose answers depend on
    what else is in the batch differs from its reference: whoever serves it joins and parts batches.
    """
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], str(directory))
        signature = loaded.signature_def[key]
        fetches = {name: info.name for name, info in signature.outputs.items()}
        parts = [part for part in (images[:1], images[1:]) if len(part)]
        results = [session.run(fetches, {signature.inputs[INPUT].name: part}) for part in parts]
        return {name: np.concatenate([result[name] for result in results]) for name in fetches}
