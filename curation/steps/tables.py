"""The steps of a build that make tables: which artifacts a stage's function reads, what it leaves.

A step is given the build and the artifacts made so far, and returns its own: the one that is there
already, or a new one. Nothing here decides anything about pictures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from catalog import artifact, schema, sql
from catalog.artifact import Artifact
from curation import geoprivacy, media, report, review, sensitive, species_list, verdict
from curation.recipe import Recipe, Source
from curation.sources import bioscan, captions, eol, fathomnet, gbif, own, published
from curation.taxonomy import authority, backbone, resolve, vernacular
from curation.workshop import Build, Made, scratch, sha256

JUDGED = ("media", "label", "fetch", "phash", "score", "dedup")
_OF_PIXELS = (
    "min_side_px",
    "drop_museum",
    "min_museum_score",
    "min_animal_score",
    "max_face_score",
    "on_face",
    "min_sharpness",
    "min_subject_contrast",
    "max_clipped_share",
)  # what nobody knows before a picture is there


def source(build: Build, _: Made) -> list[Artifact]:
    """One artifact per source of the recipe."""
    return [_source(build, item) for item in build.recipe.source]


def _source(build: Build, item: Source) -> Artifact:
    files, hashes = _reads(build, item)
    params = {"kind": item.kind, "archive": item.name, "media_only": item.media_only,
              "image_type": item.image_type, "splits": item.splits, "drop": item.drop,
              "licence": item.licence, "creator": item.creator, "columns": item.columns, "where": item.where,
              "check_md5": item.check_md5}  # fmt: skip

    def write(folder: Path) -> dict[str, Any]:
        work_dir = build.root / "tmp" / folder.name
        place: Any = item.path if "://" in item.path else build.path(item.path)
        rest: dict[str, Any] = {"archive": item.name, "path": place}
        readers: dict[str, Callable[[], sql.Query]] = {
            "gbif": lambda: gbif.gbif(
                build.con, **rest, work_dir=work_dir, media_only=item.media_only,
                multimedia=build.path(item.multimedia) if item.multimedia else None),
            "eol": lambda: eol.eol(
                build.con, **rest, work_dir=work_dir,
                hierarchy=build.path(item.hierarchy) if item.hierarchy else None),
            "bioscan": lambda: bioscan.bioscan(
                build.con, **rest, work_dir=work_dir, image_type=item.image_type, splits=item.splits),
            "fathomnet": lambda: fathomnet.fathomnet(
                build.con, **rest, drop=item.drop, licence=item.licence or fathomnet.LICENCE),
            "own": lambda: own.own(
                build.con, **rest, work_dir=work_dir, licence=item.licence or None,
                creator=item.creator or None,
                columns=item.columns,
            ),
            "published": lambda: published.published(
                build.con, archive=item.name, paths=files, work_dir=work_dir, where=item.where,
                check_md5=item.check_md5,
                provenance=build.path(item.provenance) if item.provenance else None),
            "captions": lambda: captions.captions(
                build.con, archive=item.name, paths=files, home=captions.home(place), work_dir=work_dir,
                licence=item.licence or None, columns=item.columns),
        }  # fmt: skip
        path = folder / "part-000000.parquet"
        with scratch(work_dir):
            readers[item.kind]().copy_to(path)
        return {"rows": artifact.check(path, schema.SOURCE)}

    return build.make("source", 5, params, hashes, write)


def _reads(build: Build, item: Source) -> tuple[list[Path], list[str]]:
    """The tables of a source that may have several, and what tells that something read has changed."""
    paths = [item.path, item.multimedia, item.hierarchy]
    if item.kind == "published":  # its catalogue is what is read of it
        files = published.files(item.path, build.recipe.folder)
        more = [build.path(item.provenance)] if item.provenance else []
        return files, [sha256(build.root, path) for path in (*files, *more)]
    if item.kind == "captions":
        place = build.path(item.path)
        files, folder = captions.files(place), captions.home(place)
        return files, [f"{path.relative_to(folder)} {sha256(build.root, path)}" for path in files]
    return [], [sha256(build.root, build.path(p)) if p and "://" not in p else p for p in paths]


def taxon(build: Build, _: Made) -> list[Artifact]:
    """One artifact per taxonomy: its names, its vernacular names, and what is not sound in it."""
    made = []
    for item in build.recipe.taxonomy:
        params = {"name": item.name, "columns": item.columns, "constants": item.constants}

        def write(folder: Path, item: Any = item) -> dict[str, Any]:
            work_dir = build.root / "tmp" / folder.name
            with scratch(work_dir):
                found = backbone.taxon(
                    build.con, name=item.name, path=build.path(item.path), work_dir=work_dir,
                    columns=item.columns, constants=item.constants)  # fmt: skip
                found.names.copy_to(folder / "taxon.parquet")
                found.common.copy_to(folder / "vernacular.parquet")
                found.problems.copy_to(folder / "problem.parquet")
            tables = {
                "rows": schema.TAXON,
                "vernacular": schema.VERNACULAR,
                "problem": schema.PROBLEM,
            }
            return {name: artifact.check(folder / f"{table.name}.parquet", table)
                    for name, table in tables.items()}  # fmt: skip

        place = build.path(item.path)
        beside = place.with_name(
            place.name.replace("taxonomy", "synonyms")
        )  # Open Tree's other table
        reads = [
            sha256(build.root, p)
            for p in dict.fromkeys((place, beside))
            if p == place or p.is_file()
        ]
        n_before = build.n_made
        done = build.make("taxon", 2, params, reads, write)
        if build.n_made > n_before:
            report.problems(build.con, done)
        made.append(done)
    return made


def authorities(build: Build) -> list[authority.Authority]:
    """The loaded taxonomies, best first, and whose keys they answer to."""
    return [
        authority.Authority(item.name, item.checklist_key,
                             build.path(item.mapping) if item.mapping else None)
        for item in build.recipe.taxonomy
    ]  # fmt: skip


def media_(build: Build, made: Made) -> list[Artifact]:
    """Media rows of all sources."""
    paths = [a.paths[0] for a in made["source"]]
    rows_in = sum(a.counts["rows"] for a in made["source"])
    done = build.make_table(
        schema.MEDIA, 5, {}, made["source"], lambda: media.media(build.con, source=paths)
    )
    assert done.counts["rows"] == rows_in, f"media: {rows_in} rows in, {done.counts['rows']} out"
    return [done]


def label(build: Build, made: Made) -> list[Artifact]:
    """Resolved lineages."""
    items, least = build.recipe.taxonomy, build.recipe.names.min_score
    maps = [sha256(build.root, build.path(item.mapping)) if item.mapping else "" for item in items]
    params = {"precedence": [item.name for item in items], "min_score": least, "mappings": maps,
              "checklists": [item.checklist_key for item in items]}  # fmt: skip

    def write(folder: Path) -> dict[str, Any]:
        path, work_dir = folder / "part-000000.parquet", build.root / "tmp" / folder.name
        with scratch(work_dir):
            resolve.label(build.con, media=made["media"][0].paths[0], work_dir=work_dir, min_score=least,
                          taxon=[a.path("taxon.parquet") for a in made["taxon"]],
                          authorities=authorities(build)).copy_to(path)  # fmt: skip
        return {"rows": artifact.check(path, schema.LABEL)}

    reads = [a.address for a in (*made["media"], *made["taxon"])]
    return [build.make("label", 2, params, reads, write)]


def vernacular_(build: Build, made: Made) -> list[Artifact]:
    """Vernacular names in use."""
    how = build.recipe.names
    params: dict[str, Any] = {"language": how.language, "higher": how.vernacular_from_higher}
    return [build.make_table(
        schema.VERNACULAR, 2, params, [*made["label"], *made["taxon"]],
        lambda: vernacular.vernacular(
            build.con, label=made["label"][0].paths[0], **params,
            names=[a.path("vernacular.parquet") for a in made["taxon"]],
            taxon=[a.path("taxon.parquet") for a in made["taxon"]]))]  # fmt: skip


def geoprivacy_(build: Build, made: Made) -> list[Artifact]:
    """Coordinates as published."""
    how = build.recipe.geoprivacy
    lists = [(item, build.path(item.path)) for item in how.list]
    params = {"policy": how.policy, "lists": [dataclasses.asdict(item) for item in how.list],
              "tables": [sha256(build.root, path) for _, path in lists]}  # fmt: skip
    media_, label_ = made["media"][0].paths[0], made["label"][0].paths[0]

    def query() -> sql.Query:
        hit = None
        if lists:
            hit = sensitive.hits(build.con, lists, media_=media_, label=label_, resolve=_names(build, made),
                                 folder=build.scratch("geoprivacy"))  # fmt: skip
        return geoprivacy.geoprivacy(build.con, media=media_, policy=how.policy, hit=hit)

    reads = [*made["media"], *(made["label"] if lists else ())]
    return [build.make_table(schema.GEOPRIVACY, 2, params, reads, query)]


def listed_(build: Build, made: Made) -> list[Artifact]:
    """Species of the recipe's lists, as our taxonomies read them."""
    lists = [(item, build.path(item.path)) for item in build.recipe.coverage]
    params = {"lists": [dataclasses.asdict(item) for item in build.recipe.coverage],
              "tables": [sha256(build.root, path) for _, path in lists]}  # fmt: skip

    def query() -> sql.Query:
        return species_list.listed(
            build.con, lists, resolve=_names(build, made), folder=build.scratch("listed")
        )

    return [build.make_table(schema.LISTED, 1, params, [*made["label"], *made["taxon"]], query)]


def _names(build: Build, made: Made) -> species_list.Resolve:
    """The build's own way of reading names."""

    def read(listed: Path, work_dir: Path) -> sql.Query:
        return resolve.label(build.con, media=listed, work_dir=work_dir, min_score=build.recipe.names.min_score,
                             taxon=[a.path("taxon.parquet") for a in made["taxon"]],
                             authorities=authorities(build))  # fmt: skip

    return read


def eligible(build: Build, made: Made) -> list[Artifact]:
    """Pictures that only their pixels can still keep out: what is fetched, and may replace a twin."""
    names = ("media", "label")
    empty = {t.name: t.empty() for t in (schema.FETCH, schema.PHASH, schema.SCORE, schema.DEDUP)}

    def query() -> sql.Query:
        first = build.root / "tmp" / "eligible.parquet"
        first.parent.mkdir(parents=True, exist_ok=True)
        judged(build, {name: made[name][0].paths[0] for name in names} | empty).copy_to(first)
        return sql.query(build.con, verdict.ELIGIBLE_SQL, verdict=first)

    params = {k: v for k, v in judging(build.recipe).items() if k not in _OF_PIXELS}
    reads = [made[name][0] for name in names]
    return [build.make_table(schema.ELIGIBLE, 2, params, reads, query)]


def verdict_(build: Build, made: Made) -> list[Artifact]:
    """Keep or drop; and a page of pictures on both sides of every threshold."""
    inputs = {name: made[name][0].path("part-000000.parquet") for name in JUDGED}

    def write(folder: Path) -> dict[str, Any]:
        path = folder / "part-000000.parquet"
        judged(build, inputs).copy_to(path)
        counts = {"rows": artifact.check(path, schema.VERDICT)}
        review.write(build, made, folder / "review.html", verdict=path)
        return counts

    reads = [made[name][0].address for name in JUDGED]
    done = build.make("verdict", 4, judging(build.recipe), reads, write)
    assert done.counts["rows"] == made["media"][0].counts["rows"], "a media row has no verdict"
    return [done]


def judging(recipe: Recipe) -> dict[str, Any]:
    """What the verdict goes by; that of a private set is another."""
    return dataclasses.asdict(recipe.verdict) | ({"private": True} if recipe.is_private else {})


def judged(build: Build, inputs: Mapping[str, Any]) -> sql.Query:
    """The verdict. What is private has no labels, and any licence: it never leaves its owner's machines."""
    how, private = build.recipe.verdict, build.recipe.is_private
    removals = [*(("uuid", v) for v in how.remove_uuid), *(("url", v) for v in how.remove_url),
                *(("creator", v) for v in how.remove_creator)]  # fmt: skip
    limits = verdict.Limits(
        **{f.name: getattr(how, f.name) for f in dataclasses.fields(verdict.Limits)}
    )
    if private:
        limits = dataclasses.replace(limits, min_rank="any")
    return verdict.verdict(build.con, **inputs, limits=limits, allow_nc=how.allow_nc, removals=removals,
                           private=private)  # fmt: skip
