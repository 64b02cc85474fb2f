"""The table of scripts.flops."""

from scripts import flops


def test_the_table(capsys):
    """What ResNeXt claims: 50 layers cost what ResNet50 costs, 101 half of ResNet200."""
    flops.main()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in capsys.readouterr().out.splitlines()
    ]
    assert rows[0] == ["model", "parameters", "GFLOPs"]
    size = {name: float(cell.removesuffix(" M")) for name, cell, _ in rows[2:]}
    cost = {name: float(cell) for name, _, cell in rows[2:]}
    assert list(cost) == ["resnet50", "resnext50", "resnet101", "resnext101", "resnet200"]
    assert abs(size["resnext50"] / size["resnet50"] - 1) < 0.03
    assert abs(cost["resnext50"] / cost["resnet50"] - 1) < 0.1
    assert 0.5 < cost["resnext101"] / cost["resnet200"] < 0.56
