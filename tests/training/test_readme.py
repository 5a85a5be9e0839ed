"""The README's way from nothing to a model that names a held-out picture, as it stands there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]


def test_the_readmes_block_trains_exports_and_names_held_out_pictures(tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.partition("<!-- train -->")[2].partition("<!-- /train -->")[0]
    shell, code = re.findall(r"```(?:sh|python)\n(.*?)```", block, re.DOTALL)
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HF_HOME": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": "1",
    }
    commands = [[sys.executable, *line.split()[1:]] for line in shell.strip().splitlines()]
    assert [command[2] for command in commands] == [
        "curation.build",
        "training.train",
        "training.export",
    ]
    for command in [*commands, [sys.executable, "-c", code]]:
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert done.returncode == 0, done.stderr[-3000:]
    said = re.match(
        r"(\d+) of (\d+) right among (\d+) species; \('([0-9a-f-]{36})', '(.+)'\)", done.stdout
    )
    assert said, done.stdout
    n_right, n, n_names = (int(group) for group in said.groups()[:3])
    judge = re.findall(r"```sh\n(.*?)```", text.partition("<!-- judge -->")[2].partition("<!-- /judge -->")[0], re.DOTALL)  # fmt: skip
    line = judge[0].split()
    args = [
        "tiny-vit:random" if word == "ViT-B-32:random" else word for word in line[1:]
    ]  # minutes, for a CPU
    done = subprocess.run([sys.executable, *args], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=PATIENCE_S)  # fmt: skip
    assert done.returncode == 0 and "report: treeoflife-data/eval/report.html" in done.stdout, done.stderr[-3000:]  # fmt: skip
    told = {(one["model"], one["task"], one["track"]): one for one in json.loads((tmp_path / "treeoflife-data/eval/metrics.json").read_text())}  # fmt: skip
    ours = told["treeoflife-data/runs/sample", "zero-shot", "fixed"]
    assert ours["low"] > told["tiny-vit:random", "zero-shot", "fixed"]["value"]
    assert n > 30 and n_right / n > 3 / n_names, "a tiny model, but no guess"
