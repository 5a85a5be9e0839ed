"""The peer of `train_speed`: open_clip's own trainer, its reader's older webdataset in a folder beside the environment."""

from __future__ import annotations

import io
import os
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from training.create import ARCHITECTURES

CALL = """
import sys
from pathlib import Path
import open_clip
from open_clip_train.main import main
if __name__ == "__main__":
    open_clip.add_model_config(Path(sys.argv[1]))
    main(sys.argv[2:])
"""
PINS = ("webdataset==0.2.86", "braceexpand==0.1.7")


def overlay() -> Path | None:
    """A folder with what its reader needs, installed if need be; None where it cannot be installed."""
    place = Path.home() / ".cache" / "treeoflife-benchmarks" / "open_clip_train"
    if not (place / "complete").exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--target", str(place)]  # fmt: skip
        for step in ([sys.executable, "-m", "ensurepip", "--upgrade"], [*pip, *PINS]):
            if subprocess.run(step, capture_output=True, check=False).returncode:
                return None
        (place / "complete").touch()
    return place


def tar(path: Path, pairs: list[tuple[str, bytes, str]]) -> None:
    """A shard of pictures with captions."""
    with tarfile.open(path, "w") as out:
        for key, image, caption in pairs:
            for ending, content in (("jpg", image), ("txt", caption.encode())):
                info = tarfile.TarInfo(f"{key}.{ending}")
                info.size = len(content)
                out.addfile(info, io.BytesIO(content))


def pairs_per_s(place: Path, shard: Path, model: str, batch: int, steps: int, skip: int) -> float:
    """Pairs a second of a step, waiting for data included: the median of `steps` after `skip`."""
    with tempfile.TemporaryDirectory() as logs:
        said = _run(place, shard, model, batch, steps + skip, 1e-4, Path(logs))
    found = [float(x) for x in re.findall(r"Batch \(t\): [\d.]+, ([\d.]+)/s", said)]
    assert len(found) > skip, said[-2000:]
    return statistics.median(found[skip:])


def trained(
    place: Path, shard: Path, model: str, batch: int, steps: int, lr: float, logs: Path
) -> Path:
    """The file of weights that its trainer leaves after so many steps."""
    logs.mkdir()
    _run(place, shard, model, batch, steps, lr, logs)
    return logs / "peer" / "checkpoints" / "epoch_1.pt"


def _run(
    place: Path, shard: Path, model: str, batch: int, steps: int, lr: float, logs: Path
) -> str:
    args = ["--train-data", str(shard), "--train-num-samples", str(batch * steps), "--dataset-type", "webdataset",
            "--dataset-resampled", "--model", model, "--batch-size", str(batch), "--precision", "fp32", "--workers", "1",
            "--epochs", "1", "--lr", str(lr), "--warmup", str(min(20, steps)), "--log-every-n-steps", "1",
            "--logs", str(logs), "--name", "peer", "--seed", "1"]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(place), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", CALL, str(ARCHITECTURES), *args], env=env, capture_output=True,
                          text=True, check=False, cwd=logs)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr
