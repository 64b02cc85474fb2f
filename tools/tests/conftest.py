"""Fixtures of the exporter's tests."""

import os
import secrets

import pytest

from kerasrun_export import cli  # noqa: F401  (first: it silences TensorFlow)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    """The user's cache stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def seed() -> int:
    """A number drawn anew for each test and printed where the test fails; KERASRUN_SEED=N repeats
    it.
    """
    number = int(os.environ.get("KERASRUN_SEED") or secrets.randbelow(2**31))
    print(f"KERASRUN_SEED={number}")
    return number
