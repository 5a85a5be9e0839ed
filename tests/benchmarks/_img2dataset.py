"""The peer of `fetch`: img2dataset in an environment of its own, made when it is first needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PINS = (
    "img2dataset==1.47.0", "albumentations==1.4.24", "albucore==0.0.23", "fsspec==2026.9.0", "numpy==2.4.6",
    "opencv-python-headless==4.14.0.94", "pandas==2.3.3", "pyarrow==26.0.1", "pydantic==2.14.4", "scipy==1.17.1",
    "wandb==0.31.0", "webdataset==0.2.111",
)  # fmt: skip
CALL = """
import json, sys
if __name__ == "__main__":
    from img2dataset import download
    download(**json.loads(sys.argv[1]))
"""


def python() -> Path | None:
    """Its interpreter, installed if need be; None where it cannot be installed."""
    if given := os.environ.get("TREEOFLIFE_IMG2DATASET"):
        return Path(given)
    place = Path.home() / ".cache" / "treeoflife-benchmarks" / "img2dataset"
    found = place / "bin" / "python"
    if (place / "complete").exists():
        return found
    steps = [[sys.executable, "-m", "venv", "--clear", str(place)],
             [str(found), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PINS]]  # fmt: skip
    for step in steps:
        if subprocess.run(step, capture_output=True, check=False).returncode:
            return None
    (place / "complete").touch()
    return found


def download(
    python_path: Path, urls: list[str], n_processes: int, n_threads: int, **how: Any
) -> dict[str, float]:
    """Download; pictures a second of the download itself (start-up left out) and per CPU second (with it)."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "call.py").write_text(CALL)
        (work / "urls.txt").write_text("\n".join(urls))
        args = {"url_list": str(work / "urls.txt"), "input_format": "txt", "output_folder": str(work / "out"),
                "output_format": "webdataset", "processes_count": n_processes, "thread_count": n_threads,
                "number_sample_per_shard": -(-len(urls) // (2 * n_processes)), "retries": 0, "timeout": 30,
                "enable_wandb": False, "compute_hash": "md5", "extract_exif": False, "encode_quality": 90,
                "encode_format": "jpg", **how}  # fmt: skip
        env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        env |= {"NO_ALBUMENTATIONS_UPDATE": "1", "no_proxy": "*", "WANDB_MODE": "disabled"}
        started = time.perf_counter()
        process = subprocess.Popen([str(python_path), str(work / "call.py"), json.dumps(args)], env=env, cwd=work,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        whole_s = time.perf_counter() - started
        stats = [json.loads(p.read_text()) for p in sorted((work / "out").glob("*_stats.json"))]
        good = sum(s["successes"] for s in stats)
        assert good == len(urls), f"img2dataset got {good} of {len(urls)}"
        window_s = max(s["end_time"] for s in stats) - min(s["start_time"] for s in stats)
        cpu_s = usage.ru_utime + usage.ru_stime
        return {"per_s": good / window_s, "per_cpu_s": good / cpu_s, "whole_per_s": good / whole_s}
