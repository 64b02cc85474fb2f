"""A contract in words."""

from kerasrun_export.contract import Normalize, Preprocessing

SIGNS = {"multiply": "x * {}", "divide": "x / {}", "add": "x + {}", "subtract": "x - {}"}


def words(how: Preprocessing) -> str:
    """In one line: "decoded by pillow (rgb), resized by pillow (nearest, stretch), x / 255"."""
    decode = [how.decode.color] + ["turned by EXIF"] * how.decode.exif
    parts = [f"decoded by {how.decode.by} ({', '.join(decode)})"]
    if how.resize.fit == "none":
        parts.append("not resized")
    else:
        resize = [how.resize.method, how.resize.fit] + ["antialias"] * how.resize.antialias
        if how.resize.fit == "short_side":
            resize.append(f"short side {how.resize.short_side}")
        if how.resize.fill:
            resize.append(f"filled with {how.resize.fill:g}")
        parts.append(f"resized by {how.resize.by} ({', '.join(resize)})")
    return ", ".join([*parts, arithmetic(how.normalize)])


def arithmetic(how: Normalize) -> str:
    """The steps: "x / 127.5, x - 1 in float32"."""
    if not how.steps:
        return "0 to 255 as they are"
    steps = [
        "rounded"
        if step.op == "round"
        else SIGNS[step.op].format(
            f"{step.values[0]:.9g}"
            if len(step.values) == 1
            else f"({', '.join(f'{x:.9g}' for x in step.values)})"
        )
        for step in how.steps
    ]
    return f"{', then '.join(steps)}, in {how.dtype}"
