"""Give every verbatim lineage one accepted taxon, and say which rule decided.

In   media   one row per media row, with what the provider said (schema.MEDIA)
     taxon   one row per name of the loaded taxonomies (schema.TAXON)
Out  schema.LABEL: one row per distinct verbatim lineage

A name is looked up by its canonical form, synonyms are followed to their accepted taxon, and a hit
counts only when its lineage agrees with what was given: the kingdom (after kingdom synonyms) and at
least one further rank, or nothing further was given and no homonym exists. A name that is not found
is tried at the given higher ranks. Where no loaded taxonomy covers the row the provider's own
interpretation is kept as `provider`; everything else is unresolved, with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from catalog import schema, sql
from curation.taxonomy import names

_KINGDOMS = {
    "metazoa": "Animalia", "viridiplantae": "Plantae", "archaeplastida": "Plantae",
    "chloroplastida": "Plantae", "eubacteria": "Bacteria", "protista": "Protozoa",
    "archaebacteria": "Archaea", "virus": "Viruses",
}  # fmt: skip

LINEAGES_SQL = """
select lineage, any_value(source) as source, any_value(kingdom) as kingdom,
  any_value(phylum) as phylum, any_value("class") as "class", any_value("order") as "order",
  any_value(family) as family, any_value(genus) as genus, any_value(species) as species,
  any_value(taxonRank) as taxonRank, any_value(coalesce(scientificName, verbatimScientificName)) as verbatimScientificName,
  any_value(scientificNameAuthorship) as scientificNameAuthorship,
  any_value(taxonKey) as taxonKey, any_value(checklistKey) as checklistKey
from media group by lineage order by lineage
"""

SQL = """
with said as (                  -- one row per lineage, names in canonical form
  select l.* replace (coalesce(k.accepted, l.kingdom) as kingdom),
    n.canonical as name, n.note, n.authorship, sp.canonical as species_name
  from lineage l
  left join kingdom k on k.given = lower(l.kingdom)
  left join name n on n.text = l.verbatimScientificName
  left join name sp on sp.text = l.species
),
wanted as (                     -- what to look up, most exact first; the given ranks are its context
  select lineage, canonical, step from (
    select lineage, unnest([
      {'canonical': name, 'step': 0}, {'canonical': species_name, 'step': 1},
      {'canonical': genus, 'step': 2}, {'canonical': family, 'step': 3},
      {'canonical': "order", 'step': 4}, {'canonical': "class", 'step': 5},
      {'canonical': phylum, 'step': 6}, {'canonical': kingdom, 'step': 7}], recursive := true)
    from said)
  where canonical is not null
),
hit as (                        -- every name it could mean, with the accepted taxon behind it
  select w.lineage, w.step, t.taxonomy, t.taxonID as name_id,
    t.acceptedNameUsageID is not null as synonym, t.scientificNameAuthorship as name_author,
    a.*  exclude (taxonomy)
  from wanted w
  join taxon t on t.canonicalName = w.canonical
  join taxon a on a.taxonomy = t.taxonomy and a.taxonID = coalesce(t.acceptedNameUsageID, t.taxonID)
    and a.acceptedNameUsageID is null
),
judged as (
  select h.*,
    (case when s.kingdom is null or h.kingdom is null then 0
          when lower(s.kingdom) = lower(h.kingdom) then 1 else -1 end) as kingdom_says,
    (s.phylum is not null and h.phylum is not null)::int + (s."class" is not null and h."class" is not null)::int
      + (s."order" is not null and h."order" is not null)::int
      + (s.family is not null and h.family is not null)::int
      + (h.step < 2 and s.genus is not null and h.genus is not null)::int as n_compared,
    coalesce((lower(s.phylum) = lower(h.phylum))::int, 0) + coalesce((lower(s."class") = lower(h."class"))::int, 0)
      + coalesce((lower(s."order") = lower(h."order"))::int, 0)
      + coalesce((lower(s.family) = lower(h.family))::int, 0)
      + coalesce((h.step < 2 and lower(s.genus) = lower(h.genus))::int, 0) as n_agree,
    p.rank_no as precedence, s.note,
    count(distinct h.taxonID) over (partition by h.lineage, h.step, h.taxonomy) as n_homonyms,
    coalesce(lower(h.name_author) = lower(coalesce(s.scientificNameAuthorship, s.authorship)), false)
      as author_agrees
  from hit h join said s using (lineage) join precedence p using (taxonomy)
),
allowed as (
  select *, kingdom_says >= 0 and (n_agree >= 1 or (n_compared = 0 and n_homonyms = 1)) as fits
  from judged
),
best as (
  select *, count(*) over (partition by lineage) as n_left from (
    select *, rank() over (partition by lineage order by step, precedence, kingdom_says desc,
      n_agree - (n_compared - n_agree) desc, author_agrees desc, synonym) as place
    from allowed where fits)
  where place = 1
),
chosen as (                     -- two taxa that fit equally well are no answer
  select * from best
  qualify row_number() over (partition by lineage order by taxonID) = 1
    and count(distinct taxonID) over (partition by lineage) = 1
),
why as (                        -- what stood in the way of the name itself
  select lineage,
    bool_or(step <= 1 and kingdom_says < 0) as kingdom_conflict,
    bool_or(step <= 1 and kingdom_says >= 0 and n_compared > 0 and n_agree = 0) as lineage_conflict,
    bool_or(step <= 1 and kingdom_says >= 0 and n_compared = 0 and n_homonyms > 1) as homonym,
    bool_or(step <= 1) as name_known
  from judged group by lineage
),
settled as (
  select s.lineage, s.source, s.note, s.taxonKey, s.checklistKey, s.name, s.species_name,
    s.verbatimScientificName,
    {'kingdom': s.kingdom, 'phylum': s.phylum, 'class': s."class", 'order': s."order",
     'family': s.family, 'genus': s.genus, 'rank': s.taxonRank} as given,
    c.taxonID is not null and (c.step <= 1 or not provider_has_more) as by_taxonomy,
    provider_has_more or (c.taxonID is null and has_provider) as by_provider,
    c.taxonomy, c.taxonID, c.step, c.synonym, c.n_agree, c.n_compared, c.kingdom_says,
    c.kingdom, c.phylum, c."class", c."order", c.family, c.genus, c.species, c.specificEpithet,
    c.infraspecificEpithet, c.taxonRank, c.canonicalName, c.scientificName,
    c.scientificNameAuthorship,
    w.kingdom_conflict, w.lineage_conflict, w.homonym, w.name_known
  from (
    select s.*,
      s.kingdom is not null and (s.source = 'gbif' and s.taxonKey is not null
        or s.source in ('bioscan', 'own', 'eol')) as has_provider
    from said s) s
  left join chosen c using (lineage)
  left join why w using (lineage)
  cross join lateral (select has_provider
    and (s.source = 'gbif' or not coalesce(w.kingdom_conflict or w.lineage_conflict or w.homonym, false))
    and (c.step is null or c.step > 1) and coalesce(s.note, '') not in ('not_a_name', 'hybrid_formula')
    as provider_has_more)
)
select lineage,
  case when by_taxonomy then kingdom when by_provider then given.kingdom end as kingdom,
  case when by_taxonomy then phylum when by_provider then given.phylum end as phylum,
  case when by_taxonomy then "class" when by_provider then given."class" end as "class",
  case when by_taxonomy then "order" when by_provider then given."order" end as "order",
  case when by_taxonomy then family when by_provider then given.family end as family,
  case when by_taxonomy then genus when by_provider then given.genus end as genus,
  case when by_taxonomy then species when by_provider then species_name end as species,
  case when by_taxonomy then specificEpithet
       when by_provider then string_split(species_name, ' ')[2] end as specificEpithet,
  case when by_taxonomy then infraspecificEpithet
       when by_provider and array_length(string_split(name, ' ')) = 3
         then string_split(name, ' ')[3] end as infraspecificEpithet,
  case when by_taxonomy then taxonRank
       when by_provider then coalesce(given.rank,
         case when species_name is not null then 'species' when given.genus is not null then 'genus'
              when given.family is not null then 'family' when given."order" is not null then 'order'
              when given."class" is not null then 'class' when given.phylum is not null then 'phylum'
              else 'kingdom' end) end as taxonRank,
  case when by_taxonomy then canonicalName
       when by_provider and species_name is not null
         and not starts_with(coalesce(name, ''), species_name) and note is distinct from 'otu_code'
         then species_name
       when by_provider then coalesce(name, species_name, given.genus, given.family, given."order",
         given."class", given.phylum, given.kingdom) end as canonicalName,
  case when by_taxonomy then scientificName when by_provider then verbatimScientificName end
    as scientificName,
  case when by_taxonomy then scientificNameAuthorship end as scientificNameAuthorship,
  case when by_taxonomy then taxonID when by_provider then taxonKey end as taxonID,
  case when by_taxonomy then taxonomy
       when by_provider then source || ':' || coalesce(checklistKey, 'interpretation') end
    as taxonomy,
  case when by_taxonomy and step <= 1 then case when synonym then 'synonym' else 'exact' end
       when by_taxonomy then 'higher_rank' when by_provider then 'provider' end as match_rule,
  case when by_taxonomy and n_compared + (kingdom_says <> 0)::int > 0 then (n_agree + (kingdom_says = 1)::int)
         / greatest(1, n_compared + (kingdom_says <> 0)::int)::double
       when by_provider then null end as match_score,
  case
    when by_taxonomy and step <= 1 then note
    when by_taxonomy or by_provider then coalesce(note,
      case when kingdom_conflict then 'kingdom_conflict' when lineage_conflict then 'lineage_conflict'
           when homonym then 'homonym' when not by_provider then 'name_not_found' end)
    when verbatimScientificName is null and given.kingdom is null
      then case source when 'gbif' then 'no_occurrence' else 'no_name' end
    when note in ('not_a_name', 'hybrid_formula') then note
    when kingdom_conflict then 'kingdom_conflict'
    when lineage_conflict then 'lineage_conflict'
    when homonym then 'homonym'
    when name_known then 'ambiguous'
    else 'name_not_found'
  end as match_reason
from settled
order by lineage
"""


def label(
    con: duckdb.DuckDBPyConnection,
    *,
    media: Path,
    taxon: Sequence[Path],
    precedence: Sequence[str],
) -> sql.Query:
    """One row of schema.LABEL per lineage; `precedence` names the taxonomies, best first."""
    lineages = sql.query(con, LINEAGES_SQL, media=media).table()
    texts = set(lineages.column("verbatimScientificName").to_pylist())
    texts |= set(lineages.column("species").to_pylist())
    ordered = sorted(text for text in texts if text)
    parsed = [names.parse(text) for text in ordered]
    name = pa.table(
        {
            "text": pa.array(ordered, schema.STR),
            "canonical": pa.array([p.canonical for p in parsed], schema.STR),
            "authorship": pa.array([p.authorship for p in parsed], schema.STR),
            "note": pa.array([p.note for p in parsed], schema.STR),
        }
    )
    kingdom = pa.table({"given": list(_KINGDOMS), "accepted": list(_KINGDOMS.values())})
    order = pa.table(
        {
            "taxonomy": pa.array(list(precedence), schema.STR),
            "rank_no": pa.array(range(len(precedence)), schema.I32),
        }
    )
    names_known = list(taxon) or schema.TAXON.empty()
    return sql.query(con, SQL, lineage=lineages, name=name, kingdom=kingdom, precedence=order,
                     taxon=names_known)  # fmt: skip
