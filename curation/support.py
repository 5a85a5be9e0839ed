"""`--support DIR`: make the museum's support set of a labelled folder, and say how well it tells the classes apart.

DIR has a folder of pictures per class. The set is written where `museum.support` of the recipe says; a recipe may also name
the folder itself. The table asks every picture by a set made without its fold of five.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from catalog import artifact
from curation import report
from curation.images import embedding, museum
from curation.images.weights import weights
from curation.recipe import BUILT_IN, Recipe
from curation.workshop import file_sha256

MARGINS = (0.0, 0.05, 0.1, 0.2, 0.3)


def make(recipe: Recipe, root: Path, folder: Path) -> Path:
    """Write the support set and print its confusion table; returns the file.

    Raises ValueError where the recipe names no model or no place for it, and for a folder that will not do.
    """
    how = recipe.museum
    if recipe.sample is not None or recipe.folder == BUILT_IN:
        raise ValueError("--support writes beside a recipe of yours: python -m curation.build my_taxa.toml --support DIR")  # fmt: skip
    if not how.model:
        raise ValueError('--support needs a model: set museum.model in the recipe ("pixels" takes no weights)')  # fmt: skip
    target = recipe.folder / Path(how.support).expanduser()
    if not how.support or target.is_dir():
        raise ValueError('--support needs a file to write: set museum.support = "support.npz" in the recipe')  # fmt: skip
    if not folder.is_dir():
        raise ValueError(f"--support: {folder} is no folder of labelled pictures")
    held = None
    if how.model != embedding.PIXELS:
        held = weights(how.model, how.sha256, recipe.folder, key="museum", hashed=lambda path: file_sha256(root, path))  # fmt: skip
    encoder = embedding.opened(how.model, held.place if held else None)
    found = museum.pictures(folder, encoder)
    for file in found.bad:
        report.say(f"left out, for it cannot be decoded: {file.relative_to(folder)}")
    name = museum.model_name(how.model, held)
    made = museum.support(found.vectors, found.labels, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    artifact.write_atomically(target, made.bytes())
    said, margins = museum.cross_validated(found, name)
    report.say(f"{len(found.labels):,} pictures of {len(set(made.labels))} classes, {len(made.labels)} centroids; "
               "every picture asked by a set made without it:\n")  # fmt: skip
    for line in museum.table(found.labels, said):
        report.say(line)
    report.say("\nverdict.min_museum_score   decided   right of those decided")
    right = np.asarray(said) == np.asarray(found.labels)
    for least in MARGINS:
        sure = margins >= least
        shown = f"{right[sure].mean():.3f}" if sure.any() else "-"
        report.say(f"{least:<26g} {sure.mean():>7.3f}   {shown}")
    report.say(f"\nwrote {target}")
    return target
