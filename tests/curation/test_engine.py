"""Every unit has one receipt, whoever runs it, and whoever dies; and the artifacts are the same."""

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from curation import build, engine, engine_slurm, recipe, wire
from curation.images import render
from curation.shard import Unit
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is an extra: pip install 'treeoflife[ray]'"
)


class Task(NamedTuple):
    """A number to square, and a folder for traces."""

    number: int
    folder: str


def square(task):
    path = Path(task.folder) / f"{task.number}-{os.getpid()}"
    path.touch()
    return task.number**2


def die_once(task):
    """A worker that is killed in the middle of the fifth unit, the first time."""
    first = Path(task.folder) / "died"
    if task.number == 5 and not first.exists():
        first.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task.number**2


def die_always(task):
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_five(task):
    """A worker that is killed whenever it meets the fifth unit."""
    if task.number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return task.number**2


def fail(task):
    raise ValueError(f"unit {task.number} is wrong")


def make_state():
    return {"pid": os.getpid(), "n": 0}


def count(state, task):
    state["n"] += 1
    return state["pid"], state["n"]


@pytest.mark.parametrize(
    "name", ["serial", "process", pytest.param("ray", marks=[needs_ray, pytest.mark.slow])]
)
def test_every_unit_has_one_receipt(name, tmp_path):
    tasks = [Task(k, str(tmp_path)) for k in range(40)]
    found = list(engine.run_units(square, tasks, engine=name, workers=2))
    assert sorted(found) == [k * k for k in range(40)]
    assert len(list(tmp_path.iterdir())) == 40
    assert list(engine.run_units(square, [], engine=name, workers=2)) == []


def test_units_are_run_while_their_source_still_works(tmp_path):
    def slowly():
        for k in range(6):
            yield Task(k, str(tmp_path))
            time.sleep(0.4)
        assert len(list(tmp_path.iterdir())) >= 4, "most were done before the source ended"

    assert len(list(engine.run_units(square, slowly(), engine="process", workers=2))) == 6


@pytest.mark.parametrize(
    "name", ["process", pytest.param("ray", marks=[needs_ray, pytest.mark.slow])]
)
def test_a_worker_killed_in_the_middle_loses_nothing_and_doubles_nothing(name, tmp_path):
    tasks = [Task(k, str(tmp_path)) for k in range(20)]
    found = list(engine.run_units(die_once, tasks, engine=name, workers=2))
    assert sorted(found) == [k * k for k in range(20)] and (tmp_path / "died").exists()


@pytest.mark.parametrize(
    "name", ["process", pytest.param("ray", marks=[needs_ray, pytest.mark.slow])]
)
def test_a_unit_that_always_kills_its_worker_is_done_otherwise_and_no_other(name, tmp_path):
    tasks = [Task(k, str(tmp_path)) for k in range(20)]
    told = []

    def alone(task):
        told.append(task.number)
        return -1

    found = list(engine.run_units(die_at_five, tasks, engine=name, workers=2, alone=alone))
    assert sorted(found) == sorted([-1, *(k * k for k in range(20) if k != 5)]) and told == [5]


def test_workers_that_always_die_end_the_build_with_advice(tmp_path):
    with pytest.raises(RuntimeError, match="fewer --workers"):
        list(engine.run_units(die_always, [Task(0, str(tmp_path))], engine="process", workers=1))


@pytest.mark.parametrize(
    "name", ["serial", "process", pytest.param("ray", marks=[needs_ray, pytest.mark.slow])]
)
def test_what_a_unit_raises_comes_out(name, tmp_path):
    with pytest.raises(ValueError, match="unit 0 is wrong"):
        list(engine.run_units(fail, [Task(0, str(tmp_path))], engine=name, workers=1))


@pytest.mark.parametrize(
    "name", ["serial", "process", pytest.param("ray", marks=[needs_ray, pytest.mark.slow])]
)
def test_a_worker_makes_its_state_once_and_keeps_it(name, tmp_path):
    tasks = [Task(k, str(tmp_path)) for k in range(12)]
    found = list(engine.run_with(make_state, count, tasks, engine=name, workers=2))
    assert len(found) == 12
    most = {pid: max(n for p, n in found if p == pid) for pid, _ in found}
    assert len(most) <= 2 and sum(most.values()) == 12, "states count their own units"


def test_an_unknown_engine_and_one_that_is_not_at_hand_say_so(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="choose one of auto, serial"):
        list(engine.run_units(square, [], engine="spark"))
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    with pytest.raises(ValueError, match="sbatch"):
        list(engine.run_units(square, [], engine="slurm", root=tmp_path))
    with pytest.raises(ValueError, match="choose process or ray"):
        list(engine.run_with(make_state, count, [], engine="slurm"))


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_COUNT": "4",
          "SLURM_ARRAY_JOB_ID": "99"}, engine_slurm.Place("99", 2, 4)),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "3", "SLURM_JOB_ID": "12"}, engine_slurm.Place("12", 1, 3)),
    ],
)  # fmt: skip
def test_the_rank_comes_from_slurm(env, expected):
    assert engine_slurm.place(env) == expected


def test_units_travel_as_plain_json_and_name_nothing_outside_curation():
    units = [
        Unit(plan=Path("p"), target=Path("t"), split=None, bucket=3, packs=Path("k"), rows_per_group=64),
        render.Unit((render.Content("m", None, "p", 1, 2), render.Content("n", "1,2,3,4")), "f", "l",
                    render.Limits(10, 20, 90)),
    ]  # fmt: skip
    for unit in units:
        assert wire.decoded(json.loads(json.dumps(wire.encoded(unit)))) == unit
    for name in ("os:system", "builtins:eval", "curationx:run"):
        with pytest.raises(ValueError, match="not one of curation's"):
            wire.decoded({"class": name, "fields": {}})


def digests(root):
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.glob("*/*/manifest.json")) if p.parts[-3] != "datasets"
    }  # fmt: skip


@pytest.fixture(scope="module")
def serial_build(tmp_path_factory):
    root = tmp_path_factory.mktemp("serial")
    build.build(recipe.read("sample"), root, engine="serial")
    return digests(root)


def ranks(root, world, killed=None):
    """A build by ranks of one array; `killed` is ended hard while it works. Output of rank 0."""
    running = []
    for rank in range(world):
        env = {**os.environ, "SLURM_ARRAY_TASK_ID": str(rank), "SLURM_ARRAY_TASK_COUNT": str(world),
               "SLURM_ARRAY_JOB_ID": "4711", "CURATION_LEASE_S": "2"}  # fmt: skip
        args = [
            sys.executable,
            "-m",
            "curation.build",
            "--root",
            str(root),
            "--engine",
            "slurm",
            "--workers",
            "1",
        ]
        running.append(subprocess.Popen(args, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, start_new_session=True))  # fmt: skip
    if killed is not None:
        folder = root / "units" / "4711"
        while not list(folder.glob("*/*/*.unit.json")) and running[0].poll() is None:
            time.sleep(0.02)
        os.killpg(running[killed].pid, signal.SIGKILL)
    out = [process.communicate(timeout=PATIENCE_S)[0] for process in running]
    assert running[0].returncode == 0, out[0]
    return out


def test_ranks_of_a_slurm_array_make_the_same_bytes(serial_build, tmp_path):
    out = ranks(tmp_path / "r", 2)
    assert digests(tmp_path / "r") == serial_build
    assert "this rank ran" in out[1] and "ran 0 units" not in out[1]


def test_a_rank_that_is_killed_costs_time_only(serial_build, tmp_path):
    ranks(tmp_path / "r", 2, killed=1)
    assert digests(tmp_path / "r") == serial_build


def test_a_rank_does_not_read_what_the_leader_is_still_writing(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    leader = engine_slurm.Leader(render.render_unit, 1, tmp_path)
    (folder,) = (tmp_path / "units" / "5").glob("*/1")
    for kind in ("unit", "receipt"):
        (folder / f".tmp-1-2-00000001.{kind}.json").write_text('{"half')
    crew = engine_slurm._Crew("run", folder, 1)
    assert crew.turn() == (0, 0) and list(leader.finished(False)) == []
    crew.close()
    leader.close()


def test_a_job_that_is_requeued_under_its_number_heeds_nothing_of_the_run_before(
    serial_build, tmp_path
):
    stale = tmp_path / "r" / "units" / "4711" / "before"
    (stale / "1").mkdir(parents=True)
    (stale.parent / "leader").write_text("before")
    (stale / "finished").touch()
    for number in range(40):
        (stale / "1" / f"{number:08d}.receipt.json").write_text('{"receipt": []}')
        (stale / "1" / f"{number:08d}.unit.json").write_text("no unit")
    out = ranks(tmp_path / "r", 2)
    assert digests(tmp_path / "r") == serial_build and "ran 0 units" not in out[1]
    left = list((tmp_path / "r" / "units").rglob("*.json"))
    assert not left and not stale.exists(), "files of units go once they have been read"


@needs_ray
def test_ray_makes_the_same_bytes(serial_build, tmp_path):
    out = subprocess.run([sys.executable, "-m", "curation.build", "--root", str(tmp_path / "r"), "--engine", "ray",
                          "--workers", "2"], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)  # fmt: skip
    assert out.returncode == 0, out.stderr[-3000:]
    assert digests(tmp_path / "r") == serial_build
