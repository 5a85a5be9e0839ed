"""Embeddings whose answers are known: species on a tree, traits planted in them or not, variants that lie where they are put."""

import numpy as np

from eval.emergent.ancestry import Lineages, Shares, evolved

SHARES = Shares(np.array([0, 0, 0, 0.4, 0.3, 0.2]))


def lineages(orders=10, families=3, genera=3, species=2):
    """A tree in which every taxon has as many below it; species are of six ranks above them."""
    return Lineages.of([["Animalia", "Chordata", "Aves", f"O{o}", f"F{o}.{f}", f"G{o}.{f}.{g}"]
                        for o in range(orders) for f in range(families) for g in range(genera) for _ in range(species)])  # fmt: skip


def looks(tree, seed, dim=24, noise=0.1):
    """Species' means (K, D) that came down the tree."""
    random = np.random.default_rng(seed)
    return evolved(tree, SHARES, dim, random) + noise * random.standard_normal(
        (tree.n_species, dim)
    )


def variants(seed, inside, size=2.0, n_species=20, dim=48, n_each=12, noise=0.4, own_dim=6):
    """Pictures of species that differ in `own_dim` directions, and of two variants whose difference, of length `size`, lies
    in them by `inside`; returns vectors, species, variant."""
    random = np.random.default_rng(seed)
    directions = np.linalg.qr(random.standard_normal((dim, own_dim)))[0].T
    # as much in every direction, so that a basis of all of them explains all
    means = np.linalg.qr(random.standard_normal((n_species, own_dim)))[0] * n_species**0.5 @ directions  # fmt: skip
    rows, species, variant = [], [], []
    for k in range(n_species):
        along = directions.T @ random.standard_normal(own_dim)
        across = random.standard_normal(dim)
        across -= directions.T @ (directions @ across)
        delta = size * (
            inside**0.5 * along / np.linalg.norm(along)
            + (1 - inside) ** 0.5 * across / np.linalg.norm(across)
        )
        for v in (0, 1):
            rows.append(means[k] + (v - 0.5) * delta + noise * random.standard_normal((n_each, dim)))  # fmt: skip
            species += [k] * n_each
            variant += [v] * n_each
    return np.concatenate(rows), np.array(species), np.array(variant)
