"""The confusion matrix, drawn."""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def draw(answers: np.ndarray, target: np.ndarray, path: Path) -> None:
    """Draws how often each digit got each answer; both are (n,) integers from 0 to 9."""
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (target, answers), 1)
    figure, axes = plt.subplots(figsize=(5.2, 5.2), layout="constrained")
    # The root keeps single errors visible beside dozens of right answers
    axes.imshow(np.sqrt(counts), cmap="Blues")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if count > counts.max() / 3 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9)
    right = int(np.trace(counts))
    axes.set(xticks=range(10), yticks=range(10), xlabel="answer of kerasrun score", ylabel="digit")
    axes.set_title(
        f"ResNeXt50 on test digits: {right} of {len(target)} right, {right / len(target):.1%}",
        fontsize=10,
    )
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    figure.savefig(path, dpi=100)
    plt.close(figure)
