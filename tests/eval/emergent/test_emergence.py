"""The command: a page with its controls, figures as data, and clear words for what cannot be asked."""

import json
import re

import pytest

from eval import run
from eval.emergent import report
from eval.emergent.alignment import Alignment
from eval.emergent.judge import Found
from tests.benchmarks import _variants


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return _variants.make(tmp_path_factory.mktemp("drawn"), step=12)


def test_a_page_says_what_emerged_beside_models_that_learned_nothing(drawn, tmp_path, capsys):
    labels, whole = drawn
    lines = whole.read_text().splitlines()
    traits = tmp_path / "traits.csv"  # a size is known of all but one
    traits.write_text("\n".join([f"{lines[0]},size", f"{lines[1]},", *(f"{line},{i % 7}.5" for i, line in enumerate(lines[2:]))]))  # fmt: skip
    asked = ["tiny-vit:random", "--emergence", "--on", str(labels), "--traits", str(traits), "--out", str(tmp_path), "--workers", "0"]  # fmt: skip
    assert run.main(asked) == 0
    said = capsys.readouterr().out
    assert "pixels" in said and re.search(r"rho .* by chance 0\.0", said)
    found = json.loads((tmp_path / "emergence.json").read_text())
    alignments = [row for row in found if "trait" in row]
    assert {row["model"] for row in alignments} == {"pixels", "tiny-vit:random"}
    assert {row["trait"] for row in alignments} == {"beak", "habitat", "kin", "size"}
    assert all(row["low"] is None or row["low"] <= row["value"] <= row["high"] for row in alignments)  # fmt: skip
    habitat = [row for row in alignments if row["trait"] == "habitat" and row["model"] == "pixels"]
    assert any(row["verdict"] == "beyond ancestry" for row in habitat), "it fills the picture"
    assert {row["variant"] for row in found if "variant" in row} == {"sex", "life stage"}
    assert {row["space"] for row in found if "variant" in row} == {"three species", "all species"}
    assert any(row["name"].startswith("names of") for row in found if "gradient_outside" in row)
    page = (tmp_path / "emergence.html").read_text()
    assert "size: 1 of 21 species are not in the table" in page
    assert page.count("data:image/png") == 4 + 2 + 2, "traits, variants, rho and theory"
    for title in ("Traits of species", "How much of a trait is ancestry", "Variation within species", "The theorem, checked"):  # fmt: skip
        assert title in page and title in (tmp_path / "emergence.md").read_text()


@pytest.mark.parametrize(("low", "p", "says"), [
    (0.8, 0.001, "and more than without learning"), (0.4, 0.001, "not told from what needs no learning"), (0.8, 0.2, "no more than ancestry")])  # fmt: skip
def test_what_nobody_had_to_learn_is_told_apart(tmp_path, low, p, says):
    def read(value, low, p):
        return Alignment("axis read on other clades", value, low, 0.95, 0.0, 0.001, 0.0, p, p)

    found = Found(alignments=[("birds", "pixels", "beak", 20, read(0.5, 0.3, 0.001)), ("birds", "mine", "beak", 20, read(0.9, low, p))])  # fmt: skip
    (tmp_path / "figures").mkdir()
    report.write(tmp_path, found)
    short = (tmp_path / "emergence.md").read_text().partition("## In short: traits")[2].partition("##")[0]  # fmt: skip
    (line,) = [line for line in short.splitlines() if line.startswith("| beak")]
    assert "| mine | 0.900 |" in line and "pixels 0.500" in line and says in line


def test_a_trained_model_is_judged_beside_itself_without_training():
    from eval.emergent.judge import controlled

    assert controlled(["local-dir:x", "pixels"]) == ["pixels", "untrained:local-dir:x", "local-dir:x"]  # fmt: skip
    assert controlled(["ViT-B-32:random"]) == ["pixels", "ViT-B-32:random"]


@pytest.mark.parametrize(("more", "said"), [
    ([], "needs models, and labelled pictures"),
    (["--on", "{labels}", "--traits", "{traits}", "--trait", "beek"], "did you mean"),
    (["--on", "{plain}"], "there is nothing to look for"),
    (["--on", "{labels}", "--traits", "absent.csv"], "cannot be read"),
    (["--on", "{labels}", "--trait", "beak"], "say which with --traits"),
    (["--on", "{labels}", "--batch", "0"], "--batch is a whole number"),
    (["--on", "{labels}", "--against", "x"], "does not go with"),
    (["--on", "{labels}", "{other}"], "two test sets are called"),
])  # fmt: skip
def test_what_cannot_be_asked_is_said_at_once(drawn, tmp_path, capsys, more, said):
    labels, traits = drawn
    plain = labels.with_name("plain.csv")
    plain.write_text("\n".join(",".join(line.split(",")[:2]) for line in labels.read_text().splitlines()))  # fmt: skip
    other = tmp_path / "elsewhere" / labels.parent.name / "labels.csv"
    other.parent.mkdir(parents=True)
    other.write_bytes(labels.read_bytes())
    (other.parent / "pictures").symlink_to(labels.parent / "pictures")
    more = [part.format(labels=labels, traits=traits, plain=plain, other=other) for part in more]
    assert run.main(["tiny-vit:random", "--emergence", "--out", str(tmp_path), *more]) == 2
    assert said in capsys.readouterr().err


def test_a_set_without_a_readable_picture_is_told_and_the_others_judged(drawn, tmp_path, capsys):
    labels, _ = drawn
    bad = tmp_path / "bad" / "labels.csv"
    (bad.parent / "pictures").mkdir(parents=True)
    (bad.parent / "pictures" / "a.jpg").write_bytes(b"no picture")
    bad.write_text("filepath,class,sex\npictures/a.jpg,Parus major,male\n")
    assert run.main(["pixels", "--emergence", "--on", str(bad), str(labels), "--out", str(tmp_path), "--workers", "0"]) == 1  # fmt: skip
    said = capsys.readouterr().out
    assert "not done: pixels: bad: not one of 1 pictures can be read" in said and "rho" in said
    assert "not one of 1 pictures" in (tmp_path / "emergence.html").read_text()


def test_a_trait_of_too_few_species_is_told_and_the_rest_done(drawn, tmp_path, capsys):
    labels, _ = drawn
    few = tmp_path / "few.csv"
    few.write_text(
        "species,size,mood\nGeospiza fortis,1.5,glad\nPuma concolor,2.5,sad\nX y,3,sad\n"
    )
    assert run.main(["pixels", "--emergence", "--on", str(labels), "--traits", str(few), "--out", str(tmp_path), "--workers", "0"]) == 1  # fmt: skip
    assert "1 species have the trait and enough pictures; it takes 12" in capsys.readouterr().out
    assert "not done" in (tmp_path / "emergence.md").read_text()
    assert (
        run.main(["pixels", "--on", str(labels), "--traits", str(few), "--out", str(tmp_path)]) == 2
    )
