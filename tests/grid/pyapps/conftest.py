"""One Python app for all tests: building CPython into it takes some seconds, compiling it some more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servent.grid.manifests import Limits
from servent.grid.pyapps import build, sources
from tests.grid.sandbox.rig import Rig

SCIENCE = Path(__file__).with_name("science.py")
ROOMY = Limits(seconds=30.0, memory_bytes=192 * 1024**2, output_bytes=8 * 1024**2)


@pytest.fixture(scope="session")
def science(request: pytest.FixtureRequest) -> Path:
    """The component of `science.py`; kept between runs where nothing that it is made of has changed."""
    text = SCIENCE.read_bytes()
    found = sources.read(text).choose("science")
    return build.built(text, SCIENCE.name, SCIENCE.parent, found, request.config.cache.mkdir("python-apps"))


@pytest.fixture(scope="session")
def python(science: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Sandbox processes in which it is compiled once."""
    with Rig(tmp_path_factory.mktemp("python")) as rig:
        yield rig
