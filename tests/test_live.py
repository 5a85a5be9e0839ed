"""`gbif:<taxon>` from the stand-in of GBIF's API to a dataset that loads, with no backbone on disk."""

import dataclasses
import http.server
import threading

import pytest

from catalog.load import load
from curation import build, live, recipe
from curation.sample import draw, taxa
from tests import gbif_api


@pytest.fixture
def pictures():
    """A loopback server that draws a finch for every address; yields its host and port."""
    looks = draw.looks(taxa.SPECIES, seed=3)
    look = looks["Geospiza fortis"]

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            import hashlib
            import io

            seed = int(hashlib.sha256(self.path.encode()).hexdigest()[:8], 16)
            out = io.BytesIO()
            draw.draw(look, individual=seed, shot=seed).save(out, "JPEG", quality=85)
            self.send_response(200)
            self.send_header("Content-Length", str(len(out.getvalue())))
            self.end_headers()
            self.wfile.write(out.getvalue())

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_one_command_makes_a_dataset_of_a_taxon(tmp_path, pictures, capsys):
    finches = gbif_api.finches(
        24, lambda gbif_id, n: f"http://gbif-media.invalid/{gbif_id}/{n}.jpg"
    )
    world = gbif_api.World(occurrences=finches, taxa=gbif_api.finch_taxa())
    with gbif_api.serve(world):
        chosen = live.recipe_for("Geospiza", tmp_path)
    assert "Geospiza" in capsys.readouterr().out
    chosen = dataclasses.replace(chosen, verdict=dataclasses.replace(chosen.verdict, allow_nc=True))
    made = build.build(chosen, tmp_path, host_map={"*.invalid": pictures})
    rows = load(tmp_path / "datasets" / "gbif-geospiza", config="catalog")["train"].to_list()
    assert made["shard"][0].counts["rows"] > 5
    assert {row["match_rule"] for row in rows} == {"provider"}
    assert {row["genus"] for row in rows} == {"Geospiza"}
    assert all(row["taxonID"] and row["taxonomy"].startswith("gbif:") for row in rows)
    before = [p.stat().st_mtime_ns for p in sorted((tmp_path / "live").rglob("*"))]
    again = recipe.read(str(tmp_path / "live" / "gbif-geospiza" / "recipe.toml"))
    assert again == live.recipe_for("Geospiza", tmp_path), "the snapshot is not taken twice"
    assert before == [p.stat().st_mtime_ns for p in sorted((tmp_path / "live").rglob("*"))]


def test_a_taxon_gbif_does_not_know_fails_with_advice(tmp_path):
    world = gbif_api.World(occurrences=[], taxa=gbif_api.finch_taxa())
    with gbif_api.serve(world), pytest.raises(ValueError, match="Geospizzo"):
        live.recipe_for("Geospizzo", tmp_path)
    assert not (tmp_path / "live" / "gbif-geospizzo" / "recipe.toml").exists()


def test_a_gbif_that_does_not_answer_is_an_error_with_another_way(tmp_path, monkeypatch):
    def silent(taxon):
        raise RuntimeError(f"GBIF match of {taxon!r}, try 5: no route to host\nand much more")

    monkeypatch.setattr(live.gbif_live, "match", silent)
    with pytest.raises(
        ValueError, match=r"GBIF cannot be asked now .*no route.*--new my_taxa\.toml"
    ):
        live.recipe_for("Geospiza", tmp_path)
    assert not (tmp_path / "live" / "gbif-geospiza" / "recipe.toml").exists()
