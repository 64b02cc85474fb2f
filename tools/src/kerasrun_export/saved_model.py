"""Writes SavedModel directories, of a rewritten graph or of the literal one, and runs them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tensorflow.core.protobuf import saved_model_pb2, saver_pb2

from kerasrun_export.backend import keras, tf
from kerasrun_export.graph import Graph, split
from kerasrun_export.serving import Served
from kerasrun_export.signature import in_batches


def write_rewritten(graph: Graph, served: Served, directory: Path, *, frozen: bool = False) -> None:
    """Writes a rewritten graph as a SavedModel with its kernels in variables.

    frozen: with none.

    TensorFlow copies what stands in the graph itself half a dozen times before it runs it; of a
    variable there is one copy. The price is for whoever runs the graph as it is: its convolutions
    prepare a variable's kernel in each run.
    """
    kernels = [] if frozen else graph.kernels()
    saved = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta = saved.meta_graphs.add()
    meta.meta_info_def.tags.append(tf.saved_model.SERVING)
    meta.meta_info_def.tensorflow_version = tf.version.VERSION
    meta.meta_info_def.tensorflow_git_version = tf.version.GIT_VERSION
    with tf.Graph().as_default() as written:
        tf.graph_util.import_graph_def(graph.graph_def(frozenset(kernels)), name="")
        inputs = {spec.name: written.get_tensor_by_name(f"{spec.name}:0") for spec in served.inputs}
        for key, outputs in served.signatures.items():
            results = {
                output: written.get_tensor_by_name(":".join(map(str, split(graph.outputs[output]))))
                for output in outputs
            }
            meta.signature_def[key].CopyFrom(
                tf.compat.v1.saved_model.predict_signature_def(inputs, results)
            )
        if kernels:
            meta.saver_def.CopyFrom(_saver(written, kernels))
        # With shapes, for readers that infer none: what an operation costs follows from them.
        meta.graph_def.CopyFrom(written.as_graph_def(add_shapes=True))
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
    for path, variable in _variables(served.model).items():
        *scopes, name = path.split("/")
        holder = variables
        for scope in scopes:
            holder = holder.setdefault(scope, {})
        holder[name] = variable
    module = tf.Module()
    module.layers = variables
    functions = {}
    _, specs = served.function.structured_input_signature
    for key, outputs in served.signatures.items():

        def signature(outputs: list[str] = outputs, **tensors: tf.Tensor) -> dict[str, tf.Tensor]:
            results = served.function(**tensors)
            return {output: results[output] for output in outputs}

        function = tf.function(signature, autograph=False)
        functions[key] = function.get_concrete_function(**specs)
    tf.saved_model.save(module, str(directory), signatures=functions)


def _variables(model: keras.Model) -> dict[str, tf.Variable]:
    """The variables by their paths, of which a subclassed model may have one twice."""
    named: dict[str, tf.Variable] = {}
    for weight in model.weights:
        if isinstance(weight, tf.Variable):  # tf_keras
            path, variable = weight.name.removesuffix(":0"), weight
        else:
            path, variable = weight.path, weight.value
        free, i = path, 1
        while free in named:
            free, i = f"{path}_{i}", i + 1
        named[free] = variable
    return named


def run(
    directory: Path,
    tensors: np.ndarray | Mapping[str, np.ndarray],
    key: str = "serving_default",
    tags: Sequence[str] = (tf.saved_model.SERVING,),
) -> dict[str, np.ndarray]:
    """Loads a SavedModel directory, as the C API does, and runs a signature.

    tensors: a batch of each input by name; an array where there is one input.

    The first row is run alone and the others together, so that a model whose answers depend on
    what else is in the batch differs from its reference: whoever serves it joins and parts batches.
    Where the signature's batch is fixed, they are run in batches of that size.
    """
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, list(tags), str(directory))
        signature = loaded.signature_def[key]
        if not isinstance(tensors, Mapping):
            tensors = {name: tensors for name in signature.inputs}
        fetches = {name: info.name for name, info in signature.outputs.items()}
        shapes = [[d.size for d in i.tensor_shape.dim] for i in signature.inputs.values()]

        def once(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return session.run(fetches, {signature.inputs[n].name: x for n, x in batch.items()})

        parts = [slice(0, 1), slice(1, None)]
        results = [
            in_batches(once, {name: x[part] for name, x in tensors.items()}, shapes)
            for part in parts[: len(next(iter(tensors.values())))]
        ]
        return {name: np.concatenate([result[name] for result in results]) for name in fetches}
