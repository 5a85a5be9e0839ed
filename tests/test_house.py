"""The house keeps its own rules: who imports whom, which flags exist, what the README's tree says."""

import ast
import importlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from catalog import schema
from curation import build
from tests.benchmarks.harness import with_table

ROOT = Path(__file__).parent.parent
ROOMS = ("catalog", "curation", "training", "eval")
MAY_IMPORT = {
    "catalog": {"catalog"},
    "curation": {"catalog", "curation"},
    "training": {"catalog", "training"},
    "eval": {"catalog", "eval", "training"},
}
FLAGS = {
    "curation.build": {"--root", "--engine", "--workers", "--only", "--dry-run", "--show", "--explain",
                       "--lineage", "--what-if", "--support", "--new", "--prune", "--help"},
    "catalog.browse": {"--port", "--help"},
    "training.train": {"--data", "--replay", "--out", "--set", "--resume", "--new", "--help"},
    "training.export": {"--data", "--push", "--embeddings", "--public", "--help"},
    "eval.run": {"--on", "--tasks", "--list", "--data", "--out", "--track", "--labels", "--shots", "--splits", "--against",
                 "--precision", "--workers", "--batch", "--emergence", "--traits", "--trait", "--help"},
    "eval.emergent.scaling": {"--on", "--data", "--traits", "--trait", "--shares", "--of", "--equal", "--seeds", "--run", "--steps", "--set",
                              "--out", "--help"},
    "eval.predict": {"--model", "--names", "--list", "--clade", "--region", "--recorded-in", "--rank", "--k", "--confidence",
                     "--out", "--batch", "--help"},
    "curation.publish": {"--repo", "--public", "--allow-nc", "--dry-run", "--help"},
}  # fmt: skip


def _modules(room):
    return sorted(p for p in (ROOT / room).rglob("*.py") if "__pycache__" not in p.parts)


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_what_they_may(room):
    for path in _modules(room):
        ours = {name.split(".")[0] for name in _imports(path)} & set(ROOMS)
        assert ours <= MAY_IMPORT[room], f"{path.relative_to(ROOT)} imports {ours}"


def test_only_one_file_uses_pygbif_and_none_of_catalog_or_curation_imports_torch():
    pygbif = {p.name for room in ROOMS for p in _modules(room)
              if any(n.split(".")[0] == "pygbif" for n in _imports(p))
              or 'import_module("pygbif' in p.read_text()}  # fmt: skip
    assert pygbif <= {"gbif_live.py"}
    for room in ("catalog", "curation"):
        for path in _modules(room):
            top = ast.parse(path.read_text()).body
            names = {a.name for n in top if isinstance(n, ast.Import) for a in n.names}
            assert not names & {"torch", "ray", "datasets"}, path


def test_the_flags_of_every_program_are_frozen():
    for program, flags in FLAGS.items():
        out = subprocess.run([sys.executable, "-m", program, "--help"], cwd=ROOT, capture_output=True,
                             text=True, check=True).stdout  # fmt: skip
        found = set(re.findall(r"(?<![\w-])--[a-z-]+", out.partition("options:")[2]))
        assert found == flags


def test_help_is_instant_and_imports_nothing_heavy():
    code = ("import sys, runpy; sys.argv = ['build', '--help']\n"
            "try: runpy.run_module('curation.build', run_name='__main__')\n"
            "except SystemExit: pass\n"
            "print([m for m in ('torch', 'duckdb', 'pyarrow', 'datasets', 'numpy') if m in sys.modules])")  # fmt: skip
    started = time.monotonic()
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert out.stdout.splitlines()[-1] == "[]"
    assert time.monotonic() - started < 3, "on an idle machine it takes well under a second"


def _sql_constants():
    for room in ROOMS:
        for path in _modules(room):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                    name = getattr(node.targets[0], "id", "")
                    if name.endswith("SQL") and isinstance(node.value.value, str):
                        yield f"{path.relative_to(ROOT)}:{name}", node.value.value


def test_every_sql_constant_parses_and_stages_end_in_an_order():
    con = duckdb.connect()
    found = dict(_sql_constants())
    assert len(found) > 20
    for place, text in found.items():
        assert con.extract_statements(text), place
    for place in ("media.py:SQL", "verdict.py:SQL", "dedup.py:SQL", "geoprivacy.py:SQL", "sources/gbif.py:SQL",
                  "taxonomy/resolve.py:LABEL_SQL", "taxonomy/backbone.py:SQL", "taxonomy/backbone.py:PROBLEMS_SQL",
                  "taxonomy/vernacular.py:SQL", "metadata.py:CONFLICTS_SQL", "index.py:NAMES_SQL"):  # fmt: skip
        text = found[f"curation/{place}"]
        assert "order by" in text.rsplit(")", 1)[-1].lower() or re.search(
            r"order by [\w., \"]+\s*$", text.strip()), place  # fmt: skip


def test_no_sql_is_formatted_outside_the_choke_point():
    for room in ROOMS:
        for path in _modules(room):
            if path.name == "sql.py":
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    text = "".join(str(p.value) for p in node.values if isinstance(p, ast.Constant))
                    assert not re.match(r"\s*(select|with|copy|create)\s", text), path


def test_every_schema_field_has_a_meaning_and_every_table_its_key():
    for field in schema.FIELDS.values():
        assert len(field.meaning) > 3, field.name
        assert field.term is None or field.term.startswith("http")
        borrowed = field.name[0].islower() and any(c.isupper() for c in field.name)
        assert field.term or not borrowed, f"{field.name} looks borrowed but names no term"
    for table in schema.TABLES.values():
        assert set(table.key) <= set(table.columns), table.name
        assert len(set(table.columns)) == len(table.columns), table.name
    used = {name for table in schema.TABLES.values() for name in table.columns}
    assert not set(schema.FIELDS) - used, "a field is in no table"


def test_every_stage_names_a_step_that_exists():
    for stage in build.STAGES:
        module, _, function = stage.step.partition(":")
        assert callable(getattr(importlib.import_module(f"curation.steps.{module}"), function))
    assert len({stage.name for stage in build.STAGES}) == len(build.STAGES)


def test_the_readme_tree_is_the_tree_on_disk():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = text.partition("<!-- tree -->")[2].partition("<!-- /tree -->")[0]
    listed, folder = set(), ""
    for line in tree.splitlines():
        if match := re.match(r"^([a-z_]+(?:/[a-z_]+)*)/\s", line):
            folder = match[1]
        elif match := re.match(r"^  ([\w./]+)\s{2,}\S", line):
            listed.add(f"{folder}/{match[1]}")
    on_disk = {
        p.relative_to(ROOT).as_posix()
        for room in ROOMS for p in [*(ROOT / room).rglob("*.py"), *(ROOT / room).rglob("*.toml")]
        if "__pycache__" not in p.parts and p.name != "__init__.py"
    }  # fmt: skip
    on_disk |= {"curation/sample/__init__.py"} & listed
    assert listed == on_disk, (
        f"not listed: {sorted(on_disk - listed)}; gone: {sorted(listed - on_disk)}"
    )


def test_nothing_in_the_tree_names_a_package_index_or_a_path_of_one_machine():
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    bad = re.compile(
        r"index[-]url|pythonhoste[d]|pypi[.]org/simpl[e]|(^|[^A-Za-z0-9_.~-])/w[o]rk/|/r[o]ot/"
    )
    for name in files.split():
        path = ROOT / name
        if path.suffix in (".py", ".toml", ".md", ".txt", ".yml", "") and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not bad.search(text), name


def test_constraints_are_exact_pins_without_addresses():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins and all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin) for pin in pins)


def test_the_readme_table_is_the_one_the_benchmarks_wrote():
    results = ROOT / "tests" / "benchmarks" / "results.json"
    known = json.loads(results.read_text()) if results.exists() else {}
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_table(text, known) == text
