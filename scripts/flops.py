"""Prints parameters and FLOPs, which the ResNeXt paper compares: python -m scripts.flops."""

from kerasrun_export import flops
from kerasrun_export.model import build

TABLE = ("resnet50", "resnext50", "resnet101", "resnext101", "resnet200")


def main() -> None:
    print("| model | parameters | GFLOPs |")
    print("|---|---:|---:|")
    for architecture in TABLE:
        model = build(architecture, data_format="channels_last")
        print(
            f"| {architecture} | {flops.parameters(model) / 1e6:.1f} M | "
            f"{flops.count(model) / 1e9:.2f} |"
        )


if __name__ == "__main__":
    main()
