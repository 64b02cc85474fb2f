"""The comparison as an image: milliseconds an image, a bar a peer, a panel a batch size."""

from __future__ import annotations

import statistics
from pathlib import Path

OURS, OTHERS = "#0b6e4f", "#b8c4bb"


def draw(results: dict[int, dict[str, list[float]]], machine: str, path: Path) -> None:
    """Draws, for each batch size, each peer's median round with the range of its rounds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(results), figsize=(4.6 * len(results), 4.4), squeeze=False)
    for panel, (batch, peers) in zip(panels[0], results.items(), strict=True):
        order = sorted(peers, key=lambda name: statistics.median(peers[name]), reverse=True)
        middle = [statistics.median(peers[n]) for n in order]
        spread = [
            [m - min(peers[n]) for n, m in zip(order, middle, strict=True)],
            [max(peers[n]) - m for n, m in zip(order, middle, strict=True)],
        ]
        colours = [OURS if n.startswith("kerasrun") else OTHERS for n in order]
        bars = panel.barh(
            order, middle, xerr=spread, color=colours, error_kw={"lw": 1, "ecolor": "#555"}
        )
        panel.bar_label(bars, labels=[f"{m:.1f}" for m in middle], padding=4, fontsize=8)
        panel.set_title(f"batch {batch}", fontsize=10)
        panel.set_xlabel("ms an image (less is better)", fontsize=8)
        panel.set_xlim(0, 1.15 * max(max(rounds) for rounds in peers.values()))
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle("ResNeXt50 224×224, the same weights and inputs, interleaved", fontsize=11)
    figure.text(0.5, 0.005, machine, ha="center", fontsize=7, color="#555")
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    figure.savefig(path, dpi=110)
