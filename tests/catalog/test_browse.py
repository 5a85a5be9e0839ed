"""What the server of the page answers, to whom, and what it says when something is wrong."""

import json
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from catalog.shelf import Shelf
from tests.browser import OPEN, get, refused, serving
from tests.catalog.conftest import TITLE
from tests.hub import TOKEN, Hub

ROOT = Path(__file__).parents[2]


def test_every_answer_forbids_scripts_and_sources_of_others(base):
    for path in ("/", "/page.js", "/api/overview", "/thumbnail/0"):
        headers = get(base, path).headers
        assert (
            "default-src 'none'" in headers["Content-Security-Policy"]
            and "unsafe" not in headers["Content-Security-Policy"]
        )
        assert (
            headers["X-Content-Type-Options"] == "nosniff"
            and headers["Referrer-Policy"] == "no-referrer"
        )
        assert "Access-Control-Allow-Origin" not in headers


def test_it_listens_on_this_machine_alone_and_answers_no_other_name(base):
    port = int(base.rpartition(":")[2])
    own = socket.gethostbyname(socket.gethostname())
    if not own.startswith("127."):
        with pytest.raises(OSError):
            socket.create_connection((own, port), timeout=2).close()
    for host in (
        "evil.example",
        f"evil.example:{port}",
        f"127.0.0.1:{port}.evil.example",
        "127.0.0.1",
        "",
    ):
        assert refused(base, "/api/overview", Host=host)[0] == 403, host
    assert get(base, "/api/overview", Host=f"localhost:{port}").status == 200


def test_nothing_can_be_written_and_what_is_not_there_is_said(base):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        with pytest.raises(urllib.error.HTTPError) as error:
            OPEN.open(urllib.request.Request(base + "/api/overview", method=method, data=b""))
        assert error.value.code == 501
    for path in ("/nowhere", "/api/nowhere", "/..%2f..%2fetc/passwd", "/../pyproject.toml", "/page/index.html", "/api/record?uuid=x",
                 "/thumbnail/x", "/thumbnail/99999999", "/picture/x", "/picture/", "/api/taxon?in_kingdom=Nowhere",
                 "/api/pictures?after=99:0"):  # fmt: skip
        status, said = refused(base, path)
        assert status == 404 and json.loads(said)["error"], path
    for path in (
        "/api/pictures?from_year=abc",
        "/api/pictures?after=x",
        "/api/rejects?after=x",
        f"/thumbnail/{'9' * 5000}",
    ):
        assert refused(base, path)[0] == 400, path


def test_pictures_and_thumbnails_are_the_bytes_of_the_dataset(base, sample):
    row = pq.read_table(next(sample.rglob("train-*.parquet"))).slice(3, 1).to_pylist()[0]
    answer = get(base, f"/picture/{row['uuid']}")
    assert answer.read() == row["image"]["bytes"] and answer.headers["Content-Type"] == "image/jpeg"
    assert get(base, f"/thumbnail/{row['uuid']}").read()[:3] == b"\xff\xd8\xff"


def test_many_readers_at_once_get_their_own_answers(base, sample):
    path = sample / "metadata/v1/catalog-000000.parquet"
    uuids = pq.read_table(path, columns=["uuid"])["uuid"].to_pylist()[:120]
    with ThreadPoolExecutor(8) as readers:
        told = list(
            readers.map(lambda uuid: json.load(get(base, f"/api/record?uuid={uuid}")), uuids)
        )
    assert [one["record"]["uuid"] for one in told] == uuids


def test_what_goes_wrong_inside_is_answered_and_said_at_the_terminal(base, sample, tmp_path, capfd):
    assert refused(base, "/api/overview?" + "&".join(f"a{k}=1" for k in range(61)))[0] == 400
    copy = tmp_path / "copy"
    shutil.copytree(sample, copy)
    with serving(copy) as there:
        (copy / "metadata/v1/thumbnails-000000.parquet").write_bytes(b"PAR1 damaged \x1b[2J")
        status, said = refused(there, "/thumbnail/0")
        assert status == 500 and json.loads(said)["error"]
        assert json.load(get(there, "/api/overview"))["n_open"] > 200, (
            "the next question is answered"
        )
    assert "\x1b" not in capfd.readouterr().err


def test_the_program_says_where_it_is_and_what_is_wrong(sample, tmp_path):
    run = [sys.executable, "-m", "catalog.browse"]
    done = subprocess.run(
        [*run, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (
        done.returncode == 2
        and "no manifest.json" in done.stderr
        and "Traceback" not in done.stderr
    )
    running = subprocess.Popen(
        [*run, str(sample), "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        lines = [running.stdout.readline() for _ in range(3)]
        address = lines[2].split()[1]
        assert "TreeOfLife sample world, release v1" in lines[0]
        assert json.load(get(address.rstrip("/"), "/api/overview"))["n_open"] > 200
        port = address.rstrip("/").rpartition(":")[2]
        done = subprocess.run(
            [*run, str(sample), "--port", port],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2 and "--port" in done.stderr
    finally:
        running.terminate()
        running.communicate()


@pytest.mark.parametrize("xet", [False, True])
def test_a_repository_of_the_hub_is_browsed_by_its_name(sample, tmp_path, xet):
    code = ("import json, sys\nfrom catalog.shelf import Shelf\nfrom catalog import questions, record\n"
            "s = Shelf(sys.argv[1])\nu = questions.pictures(s, {'kingdom': 'Animalia'}, {'pixels': 'yes'})['pictures'][0]['uuid']\n"
            "print(json.dumps([u, len(s.picture(u)), len(s.thumbnail(u)), record.overview(s)['n_open']]))")  # fmt: skip
    with Hub(tmp_path / "hub") as hub:
        env = hub.env(xet, TOKEN)
        subprocess.run([sys.executable, "-m", "curation.publish", str(sample), "--repo", "org/tree"], cwd=ROOT, env=env, check=True,
                       capture_output=True)  # fmt: skip
        for place in ("org/tree", "org/tree@v1"):
            done = subprocess.run(
                [sys.executable, "-c", code, place],
                cwd=ROOT,
                env=env,
                check=True,
                capture_output=True,
                text=True,
            )
            uuid, n_bytes, n_small, n_open = json.loads(done.stdout)
            own = Shelf(str(sample))
            assert (n_bytes, n_small) == (len(own.picture(uuid)), len(own.thumbnail(uuid)))
            assert n_open > 200
            own.close()
        done = subprocess.run(
            [sys.executable, "-m", "catalog.browse", "org/none"],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (
            done.returncode == 2
            and "cannot be had from the Hub" in done.stderr
            and "Traceback" not in done.stderr
        )


def test_hostile_titles_do_not_reach_the_terminal_raw(hostile):
    running = subprocess.Popen(
        [sys.executable, "-m", "catalog.browse", str(hostile), "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = "".join(running.stdout.readline() for _ in range(4))
    finally:
        running.terminate()
        running.communicate()
    assert "\x1b" not in said and r"\x1b[31m" in said and 'A "title"' in said
    assert TITLE.count("\x1b") == 1
