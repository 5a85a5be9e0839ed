"""A dataset goes up whole or not at all, once, with what its licences allow; and the real clients load it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import artifact
from curation import build, publish, recipe
from tests.hub import TOKEN, Hub

ROOT = Path(__file__).parents[2]
REPO = "org/tree"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root with two releases of the sample world: v2 lacks what somebody asked to take down."""
    place = tmp_path_factory.mktemp("root")
    chosen = recipe.read("sample")
    made = build.build(chosen, place, view="v1")["shard"][0]
    gone = pq.read_table(next(made.dir.rglob("train-*.parquet")), columns=["uuid"])["uuid"][
        3
    ].as_py()
    second = recipe.changed(chosen, "shard.release", "v2")
    second = recipe.changed(second, "verdict.remove_uuid", [gone])
    build.build(second, place, view="v2")
    (place / "gone").write_text(gone)
    return place


@pytest.fixture
def hub(tmp_path):
    with Hub(tmp_path / "hub") as made:
        yield made


def client(hub, *args, xet=False, token=TOKEN, start=False):
    """Run Python with the environment of a client of the hub."""
    running = subprocess.Popen([sys.executable, *args], cwd=ROOT, env=hub.env(xet, token), text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)  # fmt: skip
    if start:
        return running
    out, err = running.communicate(timeout=120)
    return running.returncode, out, err


def publish_it(hub, folder, *more, repo=REPO, **how):
    return client(hub, "-m", "curation.publish", str(folder), "--repo", repo, *more, **how)


def files(hub, repo=REPO):
    """What `main` shows: sha256 by path."""
    return {path: stored.sha256 for path, stored in hub.repos[repo].commit("main").files.items()}


LOAD = """
import sys, datasets
from datasets import load_dataset
datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0
found = {}
for config in ("default", "catalog", "taxa", "rejects"):
    found[config] = {name: part.num_rows for name, part in load_dataset("org/tree", config).items()}
streamed = load_dataset("org/tree", split="train", streaming=True)
row = next(iter(streamed))
tagged = load_dataset("org/tree", "taxa", revision="v1", split="train").num_rows
from huggingface_hub import HfFileSystem
listed = HfFileSystem().glob("datasets/org/tree/data/**/*.parquet")
import json
print(json.dumps([found, row["image"].size, row["uuid"], tagged, len(listed)]))
"""


@pytest.mark.parametrize("xet", [False, True])
def test_what_is_published_loads_by_name_whole_streamed_and_by_tag(hub, root, xet):
    folder = root / "datasets" / "v1"
    code, out, err = publish_it(hub, folder, xet=xet)
    assert code == 0, err
    assert hub.repos[REPO].private and TOKEN not in out + err
    code, out, err = client(hub, "-c", LOAD, xet=xet)
    assert code == 0, err[-2000:]
    found, size, uuid, n_taxa, n_listed = json.loads(out.splitlines()[-1])
    for config, name in (("catalog", "catalog"), ("taxa", "taxa"), ("rejects", "rejects")):
        (path,) = (folder / "metadata" / "v1").glob(f"{name}-*.parquet")
        assert found[config] == {"train": pq.read_metadata(path).num_rows}
    rows = {split: sum(pq.read_metadata(p).num_rows for p in folder.rglob(f"data/*/*/{split}-*.parquet"))
            for split in ("train", "validation", "test", "unseen")}  # fmt: skip
    assert found["default"] == rows and min(size) > 0 and len(uuid) == 36
    assert n_taxa == found["taxa"]["train"] and n_listed == len(
        list(folder.rglob("data/*/*/*.parquet"))
    )


def test_a_second_time_nothing_is_sent_and_a_dry_run_sends_nothing_at_all(hub, root):
    folder = root / "datasets" / "v1"
    code, out, _ = publish_it(hub, folder, "--dry-run")
    assert code == 0 and "would be created, private" in out and not hub.repos
    assert publish_it(hub, folder)[0] == 0
    before, n_commits = hub.n_received, len(hub.repos[REPO].commits)
    code, out, _ = publish_it(hub, folder)
    assert code == 0 and "already shows" in out
    assert (hub.n_received, len(hub.repos[REPO].commits)) == (before, n_commits)


def test_a_new_release_switches_in_one_commit_and_tells_what_changed(hub, root):
    assert publish_it(hub, root / "datasets" / "v1")[0] == 0
    first, received = files(hub), hub.n_received
    code, _, err = publish_it(hub, root / "datasets" / "v2")
    assert code == 0, err
    shown = files(hub)
    assert not any("/v1/" in path for path in shown), "the release before lies under its tag"
    assert {p for p in hub.repos[REPO].commit("v1").files if "/v1/" in p} == {
        p for p in first if "/v1/" in p
    }
    assert hub.n_received - received < 0.9 * received, "files that are the same are not sent again"
    for commit in hub.repos[REPO].commits:  # whatever a reader of main saw was whole
        names = set(commit.files)
        if "manifest.json" in names:
            manifest = json.loads(hub.bytes_of(commit.files["manifest.json"]))
            assert {f["name"] for f in manifest["files"] if "/" in f["name"]} <= names
    text = hub.bytes_of(hub.repos[REPO].commit("main").files["CHANGES.md"]).decode()
    assert text.index("## v2") < text.index("## v1") and "- removed: 1 (taken down" in text
    changes = hub.bytes_of(
        hub.repos[REPO].commit("main").files["metadata/v2/changes-000000.parquet"]
    )
    rows = pq.read_table(pa.BufferReader(changes)).to_pylist()
    removed = [r for r in rows if r["change"] == "removed"]
    gone = {
        "uuid": (root / "gone").read_text(),
        "change": "removed",
        "reject_reason": "removed_on_request",
    }
    assert removed == [gone]
    rejects = pq.read_table(
        next((root / "datasets/v2/metadata").rglob("rejects-*.parquet"))
    ).to_pylist()
    assert [r["reject_stage"] for r in rejects if r["uuid"] == gone["uuid"]] == ["removal"], (
        "a tombstone"
    )


def test_a_release_that_was_published_never_changes(hub, root, tmp_path):
    assert publish_it(hub, root / "datasets" / "v1")[0] == 0
    other = tmp_path / "other"
    build.build(recipe.changed(recipe.read("sample"), "shard.seed", 99), other)
    code, _, err = publish_it(hub, other / "datasets" / "sample")
    assert code == 2 and "a release never changes" in err and "shard.release" in err


def test_an_earlier_release_cannot_come_back_over_a_later_one(hub, root):
    for view in ("v1", "v2"):
        assert publish_it(hub, root / "datasets" / view)[0] == 0
    shown = files(hub)
    code, _, err = publish_it(hub, root / "datasets" / "v1")
    assert code == 2 and "has published release v1 before and shows v2 now" in err
    assert files(hub) == shown, "what was taken down stays down"


def test_a_release_whose_tag_was_lost_to_a_kill_gets_it_before_the_next_one(hub, root):
    assert publish_it(hub, root / "datasets" / "v1")[0] == 0
    hub.repos[REPO].tags.clear()
    first = hub.repos[REPO].branches["main"]
    assert publish_it(hub, root / "datasets" / "v2")[0] == 0
    assert hub.repos[REPO].tags == {"v1": first, "v2": hub.repos[REPO].branches["main"]}


def test_what_an_abandoned_release_left_goes_with_the_next_switch(hub, root):
    assert publish_it(hub, root / "datasets" / "v1")[0] == 0
    repo = hub.repos[REPO]
    lost = {**repo.commit("main").files}
    lost["data/v9/000/train-000000.parquet"] = next(f for p, f in lost.items() if "train-" in p)
    hub.add_commit(REPO, "main", "files of v9", "", lost)
    assert publish_it(hub, root / "datasets" / "v2")[0] == 0
    assert {p.split("/")[1] for p in files(hub) if p.startswith(("data/", "metadata/"))} == {"v2"}


def test_a_hub_that_does_not_answer_is_not_a_hub_without_releases(hub, root):
    assert publish_it(hub, root / "datasets" / "v1")[0] == 0
    shown = files(hub)
    hub.fail("HEAD", "manifest.json", 503, times=50)
    code, _, err = publish_it(hub, root / "datasets" / "v2")
    if code:
        assert "Traceback" not in err and files(hub) == shown
        hub.faults.clear()
        assert publish_it(hub, root / "datasets" / "v2")[0] == 0
    text = hub.bytes_of(hub.repos[REPO].commit("main").files["CHANGES.md"]).decode()
    assert "## v1" in text and "From v1" in text


@pytest.mark.parametrize("xet", [False, True])
@pytest.mark.parametrize("n_requests", [4, 9, 14])
def test_a_publisher_that_is_killed_goes_on_to_the_same_result(hub, root, n_requests, xet):
    folder = root / "datasets" / "v1"
    running = publish_it(hub, folder, xet=xet, start=True)
    while len(hub.asked) < n_requests and running.poll() is None:
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert publish_it(hub, folder, xet=xet)[0] == 0
    assert publish_it(hub, folder, repo="org/clean", xet=xet)[0] == 0
    one, other = files(hub), files(hub, "org/clean")
    for named in ("README.md", "croissant.json"):  # each names its repository
        assert one.pop(named) and other.pop(named)
    assert one == other
    assert hub.repos[REPO].tags.keys() == {"v1"}


@pytest.mark.parametrize("status", [500, 503, 429, 0])
def test_a_hub_that_stumbles_is_asked_again(hub, root, status):
    for method, pattern in (
        ("PUT", "/upload/"),
        ("POST", "/preupload/"),
        ("POST", "/objects/batch"),
    ):
        hub.fail(method, pattern, status)
    code, _, err = publish_it(hub, root / "datasets" / "v1")
    if code:  # what a client does not retry by itself is said, and the same command goes on
        assert "Traceback" not in err, err[-1500:]
        code, _, err = publish_it(hub, root / "datasets" / "v1")
    assert code == 0, err


def test_a_token_that_is_refused_is_said_before_anything_is_sent(hub, root):
    code, out, err = publish_it(hub, root / "datasets" / "v1", token="hf_wrong")
    assert code == 2 and "HF_TOKEN may do so" in err and "hf_wrong" not in out + err
    assert not hub.repos and "Traceback" not in err


def test_a_repository_that_holds_something_else_is_left_alone(hub, root):
    assert publish_it(hub, root / "datasets" / "v1")[0] == 0
    other = {p: f for p, f in hub.repos[REPO].commit("main").files.items() if p.startswith("data/")}
    moved = {p.replace("/v1/", "/mine/"): f for p, f in other.items()}
    for name, foreign in (
        ("org/a", moved),
        ("org/b", {**moved, "manifest.json": next(iter(other.values()))}),
    ):
        code, _, err = client(
            hub,
            "-c",
            f"import huggingface_hub as h; h.HfApi().create_repo({name!r}, repo_type='dataset')",
        )
        assert code == 0, err
        hub.add_commit(name, "main", "mine", "", foreign)
        code, _, err = publish_it(hub, root / "datasets" / "v1", repo=name)
        assert code == 2 and "holds" in err and "choose another repository" in err
        assert set(files(hub, name)) == set(foreign)


@pytest.mark.parametrize("xet", [False, True])
def test_a_published_catalogue_is_a_source_by_its_name(hub, root, xet):
    assert publish_it(hub, root / "datasets" / "v1", xet=xet)[0] == 0
    first = root / "datasets/v1/metadata/v1/catalog-000000.parquet"
    assert publish_it(hub, root / "datasets" / "v2", xet=xet)[0] == 0
    for place, view in (("org/tree@v1", "v1"), ("org/tree", "v2")):
        code = ("from pathlib import Path; from curation.sources.published import files;"
                f"(p,) = files('hf://datasets/{place}', Path()); print(p)")  # fmt: skip
        done, out, err = client(hub, "-c", code, xet=xet)
        assert done == 0, err
        found = Path(out.strip())
        assert (
            found.read_bytes()
            == (root / f"datasets/{view}/metadata/{view}" / first.name).read_bytes()
        )


def test_a_source_on_a_hub_that_refuses_or_is_away_says_so(hub, root):
    code = "from pathlib import Path; from curation.sources.published import files; files('hf://datasets/org/nothing', Path())"
    _, _, err = client(hub, "-c", code)
    assert "ValueError: the Hub refuses org/nothing" in err
    hub.url = "http://127.0.0.1:9"
    _, _, err = client(hub, "-c", code)
    assert "ValueError: the Hub cannot be reached" in err


def test_a_hub_that_is_not_there_is_said(hub, root):
    hub.url = "http://127.0.0.1:9"
    code, _, err = publish_it(hub, root / "datasets" / "v1", "--dry-run")
    assert code == 2 and "cannot be reached" in err and "Traceback" not in err


def altered(root, tmp_path, **columns):
    """The dataset v1 with columns of its first data file replaced, its manifest in agreement."""
    import shutil

    folder = tmp_path / "altered"
    shutil.copytree(root / "datasets" / "v1", folder, copy_function=shutil.copy)
    path = next(folder.rglob("train-*.parquet"))
    table = pq.read_table(path)
    for name, value in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(
            place, name, pa.array([value] * table.num_rows, table.schema.field(name).type)
        )
    pq.write_table(table, path)
    manifest = json.loads((folder / "manifest.json").read_text())
    for file in manifest["files"]:
        if file["name"] == path.relative_to(folder).as_posix():
            file |= {"bytes": path.stat().st_size, "sha256": artifact.file_sha256(path)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"license": "CC-BY-ND-4.0", "license_status": "nd"}, "under CC-BY-ND-4.0"),
        ({"license": None, "license_status": "unknown", "license_verbatim": None}, "nothing stated"),
        ({"license": None, "license_status": "reserved"}, "under reserved"),
        ({"license": "CC-BY-NC-4.0", "license_status": "nc"}, "--allow-nc"),
        ({"license": "CC-BY-4.0", "license_status": "open", "creator": None, "rightsHolder": None}, "without a credit line"),
    ],
)  # fmt: skip
def test_what_a_licence_forbids_is_not_published(root, tmp_path, columns, said):
    made = publish.release(altered(root, tmp_path, **columns))
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        publish.licences(made, allow_nc=False)
    if columns.get("license_status") == "nc":
        assert publish.licences(made, allow_nc=True)


def test_a_folder_that_is_no_finished_dataset_is_refused_at_once(root, tmp_path):
    with pytest.raises(ValueError, match="no finished dataset"):
        publish.release(tmp_path)
    with pytest.raises(ValueError, match="not a dataset"):
        publish.release(next((root / "media").iterdir()))
    folder = altered(root, tmp_path)
    path = next(folder.rglob("test-*.parquet"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="not as it was built"):
        publish.release(folder)
