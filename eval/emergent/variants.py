"""Variants of a species among labelled pictures: its sexes, its ages, from whatever says so.

Darwin Core's `sex` and `lifeStage`; NeWT's questions of age (`ml_age_…`), each of one species; and what NABirds' class
names say in brackets, where it is one sex or one age alone. "Female/juvenile" is taken for the plumage of females there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.examples import Examples

Ints = NDArray[np.int64]
SEXES = ({"female"}, {"male"})
YOUNG = {"juvenile", "immature", "subadult", "larva", "nymph", "pupa", "chick", "nestling", "fledgling", "hatchling", "calf",
         "pup", "cub", "tadpole", "caterpillar", "seedling", "egg"}  # fmt: skip
GROWN = {"adult", "imago", "mature", "flowering", "fruiting"}
AGES = (YOUNG, GROWN)
NEWT_AGE = "ml_age_"
_BRACKET = re.compile(r"^(.*?)\s*\(([^()]*)\)\s*$")


@dataclass(frozen=True)
class Variants:
    """Of n pictures: the number of the species each is of (-1: of none), and its variant: 0, 1, or -1 for neither."""

    name: str
    words: tuple[str, str]
    species: Ints
    variant: Ints
    names: tuple[str, ...]  # of the species


def found(examples: Examples) -> list[Variants]:
    """Every kind of variant that a test set tells of; none where it tells of none."""
    labels = [name or label for name, label in zip(examples.column("species"), examples.column("label"), strict=True)]  # fmt: skip
    made = [
        _of("sex", ("female", "male"), labels, [_one_of(said, SEXES) for said in examples.column("sex")]),
        _of("life stage", ("young", "grown"), labels, [_one_of(said, AGES) for said in examples.column("lifeStage")]),
        _newt(examples),
        *_bracketed(examples.column("label")),
    ]  # fmt: skip
    return [one for one in made if (one.variant >= 0).any()]


def _of(name: str, words: tuple[str, str], labels: list[str | None], variant: list[int]) -> Variants:  # fmt: skip
    names = sorted({label for label, v in zip(labels, variant, strict=True) if label and v >= 0})
    at = {label: i for i, label in enumerate(names)}
    return Variants(name, words, np.array([at.get(label or "", -1) for label in labels]), np.array(variant), tuple(names))  # fmt: skip


def _one_of(said: str | None, kinds: tuple[set[str], set[str]]) -> int:
    word = (said or "").strip().lower()
    return next((i for i, words in enumerate(kinds) if word in words), -1)


def _newt(examples: Examples) -> Variants:
    """Of each question of age, which names a species, its two answers."""
    questions = [q if (q or "").startswith(NEWT_AGE) else None for q in examples.column("question")]  # fmt: skip
    labels = examples.column("label")
    first: dict[str, str] = {}
    for question, label in sorted({(q, label) for q, label in zip(questions, labels, strict=True) if q}):  # fmt: skip
        first.setdefault(question, label)
    variant = [-1 if q is None else int(label != first[q]) for q, label in zip(questions, labels, strict=True)]  # fmt: skip
    species = [q and q.removeprefix(NEWT_AGE).replace("_", " ") for q in questions]
    return _of("age", ("first answer", "second answer"), species, variant)


def _bracketed(labels: list[str]) -> list[Variants]:
    parts = [_BRACKET.match(label) for label in labels]
    species = [part and part[1] for part in parts]
    words = [re.findall(r"[a-z]+", part[2].lower()) if part else [] for part in parts]

    def sex(said: list[str]) -> int:
        return int("male" in said) if ("male" in said) != ("female" in said) else -1

    def age(said: list[str]) -> int:
        kinds = [bool({"immature", "juvenile"} & set(said)), "adult" in said]
        return kinds.index(True) if sum(kinds) == 1 and not {"male", "female"} & set(said) else -1

    kinds: tuple[tuple[str, tuple[str, str], Callable[[list[str]], int]], ...] = (
        ("sex, by the label", ("female", "male"), sex), ("age, by the label", ("young", "grown"), age))  # fmt: skip
    return [_of(name, said, species, [tell(w) for w in words]) for name, said, tell in kinds]
