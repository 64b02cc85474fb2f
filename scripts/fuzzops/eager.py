"""Runs tries eagerly, in a process that may die of them."""

import contextlib
import marshal
import math
import random

import numpy as np
from tensorflow.python import pywrap_tfe
from tensorflow.python.eager import context
from tensorflow.python.framework import dtypes, op_def_registry, ops

from . import draw, seeds
from .process import MORE_MEMORY, limit_memory, limit_time

CHUNK = 5000  # tries of one process


class Runner:
    """Makes a try's tensors and runs the operation."""

    def __init__(self, name):
        context.ensure_initialized()
        self.name, self.context = name, context.context()
        self.op = op_def_registry.get(name)
        self.made, self.resources = {}, 0
        self.device, self.function = self.context.device_name, None

    def execute(self, name, inputs, **attrs):
        flat = tuple(part for pair in attrs.items() for part in pair)
        return pywrap_tfe.TFE_Py_Execute(
            self.context._handle, None, name, inputs, flat, 64
        )  # outputs at most

    def run(self, tried):
        inputs = []
        for arg in self.op.input_arg:
            inputs += [self.tensor(t, tried["attrs"]) for t in tried["inputs"][arg.name]]
        # As a function of one node, which is rewritten as graphs are, or by the kernel alone.
        function = tried.get("function", False)
        if function != self.function:
            pywrap_tfe.TFE_ContextSetRunEagerOpAsFunction(self.context._handle, function)
            self.function = function
        return self.execute(self.name, inputs, **tried["attrs"])

    def tensor(self, drawn, attrs):
        dtype, shape, values = drawn
        if isinstance(shape, str):
            size, other, shape = values
            # Mostly of the type that the operation is told.
            told = [attrs[name] for name in TOLD if name in attrs and size != 17]
            make = self.resource if dtype == draw.RESOURCE else self.variant
            return make(size, (told or [other])[0], shape)
        key = marshal.dumps(drawn)
        made = self.made.get(key)
        if made is None:
            if len(self.made) > 1000:
                self.made.clear()
            made = self.new(dtype, shape, values)
            if math.prod(shape) <= draw.MOST_KEPT:
                self.made[key] = made
        return made

    def new(self, dtype, shape, values):
        n = math.prod(shape)
        values = list(values)[: max(n, 1)] or [0]
        if n <= 100:
            values = (values * (n // len(values) + 1))[:n]
        if dtype == draw.STRING:
            array = np.empty(len(values), object)
            array[:] = values
        elif dtype in QUANTISED:
            array = np.array(values, QUANTISED[dtype]).view(dtypes.as_dtype(dtype).as_numpy_dtype)
        else:
            array = np.array(values, NUMPY[dtype])
        if n > 100:
            array = np.resize(array, n)
        return ops.EagerTensor(array.reshape(shape), self.device, dtype)

    def one(self, dtype, shape=()):
        return self.new(dtype, shape, [b"a" if dtype == draw.STRING else 1])

    def number(self, n):
        return self.new(draw.INT32, [], [n])

    def variant(self, size, dtype, shape):
        """A list of tensors, or a ragged one."""
        if self.name.startswith("Ragged"):
            splits = self.new(draw.INT64, [2], [0, 2])
            return self.execute(
                "RaggedTensorToVariant",
                [splits, self.one(dtype, [2])],
                RAGGED_RANK=1,
                Tvalues=dtype,
                batched_input=size > 1,
            )[0]
        sizes = self.number(-1) if shape is None else self.new(draw.INT32, [len(shape)], shape)
        made = self.execute("TensorListReserve", [sizes, self.number(size)], element_dtype=dtype)[0]
        if size > 1:  # one of its elements is there
            inputs = [made, self.number(0), self.one(dtype, shape or [])]
            made = self.execute("TensorListSetItem", inputs, element_dtype=dtype)[0]
        return made

    def resource(self, size, dtype, shape):
        """An array, a table or a variable."""
        self.resources += 1
        name = f"{self.name}-{self.resources}".encode()
        if self.name.startswith("TensorArray"):
            return self.execute(
                "TensorArrayV3",
                [self.number(size)],
                dtype=dtype,
                element_shape=shape,
                dynamic_size=size % 2 == 0,
                clear_after_read=size % 3 == 0,
            )[0]
        if "Table" in self.name:
            types = {"key_dtype": dtype, "value_dtype": draw.INT64}
            made = self.execute("HashTableV2", [], **types, shared_name=name)[0]
            if "Initialize" not in self.name:
                inputs = [made, self.one(dtype, [1]), self.new(draw.INT64, [1], [1])]
                self.execute("InitializeTableV2", inputs)
            return made
        made = self.execute("VarHandleOp", [], dtype=dtype, shape=shape, shared_name=name)[0]
        if size > 0:
            inputs = [made, self.one(dtype, shape or [])]
            self.execute("AssignVariableOp", inputs, dtype=dtype)
        return made


TOLD = ("dtype", "element_dtype", "Tvalues", "Tin", "Tkey")
QUANTISED = {
    dtypes.qint8.as_datatype_enum: np.int8,
    dtypes.quint8.as_datatype_enum: np.uint8,
    dtypes.qint16.as_datatype_enum: np.int16,
    dtypes.quint16.as_datatype_enum: np.uint16,
    dtypes.qint32.as_datatype_enum: np.int32,
}
NUMPY = {enum: kind for enum, kind in dtypes._TF_TO_NP.items() if enum < 100}


def run(name, tries, first, args, board, corpus, large):
    """Runs tries number `first` and on. corpus: the file of what led to new answers. large: whether
    large sizes and numbers are drawn too."""
    np.seterr(all="ignore")
    runner = Runner(name)
    kept = list(read(corpus))
    drawer = draw.Drawer(runner.op, random.Random(f"{args.seed} {name} {first}"), kept)
    drawer.large = large
    limit_memory()
    good = 0
    given = [] if first else seeds.of(name)
    with open(corpus, "ab", buffering=0) as file:
        for i in range(tries):
            tried = given.pop() if given else drawer.draw()
            if not board.begin(i + 1, good, tried):
                continue
            limit_time(args.try_seconds)
            try:
                outputs = runner.run(tried)
                good += 1
                answer = draw.OK + " ".join(kind(o) for o in outputs[:3])
                del outputs
            except draw.Unsupported:
                raise
            except Exception as e:
                answer = type(e).__name__ + draw.kind_of(str(e))
            if drawer.learn(answer, tried):
                file.write(marshal.dumps((answer, tried)))
        board.end(tries, good)


def again(name, tried, args):
    np.seterr(all="ignore")
    runner = Runner(name)
    limit_memory(MORE_MEMORY)
    limit_time(4 * args.try_seconds)
    with contextlib.suppress(Exception):
        runner.run(tried)


def kind(output):
    """An output's type and shape, where a size is 0, 1 or more."""
    return f"{output._datatype_enum()}:{[min(d, 2) for d in output._shape_tuple()]}"


def read(corpus):
    with contextlib.suppress(FileNotFoundError, EOFError, ValueError), open(corpus, "rb") as file:
        while True:
            yield marshal.load(file)
