"""A taxonomy of millions of names, and lineages that mean them, made in SQL from nothing.

Shape after GBIF's backbone: families of genera of species with a long tail, two names of five are
synonyms, one genus in seventy shares its name with a genus of another kingdom (the real lists hold
1,396 such), an epithet's frequency falls with its rank. Lineages carry realistic noise: the shares
are in `LINEAGES`. Everything follows from the row's number, so two runs make the same bytes.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

SYLLABLES = (
    "ba be bi bo ca ce ci co cra da de di do dro fa fi ga ge go gra ha he hi ho la le li lo ma me mi mo mu "
    "na ne ni no nu pa pe pi po pla pra ra re ri ro sa se si so sca spi sta ta te ti to tra tri va ve vi xa xe zo zy"
).split()
GENUS_ENDS = ("us", "a", "ia", "is", "ella", "opsis", "odes", "aria", "ium", "on")
EPITHET_ENDS = (
    "us",
    "a",
    "um",
    "is",
    "ensis",
    "oides",
    "ata",
    "alis",
    "i",
    "ii",
    "ana",
    "icola",
    "escens",
)
KINGDOMS = (
    "Animalia",
    "Plantae",
    "Fungi",
    "Chromista",
    "Bacteria",
    "Protozoa",
    "Archaea",
    "Viruses",
)

MACROS = """
create or replace macro pick(i, salt, n) as (hash(i, salt) % n::ubigint)::bigint;
create or replace macro low(i, salt, n) as (pow((hash(i, salt) % 1000003) / 1000003.0, 3) * n)::bigint;
create or replace macro word(i, salt, ends) as
  $syllables[1 + pick(i, salt, 66)] || $syllables[1 + pick(i, salt + 1, 66)] || $syllables[1 + pick(i, salt + 2, 66)]
  || ends[1 + pick(i, salt + 3, len(ends))];
create or replace macro capital(w) as upper(w[1]) || w[2:];
create or replace macro author(i, salt) as
  capital(word(low(i, salt, 5000), 900, ['er', 'mann', 'son', 'ov', 'i', 'ez'])) || ', '
  || (1758 + pick(i, salt + 1, 250))::varchar;
"""

GENERA = """
create or replace table genus as
with raw as (select i, i % $n_families as family_no from range($n_genera) t(i))
select i, family_no, family_no % $n_orders as order_no,
  -- one genus in seventy bears the name of another, far away
  capital(word(case when i % 70 = 0 then (i * 7 + 13) % $n_genera else i end, 10, $genus_ends)) || case when i % 70 = 0
    then '' else ['', 'n', 'r', 's', 'l'][1 + pick(i, 15, 5)] end as genus
from raw
"""

NAMES = """
copy (
with species as (
  select t.i, g.genus, g.family_no, g.order_no, word(low(t.i, 20, 120000), 30, $epithet_ends) as epithet,
    author(t.i, 40) as authorship, t.i % 5 < 2 as is_synonym,
    case when t.i % 11 = 0 then word(low(t.i, 21, 60000), 31, $epithet_ends) end as infra
  from range($n_species) t(i) join genus g on g.i = low(t.i, 22, $n_genera)
)
select * from (
  select 'k' || k as taxonID, null as parentNameUsageID, null as acceptedNameUsageID, $kingdoms[k] as scientificName,
    null as scientificNameAuthorship, $kingdoms[k] as canonicalName, 'kingdom' as taxonRank, 'accepted' as taxonomicStatus
  from range(1, 9) t(k)
  union all
  select 'o' || o, 'k' || (1 + (o % 97 % 11) % 8), null, capital(word(o, 50, ['ales', 'iformes', 'ida'])) || o, null,
    null, 'order', 'accepted' from range($n_orders) t(o)
  union all
  select 'f' || f, 'o' || (f % $n_orders), null, capital(word(f, 60, ['idae', 'aceae'])), null, null, 'family', 'accepted'
  from range($n_families) t(f)
  union all
  select 'g' || i, 'f' || family_no, null, genus || ' ' || author(i, 70), author(i, 70), genus, 'genus', 'accepted'
  from genus
  union all
  select 's' || i, case when not is_synonym then 'f' || family_no end,
    case when is_synonym then 's' || (case when (i // 5) * 5 + 2 < $n_species then (i // 5) * 5 + 2 + i % 3 else 2 end) end,
    concat_ws(' ', genus, epithet, infra, authorship), authorship, concat_ws(' ', genus, epithet, infra),
    case when infra is null then 'species' else 'subspecies' end,
    case when is_synonym then 'synonym' else 'accepted' end
  from species)
) to '$path' (format csv, delimiter '\t', header true, quote '', escape '', nullstr '')
"""

# share of lineages: exact with author and ranks; canonical and kingdom; one edit; gender; qualified;
# unknown epithet of a known genus; no name
LINEAGES = """
copy (
with pick as (
  select n.i, n.lineage, t.* from (select i, printf('%09d', i) as lineage, pick(i, 5, $n_named) as at from range($n) r(i)) n
  join named t on t.nth = n.at
),
noisy as (
  select *, i % 100 as kind, 3 + pick(i, 6, greatest(1, length(canonicalName) - 4)) as spot from pick
)
select lineage, 'gbif' as source,
  case when kind < 95 or kind >= 97 then kingdom end as kingdom, null::varchar as phylum, null::varchar as "class",
  case when kind < 72 or kind between 78 and 94 then "order" end as "order",
  case when kind < 72 or kind between 78 and 94 then family end as family,
  case when kind < 72 then genus end as genus, null::varchar as species,
  case when kind < 95 then taxonRank end as taxonRank,
  case when kind < 72 then concat_ws(' ', canonicalName, scientificNameAuthorship)
    when kind < 78 then canonicalName
    when kind < 84 then canonicalName[1 : spot - 1] || 'x' || canonicalName[spot + 1 :] || ' ' || scientificNameAuthorship
    when kind < 87 then regexp_replace(canonicalName, '(us|a|um)$', case when canonicalName like '%us' then 'a' else 'us' end)
    when kind < 91 then string_split(canonicalName, ' ')[1] || case when kind % 2 = 0 then ' sp. ' || i else ' cf. ' || string_split(canonicalName, ' ')[2] end
    when kind < 95 then string_split(canonicalName, ' ')[1] || ' zz' || word(i, 80, $epithet_ends)
    when kind < 97 then 'BOLD:AAA' || lpad((i % 10000)::varchar, 4, '0') else canonicalName end as text,
  null::varchar as scientificNameAuthorship, null::varchar as taxonKey, null::varchar as checklistKey,
  accepted as expected, kind
from noisy order by lineage
) to '$path' (format parquet)
"""


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """A connection with the word lists."""
    con = duckdb.connect()
    con.execute("set memory_limit = '4GB'; set threads = 2")
    con.execute(f"set temp_directory = '{folder}'")
    con.execute(MACROS.replace("$syllables", str(list(SYLLABLES))))
    return con


def taxonomy(path: Path, n_names: int) -> None:
    """Write Taxon.tsv with about `n_names` names."""
    con = connect(path.parent)
    n_genera, n_families, n_orders = n_names // 18, max(20, n_names // 600), max(8, n_names // 5000)
    _run(con, GENERA, n_genera=n_genera, n_families=n_families, n_orders=n_orders)
    _run(con, NAMES, path=path, n_genera=n_genera, n_families=n_families, n_orders=n_orders,
         n_species=n_names - n_genera - n_families - n_orders - 8)  # fmt: skip


def lineages(taxon: Path, path: Path, n: int) -> None:
    """Write `n` lineages that mean names of the loaded taxonomy at `taxon`, with what is expected."""
    con = connect(path.parent)
    con.execute(
        "create table named as select row_number() over (order by taxonID) - 1 as nth, canonicalName,"
        ' scientificNameAuthorship, taxonRank, kingdom, "order", family, genus,'
        " coalesce(acceptedNameUsageID, taxonID) as accepted"
        f" from '{taxon}' where stem_key is not null"
    )
    (n_named,) = con.execute("select count(*) from named").fetchone() or (0,)
    _run(con, LINEAGES, path=path, n=n, n_named=n_named)


def _run(con: duckdb.DuckDBPyConnection, text: str, **values: object) -> None:
    values |= {
        "genus_ends": list(GENUS_ENDS),
        "epithet_ends": list(EPITHET_ENDS),
        "kingdoms": list(KINGDOMS),
    }
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(f"${name}", str(values[name]))
    con.execute(text)
