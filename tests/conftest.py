"""Fixtures of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from catalog import sql

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
