"""`gbif:<taxon>`: a recipe for a dataset of one taxon, from GBIF as it is now.

The occurrences and their media are taken once, as a Darwin Core Archive beside the build, and the
recipe that reads it is saved with it: from there on it is a build like any other, and can be edited
and repeated. Remove the folder to take a newer snapshot.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from curation import recipe, report
from curation.sources import gbif_live

LIMIT = 1_000  # occurrences; a first look at a taxon, polite to GBIF
TEMPLATE = """\
# Made by `python -m curation.build gbif:{asked}`. Edit it and build it by its path.
name = "{slug}"
title = {title}

[[source]]
kind = "gbif"
name = "gbif"
path = "archive"          # the snapshot taken from GBIF; remove it and build gbif:{asked} for a newer one

[fetch]
per_host = 4              # requests under way at one host

[verdict]
min_rank = "family"       # labels are GBIF's own (match_rule "provider"): no backbone is loaded
allow_nc = false          # true also ships CC BY-NC pictures: most of iNaturalist is CC BY-NC
"""


def recipe_for(taxon: str, root: Path) -> recipe.Recipe:
    """The recipe of a taxon name or key, its snapshot taken if it is not there yet.

    Raises ValueError when GBIF knows no such taxon.
    """
    slug = re.sub(r"[^A-Za-z0-9]+", "-", taxon).strip("-").lower()
    if not slug:
        raise ValueError("gbif: needs a taxon, such as gbif:Geospiza")
    folder = root.resolve() / "live" / f"gbif-{slug}"
    path = folder / "recipe.toml"
    if not path.exists():
        _take(taxon, slug, folder)
    else:
        report.say(f"using the snapshot in {folder}; remove it to take a newer one")
    return recipe.read(str(path))


def _take(taxon: str, slug: str, folder: Path) -> None:
    try:
        match = gbif_live.match(taxon)
    except RuntimeError as error:
        why = str(error).splitlines()[0][:200]
        raise ValueError(f"GBIF cannot be asked now ({why}); try again, or build from a download "
                         "you have: python -m curation.build --new my_taxa.toml") from error  # fmt: skip
    lineage = " > ".join(match.lineage.values())
    report.say(f"{taxon} is {match.scientific_name} ({match.rank.lower()}) in GBIF: {lineage}")
    report.say(f"taking up to {LIMIT:,} occurrences with pictures, and everything they say")
    query = gbif_live.Query(taxon_key=match.key, checklist_key=match.checklist_key)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "archive").exists():
        gbif_live.search_archive(query, folder / "archive", limit=LIMIT, log=report.say)
    title = json.dumps(f"{match.canonical_name} from GBIF", ensure_ascii=False)
    text = TEMPLATE.format(slug=f"gbif-{slug}", asked=taxon.replace("\n", " "), title=title)
    (folder / "recipe.toml").write_text(text, encoding="utf-8")
    report.say(f"recipe saved as {folder / 'recipe.toml'}")
