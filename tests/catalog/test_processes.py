"""Workers get variables that their parent does not keep, and what the user has set stays."""

import concurrent.futures
import os

from catalog.processes import Spawning


def test_workers_have_the_variables_and_the_parent_does_not(monkeypatch):
    monkeypatch.delenv("TREEOFLIFE_A", raising=False)
    monkeypatch.setenv("TREEOFLIFE_B", "the user's")
    context = Spawning({"TREEOFLIFE_A": "ours", "TREEOFLIFE_B": "ours"})
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        found = list(pool.map(os.getenv, ["TREEOFLIFE_A", "TREEOFLIFE_B"]))
    assert found == ["ours", "the user's"]
    assert "TREEOFLIFE_A" not in os.environ and os.environ["TREEOFLIFE_B"] == "the user's"
