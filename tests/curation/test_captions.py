"""The replay set: web pictures with captions go the way of every other picture, and never leave the machine."""

import io
import json
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from catalog import artifact, load, schema, sql
from curation import build, publish, recipe
from curation.sources import captions
from tests.archives import rows, table_file
from tests.drawings import photo
from tests.own_table import RECIPE as OWN
from tests.picture_server import Handler, Server
from training import replay

RECIPE = """
name = "replay"
[[source]]
kind = "captions"
name = "web"
path = "parts"
images = "."
[[benchmark]]
name = "held"
path = "held"
[verdict]
min_side_px = 200
remove_url = ["file:web/gone.png"]
"""
LISTED = [  # LAION's columns: address, caption, licence; and why the row is left out
    ("dog.png", "A  dog\n on\tgrass\x07", "?", None),
    ("car.png", "a car", "All rights reserved", None),
    ("cat.png", "a cat", "https://creativecommons.org/licenses/by-nc-nd/4.0/", None),
    ("tree.png", "a tree", "CC0", None),
    ("tree_again.png", "a tree, once more", None, "duplicate_md5"),
    ("dog.png", "the same address", "?", "duplicate_row"),
    ("test_picture.png", "of a benchmark", None, "near_held"),
    ("gone.png", "somebody asked", None, "removed_on_request"),
    ("small.png", "an icon", None, "too_small"),
    ("lost.png", "not there", None, "file_not_found"),
    (None, "no address", None, "no_identifier"),
    ("mute.png", None, None, "no_caption"),
    ("blank.png", " \n\u3000\x00 ", None, "no_caption"),
]


def listed(path, found):
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [pa.array(column, pa.string()) for column in list(zip(*found, strict=True))[:3]]
    pq.write_table(pa.table(dict(zip(("URL", "TEXT", "LICENSE"), texts, strict=True))), path)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Pictures, two parts of a table that lists them, a held-out picture, and the recipe."""
    place = tmp_path_factory.mktemp("captions")
    for seed, name in enumerate(("dog", "car", "cat", "tree", "test_picture", "gone")):
        photo(seed).save(place / f"{name}.png")
    photo(3).save(place / "tree_again.png")
    photo(9, (120, 90)).save(place / "small.png")
    (place / "held").mkdir()
    photo(4).resize((210, 150)).save(place / "held" / "q.jpg", quality=80)
    listed(place / "parts" / "part-0.parquet", LISTED[:7])
    listed(place / "parts" / "part-1.parquet", LISTED[7:])
    (place / "r.toml").write_text(RECIPE)
    return place


@pytest.fixture(scope="module")
def made(world):
    return build.build(recipe.read(str(world / "r.toml")), world / "root")


@pytest.fixture(scope="module")
def dataset(made, world):
    return world / "root" / "datasets" / "replay"


def kept(dataset):
    return {r["identifier"]: r for path in sorted(dataset.rglob("data/*/*/*.parquet"))
            for r in pq.read_table(path).to_pylist()}  # fmt: skip


def rejects(dataset):
    return pq.read_table(next(dataset.rglob("rejects-*.parquet"))).to_pylist()


def test_every_row_of_the_tables_is_kept_or_says_why_not(dataset):
    found = {(r["source_table"], r["source_row"]): r["reject_reason"] for r in rejects(dataset)}
    places = [("part-0.parquet", n) for n in range(1, 8)] + [("part-1.parquet", n) for n in range(1, 7)]  # fmt: skip
    assert found == {at: why for at, (*_, why) in zip(places, LISTED, strict=True) if why}
    assert kept(dataset).keys() == {address for address, *_, why in LISTED if why is None}


def test_a_picture_comes_with_its_caption_cleaned_and_what_its_licence_says(dataset):
    found = kept(dataset)
    assert {name: r["caption"] for name, r in found.items()} == {
        "dog.png": "A dog on grass", "car.png": "a car", "cat.png": "a cat", "tree.png": "a tree"}  # fmt: skip
    assert found["dog.png"]["license_verbatim"] is None, "LAION writes ? for what it does not know"
    assert found["car.png"]["license_verbatim"] == "All rights reserved"
    assert found["tree.png"]["license"] == "CC0-1.0"
    assert {r["split"] for r in found.values()} == {"train"}


def test_a_dataset_of_captions_loads_and_its_pictures_decode(dataset):
    import datasets

    for data in (datasets.load_dataset(str(dataset)), load.load(dataset)):
        assert list(data) == ["train"] and data["train"].column_names == list(
            schema.CAPTIONS.columns
        )
        assert {row["image"].size for row in data["train"]} == {(420, 300)}
    assert datasets.load_dataset(str(dataset), "rejects")["train"].num_rows == 9
    (file,) = dataset.rglob("data/*/*/*.parquet")
    chunk = pq.ParquetFile(file).metadata.row_group(0)
    (bytes_,) = (chunk.column(i) for i in range(chunk.num_columns)
                 if chunk.column(i).path_in_schema == "image.bytes")  # fmt: skip
    assert bytes_.compression == "UNCOMPRESSED"


def test_training_reads_every_row_with_its_caption(dataset):
    place = replay.pairs(str(dataset))
    assert place.has_captions and place.sizes.sum() == 4
    got = place.read(0)
    by_uuid = {r["uuid"]: r["caption"] for r in kept(dataset).values()}
    assert dict(zip(got.uuids, got.words, strict=True)) == by_uuid
    assert Image.open(io.BytesIO(got.image(0))).size == (420, 300)


def test_a_private_set_is_not_published_whatever_is_asked(dataset, capsys):
    assert json.loads((dataset / artifact.MANIFEST).read_text())["params"]["private"] is True
    for how in ({}, {"dry_run": True}, {"allow_nc": True}):
        with pytest.raises(
            ValueError, match=r"is private: the licences of its pictures are unknown"
        ):
            publish.publish(dataset, "org/replay", **how)
    assert publish.main([str(dataset), "--repo", "org/replay", "--dry-run", "--allow-nc"]) == 2
    assert "cannot be published" in capsys.readouterr().err


def test_the_card_says_that_it_is_private_and_tells_of_captions_not_of_taxa(dataset):
    import mlcroissant

    card = (dataset / "README.md").read_text()
    assert (
        "A private set of 4 captioned web pictures for replay" in card
        and "is never published" in card
    )
    assert "`caption`" in card and "`family`" not in card and "families" not in card
    assert 'license: "other"' in card and "| near_held |" in card
    assert "Held-out pictures and their copies were left out: held." in card
    said = json.loads((dataset / "croissant.json").read_text())
    assert "license" not in said and said["isAccessibleForFree"] is False
    described = mlcroissant.Dataset(jsonld=dataset / "croissant.json").metadata.record_sets
    assert [f.name for r in described if r.name == "default" for f in r.fields] == list(
        schema.CAPTIONS.columns
    )
    assert "license:" not in (dataset / "CITATION.cff").read_text()


def test_a_recipe_of_taxa_still_refuses_what_has_no_open_licence(world):
    table = "".join(f"{name},{licence or ''}\n" for name, _, licence, _ in LISTED[:4])
    (world / "t.csv").write_text(f"identifier,license\n{table}")
    (world / "own.toml").write_text(OWN.replace('licence = "CC0"\n', ""))
    done = build.build(recipe.read(str(world / "own.toml")), world / "root")["shard"][0]
    why = {r["identifier"]: r["reject_reason"] for r in rejects(done.dir)}
    assert why == {"dog.png": "licence_unknown", "car.png": "licence_reserved", "cat.png": "licence_nd"}  # fmt: skip
    assert "private" not in done.manifest["params"] and publish.release(done.dir)


def test_a_second_build_does_nothing_and_one_elsewhere_gives_the_same_bytes(made, world, capsys):
    chosen = recipe.read(str(world / "r.toml"))
    assert build.build(chosen, world / "root")["shard"][0].address == made["shard"][0].address
    assert "nothing to do" in capsys.readouterr().out
    other = build.build(chosen, world / "other")["shard"][0]
    assert other.manifest == made["shard"][0].manifest, "files are named there with their sha256"


OK = '[[source]]\nkind = "captions"\nname = "web"\npath = "p.parquet"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OK + '[[source]]\nkind = "own"\nname = "o"\npath = "t.csv"\n', "mixes the kinds captions, own.* write two recipes"),
        (OK + 'columns = {url = "u"}\n', r"source\[0\].columns \['url'\] must be of identifier, caption, license"),
    ],
)  # fmt: skip
def test_a_recipe_that_cannot_be_says_what_to_write_instead(tmp_path, text, said):
    (tmp_path / "r.toml").write_text(f'name = "replay"\n{text}')
    with pytest.raises(ValueError, match=said):
        recipe.read(str(tmp_path / "r.toml"))


def test_what_is_not_there_is_told_before_any_work(tmp_path):
    (tmp_path / "r.toml").write_text('name = "replay"\n' + OK)
    for path, said in (("p.parquet", "not there: source 'web'"), ("p/*.parquet", "not there: source 'web'"),
                       (".", "holds no table.* there is r.toml")):  # fmt: skip
        (tmp_path / "r.toml").write_text('name = "replay"\n' + OK.replace("p.parquet", path))
        with pytest.raises(ValueError, match=said):
            build.build(recipe.read(str(tmp_path / "r.toml")), tmp_path.parent / "root")


def read(tmp_path, name, content, **how):
    path = table_file(tmp_path / "in", name, content)
    query = captions.captions(sql.connect(), archive="web", paths=captions.files(path), home=captions.home(path),
                              work_dir=tmp_path / "work", **how)  # fmt: skip
    return rows(query, schema.SOURCE)


@pytest.mark.parametrize(
    ("name", "content", "how"),
    [
        ("t.csv", 'url,caption\na.jpg,"one, two"\nb.jpg,\nc.jpg,x,y\n', {}),
        ("t.tsv", "Text\tImage_URL\none, two\ta.jpg\n \tb.jpg\nx\tc.jpg\ty\n", {}),
        ("t.csv", 'u,c,title\na.jpg,"one, two",x\nb.jpg,,x\nc.jpg,x\n', {"columns": {"identifier": "u", "caption": "c"}}),
    ],
)  # fmt: skip
def test_a_delimited_table_is_read_as_well(tmp_path, name, content, how):
    found = read(tmp_path, name, content, **how)
    assert (found[0]["identifier"], found[0]["title"]) == ("a.jpg", "one, two")
    assert [row["reject_reason"] for row in found] == [None, "no_caption", "ragged_row"]


def test_parquet_of_any_text_type_gives_its_captions(tmp_path):
    address = "HTTPS://Example.org:443/a.jpg"
    bad = pa.array([b"caf\xe9", None], pa.binary()).view(pa.string())
    columns = {"url": pa.array([address, None]).dictionary_encode(), "text": bad, "title": ["no", "no"], "license": pa.nulls(2)}  # fmt: skip
    found = read(tmp_path, "t.parquet", pa.table(columns), licence="CC0")
    assert (found[0]["title"], found[0]["record_key"]) == ("caf\ufffd", "http://example.org/a.jpg")
    assert [r["license_verbatim"] for r in found] == ["CC0"] * 2
    assert found[1]["reject_reason"] == "no_identifier"
    long = pa.table({"url": pa.array(["a"], pa.large_string()), "Title": ["\u202ey" * 3000]})
    (row,) = read(tmp_path, "long.parquet", long)
    assert row["title"] == "y" * captions.MAX_CHARACTERS


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", "id,words\n1,x\n", r"t.csv has no column of text for the identifier: one of url, identifier, image_url.*it has id, words"),
        ("t.csv", "url,words\n1,x\n", r"for the caption: one of caption, text, title.*columns = \{caption"),
        ("t.parquet", pa.table({"url": [b"x"], "text": ["x"]}), "t.parquet has no column of text for the identifier.*it has text"),
        ("t.parquet", b"PAR1", "not readable parquet"),
    ],
)  # fmt: skip
def test_a_table_that_lacks_a_column_is_refused_with_what_it_has(tmp_path, name, content, said):
    with pytest.raises(ValueError, match=said):
        read(tmp_path, name, content)
    with pytest.raises(
        ValueError, match=r"has no column of text 'u' \(for identifier\); it has a, b"
    ):
        read(tmp_path, "s.parquet", pa.table({"a": ["x"], "b": ["y"]}), columns={"identifier": "u"})


class Photos(Handler):
    """A server whose pictures are pictures."""

    def _photo(self, seen, rest):
        out = io.BytesIO()
        photo(int(rest)).save(out, "JPEG")
        self._say(body=out.getvalue())


def test_pictures_of_the_web_are_fetched_like_any_other(tmp_path):
    server = Server(("127.0.0.1", 0), Photos)
    server.lock, server.seen, server.asked = threading.Lock(), {}, []
    paths = ("/photo/1", "/photo/2", "/photo/1?again", "/status/404", "/header/X-Robots-Tag/noai")
    found = [(f"http://web.invalid{path}", f"words of {path}", None) for path in paths]
    listed(tmp_path / "in" / "p1.parquet", found[:3])
    listed(tmp_path / "in" / "p2.parquet", [*found[3:], ("beside.png", "beside the table", None)])
    photo(5).save(tmp_path / "in" / "beside.png")
    (tmp_path / "r.toml").write_text('name = "replay"\n' + OK.replace("p.parquet", "in/p?.parquet"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        build.build(recipe.read(str(tmp_path / "r.toml")), tmp_path / "root",
                    host_map={"*.invalid": f"127.0.0.1:{server.server_port}"})  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
    dataset = tmp_path / "root" / "datasets" / "replay"
    why = [r["reject_reason"] for r in rejects(dataset)]
    assert sorted(why) == ["duplicate_md5", "http_404", "opted_out"]
    said = {address: row["caption"] for address, row in kept(dataset).items()}
    assert said.pop("beside.png") == "beside the table" and len(said) == 2
    assert all(f"words of {a.removeprefix('http://web.invalid')}" == c for a, c in said.items())
