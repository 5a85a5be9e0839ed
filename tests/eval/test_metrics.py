"""Figures of tables of answers: small cases by hand, scikit-learn where it has the same, intervals that cover."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from eval import results
from eval.results import Outcome


def _table(**columns):
    n = len(next(iter(columns.values())))
    return results.answers({"example": [f"{i}" for i in range(n)], **columns})


def test_micro_macro_and_top_k_by_hand():
    table = _table(
        truth=list("aaab"), answer=list("aabb"), correct=[1, 1, 0, 1], place=[1, 1, 3, 1]
    )
    assert results.value(table, "accuracy") == 0.75
    assert results.value(table, "macro accuracy") == pytest.approx((2 / 3 + 1) / 2)
    assert results.value(table, "top-3") == 1 and results.value(table.slice(2, 1), "top-5") == 1
    nobody = _table(truth=["a"], answer=["b"], correct=[0], place=[None])
    assert results.value(nobody, "top-5") == 0


def test_f1_is_that_of_scikit_learn_and_compat_scores_two_columns():
    draw = np.random.default_rng(0)
    truth, answer = draw.random((2, 40, 85)) < 0.4
    answer[:, 3] = truth[:, 3] = False  # never said, never true: 0, as scikit-learn
    said = (
        ["".join("01"[int(b)] for b in row) for row in answer],
        ["".join("01"[int(b)] for b in row) for row in truth],
    )
    table = _table(truth=said[1], answer=said[0], correct=[0.0] * 40)
    assert results.value(table, "macro-F1") == pytest.approx(
        f1_score(truth, answer, average="macro", zero_division=0)
    )
    theirs = f1_score(
        truth.astype(int), answer.astype(int), average="macro", labels=np.unique(truth.astype(int))
    )
    assert results.value(table, "macro-F1 of two attributes") == pytest.approx(
        theirs
    )  # the original's very call


def test_lineages_by_hand():
    table = _table(truth=["A|B|C|D|E|F|F f", "A|B|C|D|E|F|F g", "unknown: A|B|C|D|E|G|G a", "A|B|C|D|E|F|F f"],
                   answer=["A|B|C|D|E|F|F f", "A|B|C|D|E|X|X x", "A|B|C", ""], correct=[1, 0, 1, 1], score=[0.9, 0.6, 0.7, 0.2])  # fmt: skip
    assert (
        results.value(table, "species: coverage") == 0.5
        and results.value(table, "species: accuracy") == 0.5
    )
    assert (
        results.value(table, "class: coverage") == 0.75
        and results.value(table, "class: accuracy") == 1
    )
    assert results.value(table, "net ranks right") == pytest.approx((7 + (5 - 2) + 3 + 0) / 28)
    assert results.value(table, "ranks to the mistake") == 2
    assert np.isnan(results.value(table.slice(3), "species: accuracy"))


def test_a_rank_that_is_not_stated_is_neither_named_nor_right():
    table = _table(
        truth=["A|B|||F|G|G a"] * 2, answer=["A|B|||F|G|G a", "A|B|C||F|G|G a"], correct=[1, 0]
    )
    assert (
        results.value(table, "class: coverage") == 0.5
        and results.value(table, "class: accuracy") == 0
    )
    assert results.value(table.slice(0, 1), "net ranks right") == 1
    assert results.value(table.slice(0, 1), "order: coverage") == 0
    assert results.value(table.slice(1), "species: accuracy") == 0, (
        "another class is another lineage"
    )


def test_a_figure_of_several_runs_is_the_mean_of_theirs():
    table = results.answers(
        {
            "run": [0, 0, 1],
            "example": ["a", "b", "a"],
            "truth": ["10", "01", "11"],
            "answer": ["10", "00", "11"],
            "correct": [1, 0, 1],
        }
    )
    each = [results.value(table.slice(0, 2), "macro-F1"), results.value(table.slice(2), "macro-F1")]
    assert results.value(table, "macro-F1") == pytest.approx(np.mean(each))
    low, high = results.interval(table, "macro-F1")
    assert low <= np.mean(each) <= high


def test_confidence_by_hand_and_by_scikit_learn():
    draw = np.random.default_rng(1)
    score = draw.random(300).round(2)
    known = draw.random(300) < 0.2 + 0.6 * score
    correct = (draw.random(300) < score).astype(float)
    truth = ["a" if k else "unknown: b" for k in known]
    table = _table(truth=truth, answer=["a"] * 300, correct=correct, score=score)
    assert results.value(table, "known told from unknown") == pytest.approx(
        roc_auc_score(known, table["score"].to_numpy())
    )
    bins = np.minimum((table["score"].to_numpy().astype(float) * 15).astype(int), 14)
    by_hand = (
        sum(
            abs(correct[bins == b].sum() - table["score"].to_numpy()[bins == b].sum())
            for b in range(15)
        )
        / 300
    )
    assert results.value(table, "calibration error") == pytest.approx(by_hand, abs=1e-6)
    order = np.argsort(-table["score"].to_numpy(), kind="stable")
    assert results.value(table, "accuracy over coverage") == pytest.approx(
        np.mean(correct[order].cumsum() / np.arange(1, 301))
    )
    sure = _table(
        truth=["a"] * 4, answer=["a"] * 4, correct=[1, 1, 0, 0], score=[0.9, 0.8, 0.2, 0.1]
    )
    assert results.value(sure, "accuracy over coverage") == pytest.approx(
        (1 + 1 + 2 / 3 + 1 / 2) / 4
    )


def test_intervals_cover_what_they_should_and_groups_are_drawn_whole():
    draw = np.random.default_rng(2)
    covered = 0
    for k in range(60):
        right = (draw.random(150) < 0.3).astype(float)
        low, high = results.interval(
            _table(truth=["a"] * 150, answer=["a"] * 150, correct=right), "accuracy", seed=k
        )
        covered += low <= 0.3 <= high
    assert covered >= 51  # 57 expected; fewer than 51 in one of 200 such tests
    table = _table(
        truth=["a"] * 100, answer=["a"] * 100, correct=[float(i // 10 % 2) for i in range(100)]
    )
    alone = results.interval(table, "accuracy")
    groups = {f"{i}": f"g{i // 10}" for i in range(100)}
    together = results.interval(table, "accuracy", groups)
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_two_models_are_compared_on_the_same_draws():
    draw = np.random.default_rng(3)
    easy = draw.random(400) < 0.5  # both know them
    one = _table(
        truth=["a"] * 400,
        answer=["a"] * 400,
        correct=(easy | (np.arange(400) % 20 == 0)).astype(float),
    )
    other = _table(truth=["a"] * 400, answer=["a"] * 400, correct=easy.astype(float))
    less, low, high = results.difference(one, other, "accuracy")
    assert less > 0 and low > 0
    alone = results.interval(one, "accuracy")
    assert high - low < (alone[1] - alone[0]) / 2, "pairing takes away what both share"
    with pytest.raises(ValueError, match="same pictures"):
        results.difference(one, other.slice(1), "accuracy")


def test_runs_and_taking_pictures_out():
    table = results.answers(
        {
            "run": [0, 0, 1, 1],
            "example": list("xyxy"),
            "truth": list("aaaa"),
            "answer": list("aabb"),
            "correct": [1, 1, 0, 1],
        }
    )
    assert results.over_runs(table, "accuracy") == (0.75, 0.25, 2)
    outcome = Outcome("m", "b", "zero-shot", "fixed", "s", "accuracy", None, table)
    less = outcome.without({"x"}, "without 1 seen")
    assert results.value(less.answers, "accuracy") == 1 and less.setting == "s, without 1 seen"
