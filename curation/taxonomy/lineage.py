"""Tables of names with parents -> one row per name with its accepted taxon and rank-labelled lineage.

In   node rows (see NODE): ids as the taxonomy gives them, names as they are written
Out  the columns of `COLUMNS`, and a table of problems: what was not sound, and where

Ranks are rebuilt from the top: only taxa that have children are walked, roots first, each once; a
name then takes the lineage of its parent and itself. A parent that is not in the table makes a
root. Taxa on a cycle are never reached and keep only the ranks their row states. A synonym is
followed to its accepted taxon through other synonyms, and carries that taxon's lineage; a synonym
that leads nowhere, or in a circle, is kept but has no `name_key`: nothing can be matched to it.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from catalog import sql
from curation.taxonomy import keys, vocabulary

NODE = (
    "taxonID parentNameUsageID acceptedNameUsageID taxonRank taxonomicStatus scientificName "
    "canonicalName scientificNameAuthorship kingdom phylum class order family genus "
    "nomenclaturalCode eolID source_row"
).split()
COLUMNS = (
    "taxonID parentNameUsageID acceptedNameUsageID taxonRank taxonomicStatus scientificName "
    "canonicalName scientificNameAuthorship nomenclaturalCode name_key stem_key eolID "
    "kingdom phylum class order family genus species"
).split()

CLEAN_SQL = """
with one as (
  select *, row_number() over (partition by taxonID order by source_row) as nth
  from node where taxonID is not null and scientificName is not null
),
ranked as (
  select * exclude (nth, taxonRank, taxonomicStatus),
    coalesce(r.word, lower(taxonRank)) as taxonRank,
    trim(regexp_replace(lower(taxonomicStatus), '[_ -]+', ' ', 'g')) as said_status,
    nullif(acceptedNameUsageID, taxonID) as pointed
  from one left join rank_word r on r.given = lower(taxonRank) where nth = 1
)
select * exclude (said_status, pointed, canonicalName, acceptedNameUsageID, given, word)
    replace (case when taxonRank <> 'unranked' then taxonRank end as taxonRank,
             nullif(parentNameUsageID, taxonID) as parentNameUsageID,
             coalesce(upper(nomenclaturalCode), case kingdom when 'Animalia' then 'ICZN'
               when 'Plantae' then 'ICN' when 'Fungi' then 'ICN' when 'Chromista' then 'ICN'
               when 'Bacteria' then 'ICNP' when 'Archaea' then 'ICNP' when 'Viruses' then 'ICVCN'
               end) as nomenclaturalCode),
  case when regexp_matches(canonicalName, '^[A-Z][a-z]+(-[A-Za-z][a-z]+)?( [a-z][a-z-]+){0,2}$')
         and not regexp_matches(canonicalName, ' (sp|spp|ssp|subsp|var|cf|aff|nr|agg|hybrid|virus|bacterium|sedis)( |$)')
       then canonicalName end as canonicalName,
  case when regexp_matches(said_status, 'misappl|misident|^auct') then 'misapplied'
       else coalesce(said_status, case when pointed is not null then 'synonym' else 'accepted' end) end
    as taxonomicStatus,
  case when list_contains($accepted, said_status) then null else pointed end as pointed,
  coalesce(regexp_matches(said_status, $synonym), false)
    or pointed is not null and not coalesce(list_contains($accepted, said_status), false) as is_synonym,
  coalesce(taxonRank = 'unranked', false) as is_clade,
  said_status is not null and not list_contains($accepted, said_status)
    and not regexp_matches(said_status, $synonym) as odd_status
from ranked
"""

TEXT_SQL = """
select distinct scientificName as text, null::varchar as genus from clean where canonicalName is null
"""

ACCEPTED_SQL = """
with recursive chain as (
  select taxonID, pointed as goal, 1 as hops from clean where is_synonym and pointed is not null
    and pointed in (select taxonID from clean where is_synonym)
  union all
  select c.taxonID, s.pointed, hops + 1 from chain c join clean s on s.taxonID = c.goal
  where s.is_synonym and s.pointed is not null and hops < 64
)
select taxonID, max_by(goal, hops) as accepted, max(hops) as hops from chain group by taxonID
"""

WALK_SQL = """
with recursive inner_taxon as (
  select c.taxonID, c.parentNameUsageID, c.taxonRank, c.canonicalName from named c
  where not c.is_synonym and c.taxonID in (select parentNameUsageID from named)
),
walk as (
  select taxonID,
    case when taxonRank = 'kingdom' then canonicalName end as kingdom,
    case when taxonRank = 'phylum' then canonicalName end as phylum,
    case when taxonRank = 'class' then canonicalName end as "class",
    case when taxonRank = 'order' then canonicalName end as "order",
    case when taxonRank = 'family' then canonicalName end as family,
    case when taxonRank = 'genus' then canonicalName end as genus,
    case when taxonRank = 'species' then canonicalName end as species
  from inner_taxon t
  where parentNameUsageID is null
    or not exists (select 1 from inner_taxon up where up.taxonID = t.parentNameUsageID)
  union all
  select n.taxonID,
    case when n.taxonRank = 'kingdom' then n.canonicalName else w.kingdom end,
    case when n.taxonRank = 'phylum' then n.canonicalName else w.phylum end,
    case when n.taxonRank = 'class' then n.canonicalName else w."class" end,
    case when n.taxonRank = 'order' then n.canonicalName else w."order" end,
    case when n.taxonRank = 'family' then n.canonicalName else w.family end,
    case when n.taxonRank = 'genus' then n.canonicalName else w.genus end,
    case when n.taxonRank = 'species' then n.canonicalName else w.species end
  from walk w join inner_taxon n on n.parentNameUsageID = w.taxonID
)
select * from walk
"""

NAMED_SQL = """
select c.* replace (coalesce(c.canonicalName, p.canonical, case when p.note is null or p.note = 'not_a_name'
      then c.scientificName end) as canonicalName,
    coalesce(c.scientificNameAuthorship, p.authorship) as scientificNameAuthorship,
    case when not c.is_synonym then coalesce(up.accepted, c.parentNameUsageID) else c.parentNameUsageID end
      as parentNameUsageID,
    coalesce(c.taxonRank, p.rank, case case when c.is_clade then 0 else len(string_split(coalesce(c.canonicalName, p.canonical), ' ')) end
      when 2 then 'species' when 3 then 'infraspecific_name' end) as taxonRank),
  p.note is not null and p.note not in ('otu_code', 'virus')      -- "Aus sp. 1" is no name of Aus
    or coalesce(regexp_matches(c.taxonomicStatus, $no_taxon), false)     -- "bare name", "nomen nudum", …
    or p.note is null and not contains(coalesce(c.canonicalName, p.canonical), ' ')
      and list_contains($below_genus, c.taxonRank) as odd_name,
  case when c.is_synonym then coalesce(f.accepted, c.pointed) end as accepted, up.taxonID is not null as below_synonym,
  coalesce(f.hops, 0) >= 64 as circular
from clean c left join (select * from read_name where not flagged) p
  on p.text = c.scientificName and c.canonicalName is null
left join followed f on f.taxonID = c.taxonID
left join (select s.taxonID, coalesce(g.accepted, s.pointed) as accepted from clean s
           left join followed g using (taxonID) where s.is_synonym) up on up.taxonID = c.parentNameUsageID
"""

SQL = """
with placed as (                -- a synonym stands where its accepted taxon stands
  select n.*, case when n.is_synonym then a.parentNameUsageID else n.parentNameUsageID end as above,
    case when n.is_synonym then a.taxonRank else n.taxonRank end as own_rank,
    case when n.is_synonym then a.canonicalName else n.canonicalName end as own_name,
    not n.is_synonym or (a.taxonID is not null and not n.circular) as sound,
    a.kingdom as akingdom, a.phylum as aphylum, a."class" as aclass, a."order" as aorder,
    a.family as afamily, a.genus as agenus
  from named n
  left join named a on n.is_synonym and a.taxonID = n.accepted and not a.is_synonym
)
select p.taxonID, p.parentNameUsageID, case when p.is_synonym then coalesce(p.accepted, p.pointed) end
    as acceptedNameUsageID,
  p.taxonRank, p.taxonomicStatus, p.scientificName, p.canonicalName, p.scientificNameAuthorship,
  p.nomenclaturalCode,
  case when sound and not coalesce(p.odd_name, false) then name_key(p.canonicalName) end as name_key,
  case when sound and not coalesce(p.odd_name, false) then stem_key(p.canonicalName) end as stem_key, p.eolID,
  coalesce(k.accepted, case when own_rank = 'kingdom' then own_name
    else coalesce(w.kingdom, akingdom, p.kingdom) end) as kingdom,
  case when own_rank = 'phylum' then own_name else coalesce(w.phylum, aphylum, p.phylum) end as phylum,
  case when own_rank = 'class' then own_name else coalesce(w."class", aclass, p."class") end as "class",
  case when own_rank = 'order' then own_name else coalesce(w."order", aorder, p."order") end as "order",
  case when own_rank = 'family' then own_name else coalesce(w.family, afamily, p.family) end as family,
  case when own_rank = 'genus' then own_name
       else coalesce(w.genus, agenus, case when not p.is_synonym then p.genus end,
         case when contains(own_name, ' ') and not contains(own_name, 'virus')
              then string_split(own_name, ' ')[1] end) end as genus,
  case when own_rank = 'species' then own_name
       when w.species is not null then w.species
       when len(string_split(own_name, ' ')) = 2 and not contains(own_name, 'virus')
         and not list_contains($ranks, own_rank) then own_name
       when len(string_split(own_name, ' ')) = 3 and not contains(own_name, 'virus')
         then array_to_string(string_split(own_name, ' ')[1:2], ' ') end as species
from placed p left join walk w on w.taxonID = p.above
left join kingdom_word k on k.given = lower(case when own_rank = 'kingdom' then own_name
    else coalesce(w.kingdom, akingdom, p.kingdom) end)
"""

PROBLEMS_SQL = """
select taxonID, 'no_id_or_name' as problem, scientificName as detail from node
where taxonID is null or scientificName is null
union all
select taxonID, 'id_repeated', scientificName
from (select *, row_number() over (partition by taxonID order by source_row) as nth from node
      where taxonID is not null and scientificName is not null) where nth > 1
union all
select taxonID, 'unknown_status', taxonomicStatus from named where odd_status
union all
select taxonID, 'unknown_rank', taxonRank from named
where taxonRank is not null and not list_contains($ranks, taxonRank)
union all
select taxonID, 'not_a_name', scientificName from named where odd_name and not odd_status
union all
select taxonID, 'parent_is_synonym', parentNameUsageID from named where below_synonym and not is_synonym
union all
select taxonID, 'parent_missing', parentNameUsageID from named n
where not is_synonym and parentNameUsageID is not null
  and not exists (select 1 from named p where p.taxonID = n.parentNameUsageID)
union all
select taxonID, 'parent_cycle', parentNameUsageID from named n
where not is_synonym and taxonID in (select parentNameUsageID from named)
  and not exists (select 1 from walk w where w.taxonID = n.taxonID)
union all
select taxonID, case when circular then 'synonym_cycle'
    when accepted is null then 'synonym_of_nothing' else 'accepted_missing' end, accepted
from named n where is_synonym and (circular or not exists
  (select 1 from named a where a.taxonID = n.accepted and not a.is_synonym))
union all
select min(taxonID), 'accepted_twice', canonicalName || ' ' || coalesce(scientificNameAuthorship, '')
from named where not is_synonym and canonicalName is not null
group by canonicalName, scientificNameAuthorship, kingdom, taxonRank having count(*) > 1
"""


def lineage(
    con: duckdb.DuckDBPyConnection, node: Path, work_dir: Path, tag: str = "tree"
) -> tuple[Path, Path]:
    """The lineage table and the problem table (taxonID, problem, detail) of node rows, as parquet."""
    con.execute(keys.macros())

    def made(name: str, query: sql.Query) -> Path:
        path = work_dir / f"{tag}-{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        query.copy_to(path)
        return path

    words = pa.table(
        {"given": list(vocabulary.RANK_WORDS), "word": list(vocabulary.RANK_WORDS.values())}
    )
    statuses = {"accepted": list(vocabulary.ACCEPTED), "synonym": vocabulary.SYNONYM}
    kingdoms = pa.table(
        {"given": list(vocabulary.KINGDOMS), "accepted": list(vocabulary.KINGDOMS.values())}
    )
    below = {"below_genus": list(vocabulary.BELOW_GENUS), "no_taxon": vocabulary.NO_TAXON}
    ranks = {"ranks": list(vocabulary.RANKS)}
    clean = made("clean", sql.query(con, CLEAN_SQL, statuses, node=node, rank_word=words))
    texts = made("texts", sql.query(con, TEXT_SQL, clean=clean))
    names = keys.parsed(con, texts, work_dir, tag)
    followed = made("followed", sql.query(con, ACCEPTED_SQL, clean=clean))
    named = made(
        "named", sql.query(con, NAMED_SQL, below, clean=clean, read_name=names, followed=followed)
    )
    walk = made("walk", sql.query(con, WALK_SQL, clean=clean, named=named))
    tree = made(
        "lineage", sql.query(con, SQL, ranks, named=named, walk=walk, kingdom_word=kingdoms)
    )
    params = {"ranks": list(vocabulary.RANKS)}
    problems = made(
        "problems", sql.query(con, PROBLEMS_SQL, params, node=node, named=named, walk=walk)
    )
    return tree, problems


def no_lineage() -> pa.Table:
    """The lineage table without rows, for sources that come without a hierarchy."""
    return pa.schema([(name, pa.string()) for name in COLUMNS]).empty_table()
