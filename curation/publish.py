"""Publish a finished dataset folder as a dataset repository of the Hugging Face Hub.

    python -m curation.publish treeoflife-data/datasets/sample --repo org/name --dry-run
    python -m curation.publish treeoflife-data/datasets/sample --repo org/name

The files of a release go up first, where nothing names them; one last commit switches the card and the
manifest, so that a reader of `main` sees whole releases only. Stopped, the same command goes on. A release
is tagged and never changes; the one before stays under its tag. New repositories are private. The token is
that of `hf auth login` or HF_TOKEN; HF_ENDPOINT names another Hub.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog import licence, schema, sql, terminal
from catalog.artifact import MANIFEST

NEEDED = ("README.md", "croissant.json")  # what names the repository once it is published

LICENCES_SQL = """
with shown as (
  select license, license_status, license_verbatim, coalesce(creator, rightsHolder) as credit from data
  union all select c.license, c.license_status, c.license_verbatim, coalesce(c.creator, c.rightsHolder)
  from catalog c semi join thumbnails using (uuid)
)
select license, license_status, license_verbatim, credit is not null as has_credit,
  count(*) as n_images
from shown group by all order by n_images desc, license, license_status, license_verbatim, has_credit
"""


@dataclass(frozen=True)
class Release:
    """A dataset folder that is finished: its manifest, the name of its release, and its files."""

    dir: Path
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Such as v1."""
        return str(self.manifest["params"]["release"])

    @property
    def folders(self) -> tuple[str, str]:
        """Where the files of this release lie, and no other's."""
        return f"data/{self.name}/", f"metadata/{self.name}/"

    @property
    def files(self) -> dict[str, Mapping[str, Any]]:
        """The files of the release by path; those beside it (card, citations) are not among them."""
        listed = self.manifest["files"]
        return {f["name"]: f for f in listed if f["name"].startswith(self.folders)}

    def tables(self, name: str) -> list[Path]:
        """The files of one of its tables."""
        return sorted((self.dir / "metadata" / self.name).glob(f"{name}-*.parquet"))

    @property
    def data(self) -> list[Path]:
        """The files with pictures."""
        return sorted((self.dir / "data" / self.name).rglob("*.parquet"))


def release(folder: Path) -> Release:
    """The finished dataset in a folder. ValueError when it is none or private, or files are missing or cut."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ValueError(f"{folder} is no finished dataset: it has no {MANIFEST}; "
                         "name a folder under <root>/datasets/")  # fmt: skip
    manifest = json.loads(path.read_text())
    if manifest.get("stage") != "shard":
        raise ValueError(f"{folder} is an output of stage {manifest.get('stage')!r}, not a dataset")
    if manifest["schema_version"] != schema.VERSION:
        raise ValueError(f"{folder} has schema version {manifest['schema_version']!r}, this code writes "
                         f"{schema.VERSION!r}; build it again")  # fmt: skip
    if manifest["params"].get("private"):
        raise ValueError(f"{folder} is private: the licences of its pictures are unknown, and it is for training on "
                         "your own machines alone; it cannot be published")  # fmt: skip
    made = Release(folder, manifest)
    for file in made.files.values():
        place = folder / file["name"]
        if not place.is_file() or place.stat().st_size != file["bytes"]:
            raise ValueError(f"{place} is not as it was built; build the dataset again")
    if lacking := [name for name in NEEDED if not (folder / name).is_file()]:
        raise ValueError(f"{folder} lacks {lacking[0]}; build the dataset again")
    strays = {
        p.relative_to(folder).as_posix()
        for top in made.folders
        for p in (folder / top).rglob("*")
        if p.is_file()
    }
    if strays := strays - made.files.keys():
        raise ValueError(
            f"{folder} holds files that are not of its dataset: {sorted(strays)[0]}; remove them"
        )
    if not made.data:
        raise ValueError(f"{folder} holds no picture; see its rejects for the reasons")
    return made


def licences(made: Release, allow_nc: bool) -> list[tuple[str, int]]:
    """Licences of the pictures and thumbnails that would be published, with their numbers.

    ValueError where one may not be, or where its credit is missing.
    """
    rows = sql.query(sql.connect(), LICENCES_SQL, data=made.data, catalog=made.tables("catalog"),
                     thumbnails=made.tables("thumbnails")).rows()  # fmt: skip
    found, refused = dict[str, int](), []
    for spdx, status, verbatim, has_credit, n_images in rows:
        name = spdx or f"{status}: {(verbatim or 'nothing stated')[:80]!r}"
        found[name] = found.get(name, 0) + n_images
        if not licence.may_redistribute(spdx, status, verbatim, allow_nc):
            refused.append(f"{n_images:,} under {name}")
        elif not has_credit and licence.needs_credit(spdx, verbatim):
            refused.append(f"{n_images:,} under {name} without a credit line")
    if refused:
        advice = "" if allow_nc else " (--allow-nc lets non-commercial licences in)"
        raise ValueError(f"not publishable: {'; '.join(refused)}{advice}; change [verdict] in the recipe "
                         "and build again")  # fmt: skip
    return sorted(found.items(), key=lambda one: (-one[1], one[0]))


def publish(
    folder: Path, repo: str, *, public: bool = False, allow_nc: bool = False, dry_run: bool = False
) -> str:
    """Publish the dataset of a folder; return the id of the commit that `main` shows it by.

    Idempotent: what the repository already holds is not sent again. Raises ValueError for a folder that
    is no dataset, a licence that forbids it, a release that was published with other contents, and a
    repository that may not be written.
    """
    made = release(folder)
    for name, n_images in licences(made, allow_nc):
        terminal.tell(f"{n_images:>12,}  {name}")
    n_bytes = sum(file["bytes"] for file in made.files.values())
    terminal.tell(f"release {made.name}: {len(made.files):,} files, {n_bytes / 1e9:,.3f} GB, "
        f"{made.manifest['counts']['rows']:,} pictures")  # fmt: skip
    from curation import hub

    with hub.readable_errors(repo):
        there = hub.Repository(repo)
        if dry_run:
            for line in there.plan(made, public):
                terminal.tell(line)
            return ""
        there.create(public)
        commit = there.shown_by(made)
        if commit is not None:
            terminal.tell(f"{repo} already shows this release")
        else:
            with tempfile.TemporaryDirectory() as work:
                there.send(made)
                commit = there.switch(made, Path(work))
        there.tag(made.name, commit)
        return commit


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        commit = publish(Path(args.dataset), args.repo, public=args.public, allow_nc=args.allow_nc,
                         dry_run=args.dry_run)  # fmt: skip
    except ValueError as error:
        terminal.error(error)
        return 2
    except KeyboardInterrupt:
        terminal.tell("stopped; run the same command again to go on", to=sys.stderr)
        return 130
    if args.dry_run:
        terminal.tell("that was a dry run: nothing was sent")
    else:
        terminal.tell(f"published: {args.repo} at {commit}\n\nload it:   from datasets import load_dataset; "
            f'data = load_dataset("{args.repo}")')  # fmt: skip
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m curation.publish", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__)  # fmt: skip
    parser.add_argument("dataset", metavar="DATASET_DIR", help="a folder under <root>/datasets/")
    parser.add_argument("--repo", required=True, metavar="ORG/NAME", help="the dataset repository")
    parser.add_argument(
        "--public", action="store_true", help="create the repository for all to see"
    )
    parser.add_argument(
        "--allow-nc", action="store_true", help="publish non-commercial licences too"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be sent; send nothing"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
