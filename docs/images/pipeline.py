"""Draws pipeline.svg: how an image file becomes a prediction, and which package does what.

python docs/images/pipeline.py > docs/images/pipeline.svg
"""

from html import escape

INK, SOFT, LINE, GREEN, PAPER = "#1c2430", "#5b6675", "#b8c4bb", "#0b6e4f", "#ffffff"
BOX_WIDTH, BOX_HEIGHT, GAP, TOP, LEFT = 112, 58, 26, 178, 24
STEPS = (
    ("image file", "JPEG, PNG, GIF,\nBMP, WebP", False),
    ("decode", "as Pillow,\nbit for bit", True),
    ("resize", "as Pillow,\nbit for bit", True),
    ("normalise", "as Keras's\npreprocess_input", True),
    ("run", "TensorFlow,\nCPU or GPU", True),
    ("top classes", "with their\nclass names", True),
)
PACKAGES = ((1, 3, "preprocess"), (4, 4, "runner"), (5, 5, "labels"))
OUTPUTS = (
    "kerasrun classify: text, CSV, JSON",
    "kerasrun score: CSV, Parquet, JSON",
    "kerasrun serve: HTTP and gRPC",
)
WIDTH = LEFT * 2 + len(STEPS) * BOX_WIDTH + (len(STEPS) - 1) * GAP
HEIGHT = 372


def text(
    x: float,
    y: float,
    words: str,
    size: int = 13,
    colour: str = INK,
    *,
    weight: int = 400,
    anchor: str = "middle",
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def box(x: float, y: float, width: float, height: float, fill: str, stroke: str) -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8" fill="{fill}" '
        f'stroke="{stroke}" stroke-width="1.5"/>'
    )


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{SOFT}" stroke-width="1.5" '
        f'marker-end="url(#head)"/>'
    )


def left(step: int) -> float:
    return LEFT + step * (BOX_WIDTH + GAP)


def draw() -> str:
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">',
        "<title>From a Keras model and an image file to a prediction in Go</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" '
        f'markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{SOFT}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>',
    ]
    # The upper row: Python, once. The directory stands over the steps that read it.
    parts.append(text(LEFT, 26, "Python, once", 12, SOFT, weight=600, anchor="start"))
    model, directory = left(0), left(3)
    export, wide = left(1) + 20, BOX_WIDTH + 60
    for x, width, title, note, fill in (
        (model, BOX_WIDTH, "Keras model", "my.keras, or live", PAPER),
        (export, wide, "kerasrun-export", "rewrites, compares, writes", GREEN),
        (
            directory,
            2 * BOX_WIDTH + GAP,
            "SavedModel directory",
            "graph, weights, manifest, goldens",
            PAPER,
        ),
    ):
        ink = PAPER if fill == GREEN else INK
        parts.append(box(x, 40, width, BOX_HEIGHT, fill, GREEN if fill == GREEN else LINE))
        parts.append(text(x + width / 2, 64, title, 13, ink, weight=600))
        parts.append(text(x + width / 2, 83, note, 11, PAPER if fill == GREEN else SOFT))
    parts.append(arrow(model + BOX_WIDTH + 3, 69, export - 4, 69))
    parts.append(arrow(export + wide + 3, 69, directory - 4, 69))
    for step in (3, 4):
        x = left(step) + BOX_WIDTH / 2
        parts.append(arrow(x, 40 + BOX_HEIGHT + 3, x, TOP - 5))
    # The lower row: Go, for each image.
    title = "Go, each image: package classify"
    parts.append(text(LEFT, TOP - 10, title, 12, SOFT, weight=600, anchor="start"))
    for step, (title, note, ours) in enumerate(STEPS):
        x = left(step)
        parts.append(
            box(
                x,
                TOP,
                BOX_WIDTH,
                BOX_HEIGHT + 14,
                GREEN if ours else PAPER,
                GREEN if ours else LINE,
            )
        )
        parts.append(
            text(x + BOX_WIDTH / 2, TOP + 23, title, 13, PAPER if ours else INK, weight=600)
        )
        for row, words in enumerate(note.splitlines()):
            parts.append(
                text(x + BOX_WIDTH / 2, TOP + 42 + 16 * row, words, 11, PAPER if ours else SOFT)
            )
        if step:
            parts.append(arrow(x - GAP + 3, TOP + 36, x - 4, TOP + 36))
    for first, last, name in PACKAGES:
        x1, x2, y = left(first), left(last) + BOX_WIDTH, TOP + BOX_HEIGHT + 26
        parts.append(
            f'<path d="M{x1} {y}v6H{x2}v-6" fill="none" stroke="{LINE}" stroke-width="1.5"/>'
        )
        parts.append(text((x1 + x2) / 2, y + 23, f"package {name}", 12, SOFT))
    y, width = TOP + BOX_HEIGHT + 82, (WIDTH - 2 * LEFT - 2 * GAP) / 3
    for i, words in enumerate(OUTPUTS):
        x = LEFT + i * (width + GAP)
        parts.append(box(x, y, width, 40, PAPER, LINE))
        parts.append(text(x + width / 2, y + 25, words, 12))
        parts.append(arrow(x + width / 2, y - 22, x + width / 2, y - 4))
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    print(draw(), end="")
