"""What a lineage says about its taxon, and every name of the loaded taxonomies it could mean.

In   media     one row per media row (schema.MEDIA)
     taxon     names of the loaded taxonomies (schema.TAXON)
Out  `said`       one row per distinct lineage: its name in canonical form and its ranks as keys
     `candidate`  lineage × name, with the way it was found: exact, key, variant, fuzzy, higher

Each way is tried only for lineages that the ways before it left without a candidate. Fuzzy stays
inside the name's own genus, or inside genera one edit away, so that its cost is the number of names
in those genera, not in the taxonomy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from catalog import sql
from curation.taxonomy import authority, keys, vocabulary
from curation.taxonomy.authority import Authority

MAX_EDITS = 2

LINEAGE_SQL = """
select lineage, any_value(source) as source, any_value(kingdom) as kingdom,
  any_value(phylum) as phylum, any_value("class") as "class", any_value("order") as "order",
  any_value(family) as family, any_value(genus) as genus, any_value(species) as species,
  any_value(taxonRank) as taxonRank,
  any_value(coalesce(scientificName, verbatimScientificName)) as text,
  any_value(scientificNameAuthorship) as scientificNameAuthorship,
  any_value(taxonKey) as taxonKey, any_value(checklistKey) as checklistKey
from media group by lineage
"""

TEXT_SQL = """
select distinct text, case when regexp_matches(text, '^[a-z]|^[A-Z][a-z]?[.] ') then genus end as genus
from (select text, genus from lineage where text is not null
      union all select species, genus from lineage where species is not null)
"""

SAID_SQL = """
with read as (select * exclude (flagged) from read_name where not flagged),
stated as (
  select * replace (known(kingdom) as kingdom, known(phylum) as phylum, known("class") as "class",
      known("order") as "order", known(family) as family, known(genus) as genus, known(species) as species),
    case when regexp_matches(text, '^[a-z]|^[A-Z][a-z]?[.] ') then genus end as text_genus,
    case when regexp_matches(species, '^[a-z]|^[A-Z][a-z]?[.] ') then genus end as species_genus
  from lineage
),
joined as (
  select l.* exclude (text_genus, species_genus), n.canonical as name, n.note,
    coalesce(l.scientificNameAuthorship, n.authorship) as authorship, n.rank as marked_rank,
    case when s.note is null or s.note in ('virus', 'otu_code', 'epithet_only', 'aggregate', 'cultivar')
         then s.canonical end as species_name,
    coalesce(lower(k.accepted), lower(l.kingdom)) as kingdom_key
  from stated l
  left join read n on n.text = l.text and n.genus is not distinct from l.text_genus
  left join read s on s.text = l.species and s.genus is not distinct from l.species_genus
  left join kingdom_word k on k.given = lower(l.kingdom)
),
chosen as (                     -- the more exact of name and species; a qualified name is certain as it is
  select *, case when note in ('uncertain', 'indeterminate', 'infrageneric') then name
      when note in ('hybrid_formula', 'several_names', 'misapplied') then null
      when name is null then species_name
      when len(string_split(species_name, ' ')) > len(string_split(name, ' ')) and note is distinct from 'virus'
        then species_name
      else name end as wanted
  from joined
)
select lineage, source, text, name, note, authorship, wanted,
  case when coalesce(note, '') not in ('uncertain', 'indeterminate') then coalesce(species_name,
    case when contains(name, ' ') and note is null
         then array_to_string(string_split(name, ' ')[1:2], ' ') end) end as species_name,
  name_key(wanted) as wanted_key, stem_key(wanted) as wanted_stem,
  case when contains(wanted, ' ') and not coalesce(note = 'virus', false)
       then name_key(string_split(wanted, ' ')[1]) end as wanted_genus,
  case when not contains(wanted, ' ') and regexp_matches(text, '^[A-Z][a-z]+ [A-Z][a-z]{2,}$')
       then lower(text) end as title_key,       -- "Panthera Leo" may be a species, or Leo's genus
  case when note = 'virus' then 1 else len(string_split(wanted, ' ')) end as n_words,
  authors(authorship) as author_words, plain_authors(authorship) as author_text, year_of(authorship) as year,
  coalesce(marked_rank, case when note is null or note in ('epithet_only', 'virus', 'otu_code')
    then lower(taxonRank) end,
    case when len(string_split(wanted, ' ')) = 2 then 'species' end) as rank_said,
  kingdom, phylum, "class", "order", family, genus, taxonRank, taxonKey,
  coalesce(checklistKey, case when source = 'gbif' then $backbone end) as checklistKey,
  checklistKey as stated_checklist,
  kingdom_key, coalesce(p.accepted, rank_key(phylum)) as phylum_key, rank_key("class") as class_key,
  rank_key("order") as order_key, coalesce(f.accepted, rank_key(family)) as family_key,
  rank_key(genus) as genus_key
from chosen
left join other_name p on p.given = rank_key(phylum)
left join other_name f on f.given = rank_key(family)
"""

MACROS = """
create or replace macro known(value) as
  case when not regexp_matches(lower(trim(value)), 'NOTHING') then value end;
create or replace macro rank_key(value) as      -- "Tracheophyta Sinnott, 1935" is Tracheophyta
  nullif(name_key(regexp_replace(string_split(trim(value), ' ')[1], '[^[:alpha:]-]', '', 'g')), '');
"""

EXACT_SQL = """
with key as (
  select lineage, wanted_key as key from said union select lineage, title_key from said where title_key is not null
)
select s.lineage, 'exact' as way, 0 as distance,
  t.* exclude (parentNameUsageID, nomenclaturalCode, specificEpithet, infraspecificEpithet, scientificName)
from key s join taxon t on t.name_key = s.key
"""

KEY_SQL = """
with stated as (
  select s.lineage, a.taxonomy, coalesce(m.taxonID, s.taxonKey) as key
  from said s join authority a on a.checklistKey = s.checklistKey
  left join mapping m on m.taxonomy = a.taxonomy and m.checklistKey = s.checklistKey
    and m.taxonKey = s.taxonKey
  where s.taxonKey is not null and (not a.mapped or m.taxonID is not null)
    and not exists (select 1 from found f where f.lineage = s.lineage)
)
select s.lineage, 'key' as way, 0 as distance,
  t.* exclude (parentNameUsageID, nomenclaturalCode, specificEpithet, infraspecificEpithet, scientificName)
from stated s join taxon t on t.taxonomy = s.taxonomy and t.taxonID = s.key and t.name_key is not null
"""

VARIANT_SQL = """
select s.lineage, 'variant' as way,
  damerau_levenshtein(s.wanted_key, t.name_key)::integer as distance,
  t.* exclude (parentNameUsageID, nomenclaturalCode, specificEpithet, infraspecificEpithet, scientificName)
from said s anti join found f using (lineage)
join taxon t on t.stem_key = s.wanted_stem and t.name_key <> s.wanted_key
"""

UNKNOWN_SQL = """
select distinct s.wanted_genus, s.wanted_key,
  substr(s.wanted_key, length(s.wanted_genus) + 2) as epithets
from said s anti join found f using (lineage)
where s.wanted_genus is not null and s.n_words between 2 and 3
  and coalesce(s.note, '') not in ('virus', 'otu_code')
"""

GENUS_SQL = """
with genus as (
  select distinct string_split(name_key, ' ')[1] as genus from taxon where stem_key is not null
),
wanted as (select distinct wanted_genus as genus from unknown),
missing as (select w.genus from wanted w anti join genus g using (genus) where length(w.genus) >= 4),
cut_missing as (
  select genus, genus as form from missing union
  select genus, substr(genus, 1, i - 1) || substr(genus, i + 1)
  from missing, unnest(range(1, length(genus) + 1)) as u(i)
),
cut_genus as (
  select genus, genus as form from genus union all
  select genus, substr(genus, 1, i - 1) || substr(genus, i + 1)
  from genus, unnest(range(1, length(genus) + 1)) as u(i)
)
select w.genus as wanted_genus, w.genus as genus, 0 as distance
from wanted w semi join genus g using (genus)
union all
select m.genus, g.genus, 1 from (select distinct m.genus as genus, g.genus as near
  from cut_missing m join cut_genus g using (form)) p
join missing m on m.genus = p.genus join genus g on g.genus = p.near
where damerau_levenshtein(m.genus, g.genus) = 1
"""

FUZZY_SQL = """
with named as (
  select t.* exclude (parentNameUsageID, nomenclaturalCode, specificEpithet, infraspecificEpithet, scientificName),
    string_split(name_key, ' ')[1] as genus_word,
    substr(name_key, strpos(name_key, ' ') + 1) as epithets
  from taxon t semi join near_genus g on g.genus = string_split(t.name_key, ' ')[1]
  where t.stem_key is not null
),
near as (
  select u.wanted_key, t.taxonomy, t.taxonID, g.distance as genus_distance,
    damerau_levenshtein(u.epithets, t.epithets)::integer as epithet_distance
  from unknown u join near_genus g using (wanted_genus)
  join named t on t.genus_word = g.genus
  where abs(length(u.epithets) - length(t.epithets)) <= 2 - g.distance
    and (substr(u.epithets, 1, 1) = substr(t.epithets, 1, 1)
      or substr(u.epithets, 2, 4) = substr(t.epithets, 2, 4)
      or substr(u.epithets, 2, 4) = substr(t.epithets, 1, 4)
      or substr(u.epithets, 1, 4) = substr(t.epithets, 2, 4))
)
select s.lineage, 'fuzzy' as way, genus_distance + epithet_distance as distance,
  t.* exclude (genus_word, epithets)
from near n join said s using (wanted_key) anti join found f using (lineage)
join named t using (taxonomy, taxonID)
where genus_distance + epithet_distance between 1 and $max_edits
"""

HIGHER_SQL = """
with rung as (
  select distinct lineage, word, step, rank from (
    select lineage, unnest([
      {'word': case when n_words = 3 then array_to_string(string_split(wanted_key, ' ')[1:2], ' ') end,
       'step': 1, 'rank': 'species'},
      {'word': wanted_genus, 'step': 2, 'rank': 'genus'}, {'word': genus_key, 'step': 3, 'rank': 'genus'},
      {'word': family_key, 'step': 4, 'rank': 'family'}, {'word': order_key, 'step': 5, 'rank': 'order'},
      {'word': class_key, 'step': 6, 'rank': 'class'}, {'word': phylum_key, 'step': 7, 'rank': 'phylum'},
      {'word': kingdom_key, 'step': 8, 'rank': 'kingdom'}], recursive := true)
    from said s anti join settled f using (lineage))
  where word is not null
),
high as (
  select * from taxon
  where taxonRank in ('species', 'genus', 'family', 'order', 'class', 'phylum', 'kingdom')
    and name_key is not null
)
select r.lineage, 'higher' as way, r.step as distance,
  t.* exclude (parentNameUsageID, nomenclaturalCode, specificEpithet, infraspecificEpithet, scientificName)
from rung r join high t on t.name_key = r.word and t.taxonRank = r.rank
"""


@dataclass(frozen=True)
class Names:
    """What every query of this file reads."""

    con: duckdb.DuckDBPyConnection
    said: Path
    taxon: sql.Input
    work_dir: Path

    def made(self, name: str, text: str, inputs: Mapping[str, sql.Input], **params: object) -> Path:
        """Run one of this file's queries into parquet."""
        path = self.work_dir / f"{name}.parquet"
        given = {"said": self.said, "taxon": self.taxon, **inputs}
        sql.Query(self.con, text, given, params).copy_to(path)
        return path


def said(con: duckdb.DuckDBPyConnection, lineage: sql.Input, work_dir: Path) -> Path:
    """What every lineage says, as parquet; `lineage` has the columns of `LINEAGE_SQL`."""
    con.execute(keys.macros())
    con.execute(MACROS.replace("NOTHING", sql.quoted(vocabulary.NOTHING)))
    texts, target = work_dir / "texts.parquet", work_dir / "said.parquet"
    sql.query(con, TEXT_SQL, lineage=lineage).copy_to(texts)
    read = keys.parsed(con, texts, work_dir, "said")
    kingdoms, others = (
        pa.table({"given": list(words), "accepted": list(words.values())})
        for words in (vocabulary.KINGDOMS, vocabulary.OTHER_NAMES)
    )
    sql.query(con, SAID_SQL, {"backbone": authority.GBIF_BACKBONE}, lineage=lineage, read_name=read,
              kingdom_word=kingdoms, other_name=others).copy_to(target)  # fmt: skip
    return target


def by_name(names: Names, authorities: Sequence[Authority]) -> list[Path]:
    """Candidates found by the name or the provider's key: exact, key, variant, fuzzy."""
    keyed, mapping = authority.tables(authorities)
    exact = names.made("exact", EXACT_SQL, {})
    inputs: dict[str, sql.Input] = {"authority": keyed, "mapping": mapping, "found": exact}
    by_key = names.made("key", KEY_SQL, inputs)
    variant = names.made("variant", VARIANT_SQL, {"found": [exact, by_key]})
    found = [exact, by_key, variant]
    unknown = names.made("unknown", UNKNOWN_SQL, {"found": found})
    near = names.made("near_genus", GENUS_SQL, {"unknown": unknown})
    inputs = {"unknown": unknown, "near_genus": near, "found": found}
    return [*found, names.made("fuzzy", FUZZY_SQL, inputs, max_edits=MAX_EDITS)]


def by_rank(names: Names, settled: sql.Input) -> Path:
    """Candidates at the stated ranks for lineages that are not settled by their name."""
    return names.made("higher", HIGHER_SQL, {"settled": settled})
