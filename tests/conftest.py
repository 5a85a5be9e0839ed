"""Fixtures of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from catalog import sql
from curation import build, recipe

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # two workers share two cores, and so do what they start

REPO_ROOT = Path(__file__).parents[1]


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A fresh database."""
    return sql.connect()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real provider files; skips where it is absent."""
    folder = Path(os.environ.get("TREEOFLIFE_REAL_DATA", REPO_ROOT.parent / "shared/data"))
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: set TREEOFLIFE_REAL_DATA to the folder of real data")
    return folder


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """The dataset folder of the sample world."""
    root = tmp_path_factory.mktemp("sample")
    return build.build(recipe.read("sample"), root)["shard"][0].dir
