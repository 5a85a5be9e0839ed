"""Workers get variables that their parent does not keep, memory is kept where told, and what the user has set stays."""

import concurrent.futures
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from catalog.processes import Spawning

ROOT = Path(__file__).parents[2]


def test_workers_have_the_variables_and_the_parent_does_not(monkeypatch):
    monkeypatch.delenv("TREEOFLIFE_A", raising=False)
    monkeypatch.setenv("TREEOFLIFE_B", "the user's")
    context = Spawning({"TREEOFLIFE_A": "ours", "TREEOFLIFE_B": "ours"})
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        found = list(pool.map(os.getenv, ["TREEOFLIFE_A", "TREEOFLIFE_B"]))
    assert found == ["ours", "the user's"]
    assert "TREEOFLIFE_A" not in os.environ and os.environ["TREEOFLIFE_B"] == "the user's"


KEEPING = """
import os, sys
from catalog import processes
if sys.argv[1] == "keep":
    processes.keep_freed_memory()
blocks = [bytearray(8_000_000) for _ in range(40)]
last = bytearray(1000)
del blocks
pages = int(open("/proc/self/statm").read().split()[1])
print(pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told what to keep")
def test_a_process_keeps_what_it_frees_when_told_to():
    def held(how, **env):
        return int(subprocess.run([sys.executable, "-c", KEEPING, how], cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=True).stdout)  # fmt: skip

    assert held("keep") > 300, "MB, of 320 that were freed"
    assert held("give") < 150
    assert held("keep", MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072") < 150, "as the user has it"  # fmt: skip
