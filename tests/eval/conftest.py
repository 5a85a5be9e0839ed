"""Miniatures of the benchmarks, and a small model to judge, for all tests of this folder."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from eval import model as models
from eval import run
from eval.examples import COLUMNS, SCHEMA, Examples
from eval.features import PICTURES, Features
from tests.eval import miniatures


@pytest.fixture(scope="session")
def mini(tmp_path_factory):
    """The folder of all benchmarks in miniature."""
    return miniatures.make(tmp_path_factory.mktemp("benchmarks"))


@pytest.fixture(scope="session")
def model():
    """A small model with text, without training."""
    return models.opened("tiny-vit:random")


@pytest.fixture
def ask(mini, tmp_path):
    """A function that judges a small model on miniatures, into `tmp_path`; returns the exit status."""

    def run_it(*more):
        return run.main(["tiny-vit:random", "--data", str(mini), "--out", str(tmp_path), "--workers", "0", *more])  # fmt: skip

    return run_it


@pytest.fixture
def drawn():
    """A function that makes a test set and its features out of numbers: classes apart by `apart`, no pictures."""

    def make(n_classes=5, n_each=8, dim=16, apart=2.0, seed=0, **columns):
        random = np.random.default_rng(seed)
        labels = [f"class {k}" for k in range(n_classes) for _ in range(n_each)]
        centres = np.repeat(random.normal(size=(n_classes, dim)) * apart, n_each, axis=0)
        vectors = (centres + random.normal(size=(len(labels), dim))).astype(np.float32)
        rows = [{"example": f"{i}.jpg", "label": label, **{key: values[i] for key, values in columns.items()}}
                for i, label in enumerate(labels)]  # fmt: skip
        table = pa.Table.from_pylist(
            [{c: row.get(c) for c in COLUMNS} for row in rows], schema=SCHEMA
        )
        pictures = pa.table({"example": table["example"], **{c: pa.nulls(len(rows), pa.string()) for c in ("error", "md5", "phash")}}, schema=PICTURES)  # fmt: skip
        examples = Examples("drawn", table, None, "0")
        return examples, Features(vectors, np.ones(len(rows), dtype=bool), pictures)

    return make


@pytest.fixture(autouse=True)
def _one_thread():
    """Two workers share two cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
