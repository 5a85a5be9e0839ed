"""A recipe that cannot work says which file, which key, and what to write instead."""

import dataclasses

import pytest

from catalog.toml_tree import as_toml_value
from curation import recipe

GOOD = 'name = "mine"\n[[source]]\nkind = "own"\nname = "field"\npath = "t.csv"\n'


def written(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(tmp_path, text):
    path = written(tmp_path, text)
    with pytest.raises(ValueError) as caught:
        recipe.read(str(path))
    assert str(caught.value).startswith(str(path)), "the file is named"
    return str(caught.value)


def test_a_recipe_is_its_file_and_defaults_and_starts_at_its_own_folder(tmp_path):
    made = recipe.read(str(written(tmp_path, GOOD + "[fetch]\ntimeout_s = 5\n")))
    assert (made.name, made.folder, made.fetch.timeout_s) == ("mine", tmp_path, 5.0)
    assert isinstance(made.fetch.timeout_s, float)
    assert made.verdict == recipe.Verdict()


@pytest.mark.parametrize("name", sorted(p.stem for p in recipe.BUILT_IN.glob("*.toml")))
def test_every_built_in_recipe_reads(name):
    assert recipe.read(name).folder == recipe.BUILT_IN


def test_a_recipe_that_is_not_there_names_the_built_in_ones():
    with pytest.raises(ValueError, match=r"no recipe 'sampel': .*sample.*gbif:<taxon>"):
        recipe.read("sampel")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "[fetch]\ntimeout = 5\n", "unknown key 'fetch.timeout'; did you mean 'timeout_s'?"),
        (GOOD + "[dedupe]\n", "unknown key 'dedupe'; did you mean 'dedup'?"),
        (GOOD + "licence_ = 1\n", "unknown key 'source[0].licence_'; did you mean 'licence'?"),
        (GOOD + "[verdict]\nzzz = 1\n", "choose one of min_rank, min_side_px"),
        (GOOD + "[fetch]\nfolder = 'x'\n", "unknown key 'fetch.folder'"),
        ("folder = 'x'\n" + GOOD, "unknown key 'folder'"),
        (GOOD + "[fetch]\ntries = '4'\n", "fetch.tries is '4'; it must be a whole number"),
        (GOOD + "[fetch]\ntries = 4.0\n", "fetch.tries is 4.0; it must be a whole number"),
        (GOOD + "[fetch]\ntries = true\n", "fetch.tries is True; it must be a whole number"),
        (GOOD + "[fetch]\nbackoff_s = false\n", "fetch.backoff_s is False; it must be a number"),
        (GOOD + "[verdict]\nallow_nc = 1\n", "verdict.allow_nc is 1; it must be true or false"),
        (GOOD + "[verdict]\nremove_url = 'x'\n", "verdict.remove_url is 'x'; it must be a list"),
        (GOOD + "[verdict]\nremove_url = ['x', 3]\n", "verdict.remove_url[1] is 3; it must be text"),
        ("name = 3\n", "name is 3; it must be text in quotes"), ("fetch = 3\n" + GOOD, "fetch is 3; it must be a table"),
        (GOOD.replace("[[source]]", "[source]"), "[source] must be written [[source]]"),
        (GOOD + 'drop = ["occlusion"]\n', "must be of groupOf, occluded, truncated"),
        (GOOD + 'licence = "free for all"\n', "'free for all' is no licence we know"),
        (GOOD.replace('path = "t.csv"\n', ""), "source[0] needs path"), (GOOD.split("\n", 1)[1], "the recipe needs name"),
        ('name = "mine"\n', "source is empty"), (GOOD.replace('"own"', '"gbi"'), "'gbi' is unknown; did you mean 'gbif'?"),
        (GOOD + GOOD.split("\n", 1)[1], "source names must differ"),
        (GOOD + "[[taxonomy]]\nname='t'\npath='a'\n" * 2, "taxonomy names must differ"),
        (GOOD.replace('"field"', '""'), "source has an empty name"),
        (GOOD.replace('"mine"', '"../mine"'), "name '../mine' must be"), (GOOD.replace('"mine"', '""'), "name '' must be"),
        (GOOD + "[verdict]\nmin_rank = 'familiy'\n", "'familiy' is no rank; did you mean 'family'?"),
        (GOOD + "[geoprivacy]\npolicy = 'none'\n", "geoprivacy.policy must be one of"),
        (GOOD + "[shard]\nrelease = '../v1'\n", "shard.release '../v1' must be"),
        (GOOD + "[shard]\nrelease = ''\n", "shard.release '' must be"),
        (GOOD + "name = \n", "is not TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_the_nearest_right_thing(tmp_path, text, said):
    assert said in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("fetch.n_connections", "2048", "0"), ("fetch.per_host", "1", "257"), ("fetch.tries", "20", "0"),
        ("fetch.timeout_s", "0.1", "0"), ("fetch.max_seconds", "1", "-1"), ("fetch.max_runs", "1", "0"),
        ("fetch.backoff_s", "0", "-0.1"), ("fetch.backoff_s", "600", "nan"), ("fetch.max_mb", "1", "0"),
        ("pixels.max_side_px", "0", "-1"), ("pixels.quality", "100", "101"), ("pixels.max_megapixels", "1", "0"),
        ("dedup.near_max_bits", "15", "16"), ("dedup.burst_s", "0", "-1"), ("verdict.min_side_px", "1", "0"),
        ("shard.n_buckets", "1", "0"), ("shard.rows_per_group", "1", "0"), ("shard.validation", "0", "0.51"),
        ("shard.test", "0.5", "nan"), ("shard.unseen_genera", "0.5", "inf"),
    ],
)  # fmt: skip
def test_numbers_stay_in_their_range(tmp_path, key, good, bad):
    section, field = key.split(".")
    made = recipe.read(str(written(tmp_path, f"{GOOD}[{section}]\n{field} = {good}\n")))
    assert getattr(getattr(made, section), field) == float(good)
    said = refused(tmp_path, f"{GOOD}[{section}]\n{field} = {bad}\n")
    assert (
        f"{key} is {float(bad):g}".rstrip("0") in said.replace(".0;", ";")
        or f"{key} is {bad}" in said
    )
    assert "it must be from" in said


def test_what_if_changes_one_field_and_nothing_else(tmp_path):
    base = recipe.read(str(written(tmp_path, GOOD)))
    made = recipe.changed(base, "dedup.near_max_bits", as_toml_value("4"))
    assert made == dataclasses.replace(base, dedup=recipe.Dedup(near_max_bits=4))
    assert recipe.changed(base, "title", as_toml_value("My taxa")).title == "My taxa"
    assert recipe.changed(
        base, "verdict.remove_url", as_toml_value('["x"]')
    ).verdict.remove_url == ("x",)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("dedup.near_max_bit", "4", "unknown key 'dedup.near_max_bit'; did you mean 'near_max_bits'?"),
        ("dedupe.near_max_bits", "4", "there is no section 'dedupe'; did you mean 'dedup'?"),
        ("dedup.near_max_bits", "40", "dedup.near_max_bits is 40; it must be from 0 to 15"),
        ("dedup.near_max_bits", "four", "it must be a whole number"), ("verdict.allow_nc", "yes", "it must be true or false"),
        ("source.name", "x", "there is no section 'source'; choose one of fetch, pixels"),
        ("folder", "x", "unknown key 'folder'"), ("", "x", "unknown key ''"), ("a.b.c", "1", "there is no section 'a.b'"),
    ],
)  # fmt: skip
def test_what_if_refuses_what_a_recipe_would(tmp_path, key, value, said):
    base = recipe.read(str(written(tmp_path, GOOD)))
    with pytest.raises(ValueError) as caught:
        recipe.changed(base, key, as_toml_value(value))
    assert said in str(caught.value)
    assert "--what-if" in str(caught.value)
