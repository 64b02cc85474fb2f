"""What the exporter remembers of the directories that it wrote."""

import subprocess

import pytest

from kerasrun_export import download, manifest, vouched

COMMAND = "find -L . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum -z | sha256sum"


@pytest.fixture
def exported(tmp_path):
    directory = tmp_path / "model"
    for name in ("saved_model.pb", "variables/variables.index", "assets.extra/\u00e9", "a b"):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    manifest.write(directory, {})
    return directory


def test_remember(exported, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    vouched.remember(exported)
    said = subprocess.run(COMMAND, shell=True, cwd=exported, check=True, capture_output=True)
    digest = said.stdout.decode().split()[0]
    kept = download.cache() / "vouched"
    assert [path.name for path in kept.iterdir()] == [f"{digest}.export"]
    assert (kept / f"{digest}.export").read_text() == f'{{"sha256":"{digest}","by":"export"}}\n'
    assert kept.stat().st_mode & 0o777 == 0o700
    assert (kept / f"{digest}.export").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cache", ["/dev/null", "relative"])
def test_no_cache(exported, monkeypatch, cache):
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    with pytest.warns(UserWarning, match="cannot be remembered"):
        vouched.remember(exported)
