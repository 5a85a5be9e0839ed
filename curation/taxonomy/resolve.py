"""Give every verbatim lineage one accepted taxon, and say which rule decided.

In   media   one row per media row, with what the provider said (schema.MEDIA)
     taxon   one row per name of the loaded taxonomies (schema.TAXON)
Out  schema.LABEL: one row per distinct verbatim lineage

Every name a lineage could mean (`candidates`) is scored as GBIF's species match scores it
(github.com/gbif/matching-ws): name, authorship, classification, rank and status add up, the distance
to the runner-up adds up to 5, and the sum is brought to 0 to 1. Where ours differs, it is stricter:

- a taxon of another kingdom than was stated never fits, whatever else agrees;
- a taxon whose stated ranks speak against it more than for it does not fit, unless the author does;
- a spelling that is not the name's own needs the stated author, or a family or order, on its side
  (a gender ending or a hyphen does not), and no second candidate as near;
- one word alone that two taxa bear is no answer, even where one of them is accepted;
- where name and stated lineage contradict each other neither is believed: nothing is settled;
- equal names in several kingdoms are no answer, also when only one taxonomy holds each.

What the name does not settle, the stated ranks may: the nearest one whose own lineage agrees. Where
no loaded taxonomy covers the row the provider's own interpretation is kept as `provider`; everything
else is unresolved, with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from catalog import schema, sql
from curation.taxonomy import candidates, score
from curation.taxonomy.authority import Authority
from curation.taxonomy.candidates import Names

MIN_SCORE = 0.80
PROBLEMS = (  # why a name that a taxonomy holds, or nearly holds, did not settle the label
    "kingdom_conflict", "lineage_conflict", "misapplied", "key_conflict", "author_conflict", "homonym",
    "ambiguous", "low_score",
)  # fmt: skip

MACROS = """
create or replace macro cased(value) as         -- a provider's "ANIMALIA" and "animalia" are Animalia
  case when value = lower(value) or value = upper(value) then upper(value[1]) || lower(value[2:]) else value end;
"""

SETTLED_SQL = """
with why as (                   -- what stood in the way of the name itself
  select lineage, bool_or(misfit = 'kingdom_conflict') as kingdom_conflict,
    bool_or(misfit = 'lineage_conflict') as lineage_conflict,
    bool_or(misfit = 'author_conflict') as author_conflict,
    bool_or(misfit = 'misapplied') as misapplied, bool_or(misfit = 'key_conflict') as key_conflict,
    bool_or(way_no = 0) as name_known
  from scored group by lineage
)
select w.lineage,
  case when c.lineage is null then case
         when name_known and kingdom_conflict and not coalesce(lineage_conflict, false) then 'kingdom_conflict'
         when name_known and lineage_conflict then 'lineage_conflict'
         when misapplied then 'misapplied' when key_conflict then 'key_conflict'
         when author_conflict then 'author_conflict' end
       when c.margin < case when c.way in ('exact', 'key') and c.n_words > 1 then 1 else 5 end
         then case when c.way in ('exact', 'key') then 'homonym' else 'ambiguous' end
       when c.score < $min_score then 'low_score' end as problem,
  c.lineage is not null and coalesce(c.margin >= case when c.way in ('exact', 'key') and c.n_words > 1 then 1 else 5 end, true)
    and c.score >= $min_score as settled
from why w left join chosen c using (lineage)
"""

DONE_SQL = """
select lineage from settled where settled or problem in ('kingdom_conflict', 'lineage_conflict')
"""

LABEL_SQL = """
with high as (                  -- a name that contradicts its ranks is not settled by them
  select l.* from ladder l left join settled s using (lineage)
  where coalesce(s.problem, '') not in ('kingdom_conflict', 'lineage_conflict')
),
joined as (
  select s.*, st.problem, coalesce(st.settled, false) as by_name,
    coalesce(st.settled, false) or h.lineage is not null as by_taxonomy,
    case when st.settled then c.taxonomy else h.taxonomy end as hit_taxonomy,
    case when st.settled then c.taxonRank else h.taxonRank end as hit_rank,
    case when st.settled then c.accepted_id else h.accepted_id end as hit_id,
    case when st.settled then case c.way when 'exact' then
           case when c.acceptedNameUsageID is null then 'exact' else 'synonym' end else c.way end
         when h.lineage is not null then 'higher_rank' end as rule,
    case when st.settled then c.score when h.lineage is not null then h.score end as score,
    case when st.settled then c.distance end as match_distance,
    case when st.settled then concat_ws(' ',
        case when c.kingdom_says = 1 then 'kingdom' end, case when c.phylum_says = 1 then 'phylum' end,
        case when c.class_says = 1 then 'class' end, case when c.order_says = 1 then 'order' end,
        case when c.family_says = 1 then 'family' end, case when c.author_says then 'author' end)
      end as ranks_agree,
    case when st.settled then concat_ws(' ',
        case when c.phylum_says = -1 then 'phylum' end, case when c.class_says = -1 then 'class' end,
        case when c.order_says = -1 then 'order' end, case when c.family_says = -1 then 'family' end,
        case when not c.author_says then 'author' end) end as ranks_differ,
    c.rival_name as runner_up,
    s.kingdom is not null and (s.source = 'gbif' and s.taxonKey is not null
      or s.source in ('bioscan', 'own', 'eol') or s.taxonKey is not null and s.checklistKey is not null)
      as has_provider
  from said s left join settled st using (lineage) left join chosen c using (lineage)
  left join high h using (lineage)
),
decided as (
  select *, has_provider and not by_name
    and (source = 'gbif' or coalesce(problem, '') not in
         ('kingdom_conflict', 'lineage_conflict', 'homonym', 'ambiguous', 'author_conflict'))
    and coalesce(note, '') not in ('not_a_name', 'hybrid_formula', 'several_names', 'misapplied', 'abbreviated')
    and not (by_taxonomy and n_words = 1 and wanted is not null and hit_rank = 'genus')
    and (source = 'gbif' or not by_taxonomy or hit_rank = 'kingdom')   -- else our taxonomy covers the row
      as by_provider,
    n_words = 1 and taxonRank is null and lower(name) not in (coalesce(kingdom_key, ''), coalesce(phylum_key, ''),
      coalesce(class_key, ''), coalesce(order_key, ''), coalesce(family_key, ''), coalesce(genus_key, ''))
      as nameless                 -- "Tiger" beside its family names no rank of its own
  from joined
)
select d.lineage,
  case when by_provider then cased(d.kingdom) else a.kingdom end as kingdom,
  case when by_provider then cased(d.phylum) else a.phylum end as phylum,
  case when by_provider then cased(d."class") else a."class" end as "class",
  case when by_provider then cased(d."order") else a."order" end as "order",
  case when by_provider then cased(d.family) else a.family end as family,
  case when by_provider then coalesce(cased(d.genus), string_split(species_name, ' ')[1]) else a.genus end as genus,
  case when by_provider then d.species_name else a.species end as species,
  case when by_provider then string_split(d.species_name, ' ')[2] else a.specificEpithet end
    as specificEpithet,
  case when by_provider then case when n_words = 3 and note is null then string_split(name, ' ')[3] end
       else a.infraspecificEpithet end as infraspecificEpithet,
  case when by_provider then coalesce(case when nameless then null
           when species_name is not null or not lower(d.taxonRank) in
           ('species', 'subspecies', 'variety', 'form') then lower(d.taxonRank) end,
         case when species_name is not null then 'species' when d.genus is not null then 'genus'
              when d.family is not null then 'family' when d."order" is not null then 'order'
              when d."class" is not null then 'class' when d.phylum is not null then 'phylum'
              else 'kingdom' end) else a.taxonRank end as taxonRank,
  case when by_provider and species_name is not null and not starts_with(coalesce(name, ''), species_name)
         and note is distinct from 'otu_code' then species_name
       when by_provider then coalesce(case when not coalesce(nameless, false) then name end, species_name, d.genus, d.family, d."order", d."class",
         d.phylum, d.kingdom) else a.canonicalName end as canonicalName,
  case when by_provider then d.text else a.scientificName end as scientificName,
  case when not by_provider then a.scientificNameAuthorship end as scientificNameAuthorship,
  case when by_provider then d.taxonKey else a.taxonID end as taxonID,
  case when by_provider then case when source = 'own' then 'own'
         else source || ':' || coalesce(d.stated_checklist, 'interpretation') end
       else a.taxonomy end as taxonomy,
  case when by_provider then 'provider' when a.taxonID is not null then rule end as match_rule,
  case when not by_provider and a.taxonID is not null then round(score, 3) end as match_score,
  case
    when not by_provider and by_name then note
    when by_provider then coalesce(note, problem)
    when a.taxonID is not null then coalesce(note, problem, 'name_not_found')
    when text is null and d.kingdom is null and species_name is null
      then case source when 'gbif' then 'no_occurrence' else 'no_name' end
    when note in ('not_a_name', 'hybrid_formula', 'several_names', 'misapplied', 'abbreviated')
      and wanted is null then note
    else coalesce(problem, 'name_not_found')
  end as match_reason,
  case when by_name then d.match_distance end as match_distance,
  nullif(d.ranks_agree, '') as ranks_agree, nullif(d.ranks_differ, '') as ranks_differ, d.runner_up
from decided d
left join taxon a on not by_provider and a.taxonomy = d.hit_taxonomy and a.taxonID = d.hit_id
order by d.lineage
"""


def label(
    con: duckdb.DuckDBPyConnection, *, media: Path, taxon: Sequence[Path], authorities: Sequence[Authority],
    work_dir: Path, min_score: float = MIN_SCORE,
) -> sql.Query:  # fmt: skip
    """One row of schema.LABEL per lineage; `authorities` are the loaded taxonomies, best first.

    A name is settled at `min_score` (0 to 1) or more.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    lineage = work_dir / "lineages.parquet"
    sql.query(con, candidates.LINEAGE_SQL, media=media).copy_to(lineage)
    return judged(con, lineage, taxon, authorities, work_dir, min_score)


def judged(
    con: duckdb.DuckDBPyConnection, lineage: sql.Input, taxon: Sequence[Path],
    authorities: Sequence[Authority], work_dir: Path, min_score: float = MIN_SCORE,
) -> sql.Query:  # fmt: skip
    """As `label`, from rows with the columns of `candidates.LINEAGE_SQL`.

    Leaves `scored.parquet` (every candidate, its parts and its misfit) and `chosen.parquet` in
    `work_dir`, for whoever asks why.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    con.execute(MACROS)
    con.execute(score.MACROS)
    said = candidates.said(con, lineage, work_dir)
    known: sql.Input = list(taxon) or schema.TAXON.empty()
    names = Names(con, said, known, work_dir)
    order: dict[str, sql.Input] = {"authority": _in_order(authorities)}
    found = candidates.by_name(names, authorities)
    scored = names.made("scored", score.SCORE_SQL, {"candidate": found, **order})
    chosen = names.made("chosen", score.CHOSEN_SQL, {"scored": scored})
    inputs: dict[str, sql.Input] = {"scored": scored, "chosen": chosen}
    settled = names.made("settled", SETTLED_SQL, inputs, min_score=min_score)
    high = candidates.by_rank(names, sql.query(con, DONE_SQL, settled=settled).table())
    rungs = names.made("rungs", score.SCORE_SQL, {"candidate": high, **order})
    ladder = names.made("ladder", score.LADDER_SQL, {"scored": rungs})
    return sql.query(
        con, LABEL_SQL, said=said, settled=settled, chosen=chosen, ladder=ladder, taxon=known
    )


def _in_order(authorities: Sequence[Authority]) -> pa.Table:
    names, keys = [a.name for a in authorities], [a.checklist_key or None for a in authorities]
    return pa.table({"taxonomy": pa.array(names, schema.STR), "keyed_by": pa.array(keys, schema.STR),
                     "precedence": pa.array(range(len(names)), schema.I32)})  # fmt: skip
