"""How often is ancestry alone taken for alignment, and how often is alignment found?

Made-up worlds on the sample world's tree: the looks of species come down it in 24 directions, and so does a trait that is in
none of them; how much relatives share lies at other ranks in each of four kinds of world. Ours: the share of worlds in which
any figure of `eval.emergent.alignment` says "beyond ancestry". Peer: the share in which any p against traits dealt out at
random is below 0.05, as a plain permutation test has it. Limit: the level, 0.05. Then the same with the trait in the looks.
"""

from __future__ import annotations

import numpy as np

from curation.sample.taxa import SPECIES
from eval.emergent import alignment
from eval.emergent.ancestry import Lineages, Shares, evolved
from tests.benchmarks.harness import Result, Row, target

N_WORLDS, N_DRAWS, DIM = 50, 199, 24
STRENGTH = 1.0  # of the trait in one direction, beside what else is there
KINDS = {  # what is shared at each rank above the species
    "as the sample world": (0.10, 0.12, 0.14, 0.22, 0.26, 0.10),
    "deep": (0.30, 0.30, 0.20, 0.10, 0.05, 0.0),
    "of classes": (0.0, 0.0, 0.60, 0.20, 0.10, 0.05),
    "of genera": (0.0, 0.0, 0.0, 0.10, 0.30, 0.50),
}
MOST = 0.10  # of worlds, where the level is 0.05 and there are so few


def run(*, quick: bool) -> Result:
    """Four kinds of world, numbers and classes; about six minutes."""
    tree = Lineages.of([one.lineage[:-1] for one in SPECIES])
    n = 1 if quick else N_WORLDS
    rows, targets = list[Row](), []
    for kind, by_rank in KINDS.items():
        share = Shares(np.array(by_rank))
        ours, peers, found = 0, 0, 0
        for seed in range(n):
            random = np.random.default_rng((1, seed))
            looks, trait = evolved(tree, share, DIM, random), evolved(tree, share, 1, random)[:, 0]
            told = alignment.of_number(alignment.Space.of(looks, tree), trait, n=N_DRAWS, seed=seed)
            ours += any(one.verdict == "beyond ancestry" for one in told)
            peers += any(one.p_random < alignment.LEVEL for one in told)
            looks[:, 0] += STRENGTH * trait
            told = alignment.of_number(alignment.Space.of(looks, tree), trait, n=N_DRAWS, seed=seed)
            found += any(one.verdict == "beyond ancestry" for one in told)
        rows += [Row(f"ancestry alone, {kind}: taken for alignment", "share", ours / n, peers / n, alignment.LEVEL),
                 Row(f"the trait is in the looks, {kind}: found", "share", found / n)]  # fmt: skip
        targets += [target(f"ancestry alone, {kind}: taken for alignment in at most {MOST:.0%} of worlds", ours / n <= MOST, f"{ours} of {n}", judged=not quick),
                    target(f"the trait is in the looks, {kind}: found in at least half", found / n >= 0.5, f"{found} of {n}", judged=not quick)]  # fmt: skip
    return Result("ancestry", "permutation at random", "level", tuple(rows), tuple(targets))
