"""Draws an operation's arguments, as plain data that can be written down and made again.

A try is {"attrs": {name: value}, "inputs": {name: [tensor, ...]}, "function": whether it runs in
a function of its own}. A tensor is (type number, shape,
the first values; they are repeated to fill it), with a text for a shape where it is a list, an
array or another resource. What led to a new answer is kept, and most tries change one of those a
little: so they get past the checks that an operation makes first.
"""

import marshal
import math
import random
import re

from . import rules

MOST_ELEMENTS = [100, 100, 2000]  # of a try's tensors
WIDE = 0.03  # of the tries may have large tensors, sizes and numbers too
FUNCTIONS = 0.15  # of the tries run as functions, which takes longer
MOST_WIDE = 200_000
MOST_KEPT = 2000  # elements of a try's tensors that is kept, so that most tries take little time
MOST_VALUES = 24
KEPT = 300  # of those that were answered, and of those that were refused
SIZES = [0, 1, 1, 2, 2, 3, 4, 5, 8, 17, 64]
LARGE = [255, 4096, 30_000, 65_536]
SMALL_NUMBERS = [0, 0, 1, 1, 2, 3, 4, 7, 8, -1, -2]
WIDE_NUMBERS = [100, 4096, 30_000, 65_536]  # a size of these takes time
EXTREMES = [
    *SMALL_NUMBERS,
    100,
    2**31 - 1,
    -(2**31),
    2**40,
    2**63 - 1,
    -(2**63),
]
FLOATS = [0.0, 1.0, -1.0, 0.5, 3.0, 1e-30, 255.0, 1e10, 1e38]
ODD_FLOATS = [float("nan"), float("inf"), float("-inf"), -1e38]
TEXTS = [b"", b"a", b"1.5", b"\xff", b"a,b", b"\xe2\x82", b"a b  c", b"0", b"-1", b"a" * 300]
WORDS = [
    b"",
    b"a",
    b"UTF-8",
    b"ij,jk->ik",
    b"...ij,...jk->...ik",
    b"ii->i",
    b"(a+)b",
    b"%s {}",
    b"\xff",
]

FLOAT, DOUBLE, INT32, UINT8, INT16, INT8, STRING, COMPLEX64, INT64, BOOL = range(1, 11)
QUANTISED = range(11, 17)
HALF, RESOURCE, VARIANT = 19, 20, 21
UNSIGNED = {4: 8, 12: 8, 16: 16, 17: 16, 22: 32, 23: 64}
SIGNED = {3: 32, 5: 16, 6: 8, 9: 64, 11: 8, 13: 32, 15: 16}
USUAL = [FLOAT, FLOAT, FLOAT, INT32, INT64, DOUBLE, STRING, BOOL, HALF, UINT8]


class Unsupported(Exception):
    """An operation whose arguments are not made here."""


class Drawer:
    """Draws tries of one operation, and learns which of them led somewhere."""

    def __init__(self, op, rng: random.Random, kept=()):
        self.op, self.rng = op, rng
        self.answered, self.refused = [], []
        self.answers = set()
        self.large = True
        for answer, made in kept:
            self.learn(answer, made)

    def draw(self):
        """Draws a try, and another one in place of most that the scan would refuse."""
        for _ in range(20):
            made = self.one()
            made["function"] = self.rng.random() < FUNCTIONS
            if not rules.refuse(self.op.name, made):
                break
        return made

    def one(self):
        rng = self.rng
        self.wide = self.large and rng.random() < WIDE
        self.most = MOST_WIDE if self.wide else rng.choice(MOST_ELEMENTS)
        what = rng.random()
        kept = self.answered if what < 0.75 else self.refused if what < 0.88 else ()
        if not kept:
            return self.fresh()
        newest = kept[-6:] if rng.random() < 0.25 else kept
        made = marshal.loads(rng.choice(newest))
        for _ in range(rng.choice([1, 1, 1, 2, 2, 4])):
            self.change(made)
        return made

    def learn(self, answer, made):
        """Keeps a try that got a new answer; returns whether it did."""
        kept = self.answered if answer.startswith(OK) else self.refused
        if answer in self.answers or len(kept) >= KEPT or elements(made) > MOST_KEPT:
            return False
        self.answers.add(answer)
        kept.append(marshal.dumps(made))
        return True

    def fresh(self):
        rng = self.rng
        self.dims = [rng.choice(SIZES) for _ in range(3)]
        self.shapes = [self.shape() for _ in range(2)]
        self.small = rng.random() < 0.75
        attrs = {a.name: self.attr(a) for a in self.op.attr}
        inputs = {arg.name: self.input(arg, attrs) for arg in self.op.input_arg}
        # What has a default is left at it half of the time.
        given = {
            a.name: attrs[a.name]
            for a in self.op.attr
            if self.inferred(a.name) or not a.HasField("default_value") or rng.random() < 0.5
        }
        return {"attrs": given, "inputs": inputs}

    def change(self, made):
        rng = self.rng
        inputs = [ts for ts in made["inputs"].values() if ts]
        self.shapes = [t[1] for ts in inputs for t in ts if not isinstance(t[1], str)] or [[]]
        self.dims = [d for s in self.shapes for d in s if d < 4096] or [1]
        self.small = rng.random() < 0.75
        free = [a for a in self.op.attr if not self.inferred(a.name)]
        tied = [a for a in self.op.attr if self.inferred(a.name)]
        what = rng.random()
        if not inputs or (free and what < 0.25):
            if free:
                a = rng.choice(free)
                made["attrs"][a.name] = self.attr(a, made["attrs"].get(a.name))
        elif tied and what < 0.32:
            a = rng.choice(tied)
            made["attrs"][a.name] = self.attr(a)
            for arg in self.op.input_arg:
                if a.name in (arg.type_attr, arg.number_attr, arg.type_list_attr):
                    made["inputs"][arg.name] = self.input(
                        arg, made["attrs"], made["inputs"].get(arg.name)
                    )
        elif what < 0.42:
            # One size wherever it is, as a client changes an image's.
            old, new = rng.choice(self.dims), self.size()
            for ts in inputs:
                for i, (dtype, shape, values) in enumerate(ts):
                    if not isinstance(shape, str):
                        ts[i] = (
                            dtype,
                            self.bounded([new if d == old else d for d in shape]),
                            values,
                        )
        else:
            ts = rng.choice(inputs)
            i = rng.randrange(len(ts))
            dtype, shape, values = ts[i]
            if isinstance(shape, str) or what > 0.95:
                ts[i] = self.tensor(dtype)
            elif what < 0.7:
                ts[i] = (dtype, self.reshape(list(shape)), values or self.values(dtype, 1))
            else:
                ts[i] = (dtype, shape, self.revalue(dtype, list(values)))

    def reshape(self, shape):
        rng, what = self.rng, self.rng.random()
        if what < 0.25:
            return list(rng.choice(self.shapes))
        if what < 0.35 or not shape:
            shape.insert(rng.randint(0, len(shape)), self.size())
        elif what < 0.5:
            del shape[rng.randrange(len(shape))]
        elif what < 0.6:
            return self.shape()
        else:
            shape[rng.randrange(len(shape))] = self.size()
        return self.bounded(shape[:9])

    def size(self):
        rng = self.rng
        if rng.random() < 0.4:
            return max(rng.choice(self.dims) + rng.choice([0, 0, 1, -1]), 0)
        if self.wide and rng.random() < 0.3:
            return rng.choice(LARGE)
        return rng.choice(SIZES)

    def revalue(self, dtype, values):
        if len(values) < 2 or self.rng.random() < 0.3:
            return self.values(dtype, self.rng.choice([1, len(values) or 1, 4, MOST_VALUES]))
        values[self.rng.randrange(len(values))] = self.values(dtype, 1)[0]
        return values

    def input(self, arg, attrs, before=None):
        if arg.is_ref:
            raise Unsupported("a reference")
        if arg.type_list_attr:
            dtypes = self.told(attrs, arg.type_list_attr)
        else:
            dtypes = [arg.type or self.told(attrs, arg.type_attr)] * (
                self.told(attrs, arg.number_attr) if arg.number_attr else 1
            )
        before = before or []
        made = []
        for i, dtype in enumerate(dtypes):
            old = before[i] if i < len(before) else None
            if old and not isinstance(old[1], str) and dtype not in (RESOURCE, VARIANT):
                made.append((dtype, old[1], self.values(dtype, 4)))
            else:
                made.append(self.tensor(dtype))
        return made

    def told(self, attrs, name):
        """An attribute of a try, or what it is by default."""
        default = next(a for a in self.op.attr if a.name == name).default_value
        return attrs.get(name, default.type or default.i)

    def inferred(self, name):
        return any(
            name in (a.type_attr, a.number_attr, a.type_list_attr) for a in self.op.input_arg
        )

    def attr(self, attr, old=None):
        rng = self.rng
        allowed = attr.allowed_values.list
        match attr.type:
            case "type":
                types = list(allowed.type) or USUAL
                usual = [t for t in types if t in USUAL]
                return rng.choice(usual if usual and rng.random() < 0.7 else types)
            case "list(type)":
                types = list(allowed.type) or [FLOAT, INT32, INT64, STRING]
                return [rng.choice(types) for _ in range(max(rng.randrange(4), attr.minimum))]
            case "int":
                if self.inferred(attr.name):
                    return max(attr.minimum, rng.choice([1, 1, 2, 2, 3, 5]))
                n = self.number()
                return max(n, attr.minimum) if attr.has_minimum and rng.random() < 0.95 else n
            case "list(int)":
                if old and rng.random() < 0.7:
                    old[rng.randrange(len(old))] = self.number32()
                    return old
                low = 1 if attr.name in ("ksize", "strides", "rates", "dilations") else 0
                if rng.random() < 0.6:
                    n = rng.choice([4, 4, 5])
                    if rng.random() < 0.7:
                        return [1, *(rng.choice([low, 1, 1, 2, 3]) for _ in range(n - 2)), 1]
                    return [1, *(self.number32() for _ in range(n - 2)), 1]
                return [self.number32() for _ in range(rng.choice([0, 1, 2, 3, 4, 8, 10]))]
            case "float":
                return rng.choice(FLOATS if self.small else FLOATS + ODD_FLOATS)
            case "bool":
                return rng.random() < 0.5
            case "string":
                return rng.choice(list(allowed.s) or WORDS)
            case "shape":
                return rng.choice([None, self.shape(), [-1 if d > 2 else d for d in self.shape()]])
            case "list(float)":
                numbers = [rng.choice(FLOATS) for _ in range(rng.randrange(5))]
                return sorted(numbers) if rng.random() < 0.8 else numbers
            case "list(shape)":
                return [self.shape() for _ in range(rng.randrange(3))]
            case "list(string)":
                words = list(allowed.s) or [
                    *WORDS,
                    b"FIRST_DIM_SIZE",
                    b"ROW_SPLITS",
                    b"VALUE_ROWIDS",
                ]
                return [rng.choice(words) for _ in range(rng.randrange(4))]
        raise Unsupported(f"an attribute of type {attr.type}")

    def number(self):
        if self.rng.random() < 0.2:
            return self.rng.choice(self.dims) + self.rng.choice([0, 0, 1, -1])
        if self.wide and self.rng.random() < 0.2:
            return self.rng.choice(WIDE_NUMBERS)
        return self.rng.choice(SMALL_NUMBERS if self.small else EXTREMES)

    def number32(self):
        return min(max(self.number(), -(2**31)), 2**31 - 1)

    def shape(self):
        rng = self.rng
        return self.bounded(
            [self.size() for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 4, 4, 5, 6]))]
        )

    def bounded(self, shape):
        shape = list(shape)
        while math.prod(shape) > self.most:
            shape[shape.index(max(shape))] = self.rng.choice([1, 2])
        return shape

    def tensor(self, dtype):
        rng = self.rng
        if dtype in (RESOURCE, VARIANT):
            size = rng.choice([0, 1, 2, 3, 17])
            return (
                dtype,
                "resource" if dtype == RESOURCE else "variant",
                [size, rng.choice([FLOAT, INT32, STRING]), rng.choice([*self.shapes, None])],
            )
        shape = rng.choice([*self.shapes, *self.shapes, [], self.shape()])
        if dtype in (INT32, INT64) and rng.random() < 0.6:
            # Sizes, indices and axes: few of them, of any size.
            shape = rng.choice([[], [1], [2], [4], [4, 2], [5, 2], [rng.choice(self.dims)], shape])
        return (dtype, list(shape), self.values(dtype, rng.choice([1, 2, 4, MOST_VALUES])))

    def values(self, dtype, n):
        rng = self.rng
        if dtype == STRING:
            return [rng.choice(TEXTS) for _ in range(n)]
        if dtype == BOOL:
            return [rng.random() < 0.5 for _ in range(n)]
        bits = SIGNED.get(dtype) or UNSIGNED.get(dtype)
        if bits:
            low, high = (
                (-(1 << bits - 1), (1 << bits - 1) - 1) if dtype in SIGNED else (0, (1 << bits) - 1)
            )
            if rng.random() < 0.15:  # rising, as splits and sorted indices are
                return list(range(min(n, high)))
            return [min(max(self.number(), low), high) for _ in range(n)]
        floats = FLOATS if self.small else FLOATS + ODD_FLOATS
        return [rng.choice(floats) for _ in range(n)]


OK = "ok "  # begins the answers of tries without an error


def elements(made):
    """How many elements a try's tensors have."""
    tensors = [t for ts in made["inputs"].values() for t in ts]
    return sum(math.prod(t[1]) for t in tensors if not isinstance(t[1], str))


_NUMBERS = re.compile(r"\[[^\]]*\]|[-\d.,]+|\b(?:nan|inf)\b")


def kind_of(message):
    """An error's message without its numbers: two of one kind come from one check."""
    message = message.rsplit("}} ", 1)[-1]
    return _NUMBERS.sub("#", message)[:160]
