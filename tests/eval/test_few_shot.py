"""SimpleShot: the answers of a plain loop and of scikit-learn, and splits that can be published."""

import random

import numpy as np
import pytest
from sklearn.neighbors import NearestCentroid

from eval import few_shot, results


def _plain(taught, labels, asked):
    """SimpleShot one picture at a time."""
    mean = taught.mean(0)
    unit = [(row - mean) / np.linalg.norm(row - mean) for row in taught]
    centres = {
        c: np.mean([u for u, label in zip(unit, labels, strict=True) if label == c], axis=0)
        for c in sorted(set(labels))
    }
    found = []
    for row in asked:
        q = (row - mean) / np.linalg.norm(row - mean)
        found.append(min(centres, key=lambda c: float(((q - centres[c]) ** 2).sum())))
    return found


@pytest.mark.parametrize(("k", "apart"), [(1, 0.3), (5, 0.3), (3, 2.0)])
def test_answers_are_those_of_a_plain_loop_and_of_scikit_learn(k, apart):
    draw = np.random.default_rng(k)
    centres = draw.normal(size=(7, 24)) * apart
    labels = np.repeat(np.arange(7), k)
    taught = (centres[labels] + draw.normal(size=(7 * k, 24))).astype(np.float32)
    asked = (centres[draw.integers(0, 7, 300)] + draw.normal(size=(300, 24))).astype(np.float32)
    ours, far = few_shot.classify(taught.copy(), labels, asked.copy(), 7, at_once=64)
    assert ours.tolist() == _plain(
        taught.astype(np.float64), labels.tolist(), asked.astype(np.float64)
    )
    mean = taught.mean(0)
    x, q = (
        (part - mean) / np.linalg.norm(part - mean, axis=1, keepdims=True)
        for part in (taught, asked)
    )
    assert ours.tolist() == NearestCentroid().fit(x, labels).predict(q).tolist()
    assert (far >= 0).all()


def test_compat_folds_are_drawn_as_the_first_scripts_drew_them():
    labels = ["b"] * 4 + ["a"] * 3
    found = few_shot.splits(labels, (1, 2), track="compat", n_folds=2)
    lists = {
        "b": [0, 1, 2, 3],
        "a": [4, 5, 6],
    }  # what they did: in place, seeded by the fold, k by k
    for k in (1, 2):
        for fold in range(2):
            random.seed(fold)
            for name in ("b", "a"):
                random.shuffle(lists[name])
            assert found[k, fold].tolist() == lists["b"][:k] + lists["a"][:k], (k, fold)


def test_fixed_folds_do_not_depend_on_other_classes_or_other_folds():
    one = few_shot.splits(["a"] * 9 + ["b"] * 9, (2,))
    other = few_shot.splits(["a"] * 9 + ["c"] * 9, (1, 2))
    for fold in range(few_shot.N_FOLDS):
        assert one[2, fold][:2].tolist() == other[2, fold][:2].tolist()
    assert len({tuple(one[2, fold][:2]) for fold in range(few_shot.N_FOLDS)}) > 1


def test_classes_with_too_few_pictures_are_left_out_and_told(drawn):
    examples, features = drawn(n_classes=4, n_each=6)
    labels = examples.column("label")
    labels[1:6] = ["class 9"] * 5  # class 0 has one picture, class 9 five
    table = examples.table.set_column(1, "label", [labels])
    examples = type(examples)("drawn", table, None, "0")
    (outcome,) = few_shot.few_shot("m", examples, features, (5,), "fixed")
    assert set(outcome.answers["truth"].to_pylist()) == {"class 1", "class 2", "class 3"}
    assert outcome.chance == pytest.approx(1 / 3)
    assert "2 of 5 classes have 5 pictures or fewer" in outcome.notes[0]


def test_fixed_asks_no_picture_of_what_was_learned_from(drawn):
    groups = [f"organism {i // 2}" for i in range(40)]
    examples, features = drawn(group_id=groups)
    (fixed,) = few_shot.few_shot("m", examples, features, (1,), "fixed")
    (compat,) = few_shot.few_shot("m", examples, features, (1,), "compat")
    assert compat.answers.num_rows == few_shot.N_FOLDS * (40 - 5)
    assert fixed.answers.num_rows == few_shot.N_FOLDS * (
        40 - 10
    )  # neither the five nor their other pictures


def test_splits_are_written_and_read_back(drawn, tmp_path):
    examples, features = drawn()
    names = examples.column("example")
    made = few_shot.splits(examples.column("label"), (1, 5))
    few_shot.write_splits(tmp_path / "s.csv", made, names)
    given = few_shot.read_splits(tmp_path / "s.csv", names)
    assert {key: rows.tolist() for key, rows in given.items()} == {
        key: rows.tolist() for key, rows in made.items()
    }
    ours = list(few_shot.few_shot("m", examples, features, (1, 5), "fixed"))
    again = list(few_shot.few_shot("m", examples, features, (1, 5), "fixed", given=given))
    assert [results.value(a.answers, "accuracy") for a in ours] == [
        results.value(a.answers, "accuracy") for a in again
    ]
    (tmp_path / "bad.csv").write_text("shots,fold,example\n1,0,nowhere.jpg\n")
    with pytest.raises(ValueError, match=r"line 2: the test set has no picture 'nowhere\.jpg'"):
        few_shot.read_splits(tmp_path / "bad.csv", names)
