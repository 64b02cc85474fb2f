"""Collects the licences of what `make dist` redistributes: python scripts/licences.py OUT.

They come from the Go modules that the program is linked from, from Go itself, and from the Python
packages whose libraries, class list or arithmetic are in it. A part without a licence file is an
error.
"""

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

LICENCE = re.compile(
    r"(licen[cs]e|copying|notice|patents|unlicense|third_party_notices)([.\-_].*)?", re.IGNORECASE
)
PACKAGES = ["tensorflow_cpu", "tensorflow", "keras", "Keras_Applications", "pillow"]


def go(*args):
    return subprocess.run(["go", *args], check=True, capture_output=True, text=True).stdout


def copy(out, files):
    if not files:
        sys.exit(f"licences: {out.name}: want a licence file, found none")
    out.mkdir(parents=True)
    for file, name in files:
        shutil.copyfile(file, out / name)


def go_module(folder, packages):
    """The licences of a module, and those of the linked packages in it that have their own."""
    folder = Path(folder)
    places = {folder}
    for package in packages:
        places.update(p for p in [package, *package.parents] if p.is_relative_to(folder))
    return [
        (file, "-".join(file.relative_to(folder).parts))
        for place in sorted(places)
        for file in sorted(place.iterdir())
        if file.is_file() and LICENCE.fullmatch(file.name)
    ]


def linked_modules():
    """The modules that the program is made of, as (path, version, folder), with the folders of
    their packages in it; also this one, some of whose packages are others' work.
    """
    modules = {}
    ours = Path("internal/version/VERSION").read_text().strip()
    form = "{{with .Module}}{{.Path}} {{.Version}} {{.Dir}}{{end}} {{.Dir}}"
    for line in go("list", "-deps", "-f", form, "./cmd/kerasrun").splitlines():
        match line.split():
            case [path, version, folder, package]:
                modules.setdefault((path, version, folder), []).append(Path(package))
            case [path, folder, package]:
                modules.setdefault((path, ours, folder), []).append(Path(package))
    return modules


def python_package(name):
    """The licences in a package: in its metadata, and at the top of what it installs."""
    files = []
    for file in metadata.distribution(name).files or []:
        inside = (
            ".dist-info" in file.parts[0]
            or len(file.parts) <= 2
            or file.parts[:2] == ("tensorflow", "include")
        )
        if (
            inside
            and LICENCE.fullmatch(file.name)
            and len(file.parts) <= 4
            and file.locate().is_file()
        ):
            files.append((file.locate(), file.name))
    return files


def main(out):
    shutil.rmtree(out, ignore_errors=True)
    for (path, version, folder), packages in sorted(linked_modules().items()):
        copy(out / "go" / f"{path.replace('/', '_')}@{version}", go_module(folder, packages))
    root = Path(go("env", "GOROOT").strip())
    copy(
        out / "go" / f"go@{go('env', 'GOVERSION').strip()}",
        [(root / name, name) for name in ["LICENSE", "PATENTS"]],
    )
    installed = {re.sub("[-.]", "_", d.metadata["Name"]).lower() for d in metadata.distributions()}
    for name in PACKAGES:
        if name.lower() in installed:  # TensorFlow is one of two
            copy(out / "python" / f"{name}@{metadata.version(name)}", python_package(name))
    copy(out / "images", [(Path("testdata/photos/ATTRIBUTION.md"), "ATTRIBUTION.md")])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
