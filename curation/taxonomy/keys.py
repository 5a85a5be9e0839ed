"""What names are compared by, in SQL: plain names read at once, and keys that survive spelling.

`quick` reads a plain name string (most are) with one regular expression; strings with hybrid signs,
qualifiers, codes, markup or letters beyond ASCII are flagged and go to `names.parse`. Keys:

- `name_key`   lower case, no accents: equal keys are the same spelling
- `stem_key`   the same with each epithet reduced to its stem: gender endings (-us -a -um, -is -e,
  -er -ra -rum), -i/-ii, -ae/-iae, ae/oe/e, y/i, th/t, rh/r, double letters and hyphens make no
  difference. After the rules of the Codes on orthographic variants (ICZN 58, ICN 60-61) and the
  noun rules of the Schinke stemmer that gnparser uses; -i, -ae, -orum and -arum stay apart, for they
  honour different people
- `authors`    surnames of an authorship; two agree when they are equal, or one abbreviates the other
  ("Willd."), or one of four letters and more begins the other ("Linn")
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa

from catalog import sql
from curation.taxonomy import names, vocabulary

MACROS = r"""
create or replace macro quick(text) as
  regexp_extract(text, '^([A-Z][a-z]+(?:-[A-Za-z][a-z]+)*)(?:(?: \([A-Z][a-z-]+\))? '
    '((?:[0-9]{1,2}-|[a-z]-)?[a-z]{2,}(?:-[a-z]+)*)(?: (?:(subsp\.|ssp\.|var\.|f\.) )?'
    '([a-z]{2,}(?:-[a-z]+)*))?)?(?: ([(\[]?[A-ZÀ-ÖØ-ÞŠŽ].*))?$',
    ['genus', 'epithet', 'marker', 'infra', 'authorship']);

create or replace macro is_flagged(text, q) as
  q.genus = ''
  or regexp_matches(text, '[×†<>?*=#_|;:/\\]|&[#A-Za-z]+;|(^| )[xX] |  |[\x00-\x1f\x{7f}\x{a0}\x{2000}-\x{2fff}]|[,"” ]$')
  or regexp_matches(lower(text), '(virus|viroid|phage|satellite|prion)(es|s)?( |$)|^candidatus ')
  or q.epithet = '' and regexp_matches(q.authorship, '^[A-Z][a-z]+ [(]|^[(][^)]*[)] [^A-ZÀ-Þ]|^[(][A-Z][a-z-]+[)]$')
  or regexp_matches(q.authorship, '^[(][A-Z][a-z]+ [a-z]+[)]$|[+]|^[A-Za-z-]+[0-9]{2,}')
  or list_contains($particles, q.epithet) or list_contains($particles, q.infra)
  or list_contains($words, lower(q.genus)) or list_contains($words, q.epithet)
  or list_contains($words, q.infra)
  or regexp_matches(q.authorship, '[ (][''"‘`“]|(^|[ (])(cf|aff|nr|agg|aggr|cv|sensu|auct|s\.l|s\.str|gr|x)[. ]|agg\.?$|s\.l\.?$')
  or regexp_matches(q.authorship, '(^|[ .)])[a-z]{0,5}(subsp|ssp|var|f|fo|forma|form|subvar|subf|morph|ab|sp)\.? [a-z]');

create or replace macro name_key(canonical) as lower(strip_accents(canonical));

create or replace macro stem(epithet) as
  regexp_replace(
    replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
    regexp_replace(regexp_replace(regexp_replace(regexp_replace(
      replace(lower(strip_accents(epithet)), '-', ''),
      'i?ae$', '0'), 'i?orum$', '1'), 'i?arum$', '2'), 'ii?$', '3'),
    'ae', 'e'), 'oe', 'e'), 'y', 'i'), 'j', 'i'), 'th', 't'), 'rh', 'r'), 'll', 'l'), 'nn', 'n'), 'tt', 't'),
    'ss', 's'), 'rr', 'r'), 'mm', 'm'), 'pp', 'p'), 'ff', 'f'),
    '(er|ra|rum|rus)$|(us|um|a|is|e|os|on)$', '') || case when regexp_matches(epithet, '(er|ra|rum|rus)$') then 'r' else '' end;

create or replace macro stem_key(canonical) as
  case when strpos(canonical, ' ') = 0 then null else
    name_key(string_split(canonical, ' ')[1]) || ' ' || stem(string_split(canonical, ' ')[2])
    || case when len(string_split(canonical, ' ')) > 2
            then ' ' || stem(string_split(canonical, ' ')[3]) else '' end end;

create or replace macro own_authors(text) as   -- "Smith non L." is Smith's
  regexp_replace(lower(strip_accents(text)), '\b(non|nec|not)\b.*$', '');

create or replace macro plain_authors(text) as
  trim(regexp_replace(regexp_replace(regexp_replace(own_authors(text),
    '\bl\.', 'linnaeus '), '\bdc\.', 'candolle '), '[^a-z0-9]+', ' ', 'g'));

create or replace macro authors(text) as        -- surnames; an abbreviated one keeps its dot
  list_filter(regexp_extract_all(regexp_replace(regexp_replace(own_authors(text),
    '\bl\.', 'linnaeus '), '\bdc\.', 'candolle '), '[a-z]{2,}[.]?'), lambda w: not list_contains(
    ['et', 'ex', 'in', 'and', 'al', 'auct', 'the', 'de', 'van', 'von', 'der', 'den', 'di',
     'da', 'du', 'la', 'le', 'el', 'fil', 'bis', 'emend', 'sensu', 'apud', 'hort', 'anon', 'ined', 'nom',
     'cons', 'jr', 'sr', 'dr', 'st', 'mc', 'zu', 'dos', 'del'], rtrim(w, '.')));

create or replace macro same_author(x, y) as
  rtrim(x, '.') = rtrim(y, '.')
  or starts_with(x, rtrim(y, '.')) and (ends_with(y, '.') or length(y) > 3)
  or starts_with(y, rtrim(x, '.')) and (ends_with(x, '.') or length(x) > 3);

create or replace macro authors_agree(a, b) as        -- null where one side says nothing
  case when len(a) > 0 and len(b) > 0 then
    len(list_filter(a, lambda x: len(list_filter(b, lambda y: same_author(x, y))) > 0)) > 0
  end;

create or replace macro year_of(text) as
  try_cast(nullif(regexp_extract(text, '\b(1[678][0-9]{2}|19[0-9]{2}|20[0-9]{2})\b', 1), '') as integer);
"""

QUICK_SQL = """
select text, genus, flagged,
  case when not flagged then concat_ws(' ', q.genus, nullif(q.epithet, ''), nullif(q.infra, ''))
    end as canonical,
  case when not flagged then nullif(q.authorship, '') end as authorship,
  case when not flagged then case q.marker when 'subsp.' then 'subspecies' when 'ssp.' then 'subspecies'
    when 'var.' then 'variety' when 'f.' then 'form'
    else case when q.infra <> '' then 'subspecies' end end end as rank,
  null::varchar as note
from (select *, is_flagged(text, q) as flagged from (select text, genus, quick(text) as q from said))
"""
FLAGGED_SQL = "select text, genus from quickly where flagged order by text, genus"
READ_SQL = "select * exclude (flagged) from read_name where not flagged"


def macros() -> str:
    """Every macro of this file, to execute on a connection."""
    return MACROS.replace(
        "$particles", _listed(vocabulary.PARTICLES | {"complex", "group"})
    ).replace("$words", _listed(vocabulary.WORDS | vocabulary.STATES))


def parsed(con: duckdb.DuckDBPyConnection, said: sql.Input, work_dir: Path, tag: str) -> list[Path]:
    """Parse the distinct pairs (text, genus) of `said` into parquet; read it with `READ_SQL`.

    Columns: text, genus, flagged, canonical, authorship, rank, note; rows of the quick pass that
    are `flagged` stand again, unflagged, as `names.parse` reads them.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    quickly, slowly = work_dir / f"{tag}-quick.parquet", work_dir / f"{tag}-slow.parquet"
    sql.query(con, QUICK_SQL, said=said).copy_to(quickly)
    odd = sql.query(con, FLAGGED_SQL, quickly=quickly)
    with sql.parquet_writer(slowly, _FIELDS) as writer:
        for batch in odd.batches():
            pairs = zip(
                batch.column("text").to_pylist(), batch.column("genus").to_pylist(), strict=True
            )
            found = [(text, genus, names.parse(text, genus)) for text, genus in pairs]
            rows = [
                {"text": t, "genus": g, "flagged": False, **dataclasses.asdict(n)}
                for t, g, n in found
            ]
            writer.write_table(pa.Table.from_pylist(rows, schema=_FIELDS))
    return [quickly, slowly]


_FIELDS = pa.schema(
    [("text", pa.string()), ("genus", pa.string()), ("flagged", pa.bool_())]
    + [(f.name, pa.string()) for f in dataclasses.fields(names.Name)]
)


def _listed(words: Iterable[str]) -> str:
    return "[" + ", ".join(f"'{word}'" for word in sorted(words)) + "]"
