"""How well each candidate fits what a lineage says: GBIF's scores, and what never fits.

In   candidate  lineage × name (`candidates`), `said`, and `authority`: the taxonomies in order
Out  SCORE_SQL   every candidate with its parts, their sum `total`, and its `misfit`, if any
     CHOSEN_SQL  per lineage the best that fits, its margin over the next, and its score from 0 to 1
     LADDER_SQL  per lineage the lowest stated rank whose own lineage agrees

Name, authorship, classification, rank and status are scored as GBIF's species match does (github.com/
gbif/matching-ws; the numbers are its own), but that another author costs twice 18 and a taxon of
another kingdom never fits.
"""

MACROS = """
create or replace macro epithet_of(key) as substr(key, strpos(key, ' ') + 1);
create or replace macro bare(key) as            -- without hyphens and the last word's gender ending
  regexp_replace(replace(key, '-', ''), '(us|um|a|is|e|ii?|er|ra|rum|rus)$', '');
create or replace macro confidence(total) as    -- GBIF's normalisation, brought to 0 to 1
  case when total <= 80 then greatest(0, total)
       else least(100, 75.8 + 26 * (log10(1.5 * (total - 70)) - 1)) end / 100.0;
"""

SCORE_SQL = """
with seen as (                  -- what the stated ranks say of each candidate: 1 agrees, -1 differs
  select c.*, s.* exclude (lineage, kingdom, phylum, "class", "order", family, genus, taxonRank),
    p.precedence, p.keyed_by,
    authors(c.scientificNameAuthorship) as their_words,
    plain_authors(c.scientificNameAuthorship) as their_text,
    year_of(c.scientificNameAuthorship) as their_year,
    coalesce(c.acceptedNameUsageID, c.taxonID) as accepted_id,
    case when s.kingdom_key is null or c.kingdom is null then 0
         when s.kingdom_key = lower(c.kingdom) then 1 else -1 end as kingdom_says,
    case when s.phylum_key is null or c.phylum is null then 0
         when s.phylum_key = lower(c.phylum) then 1 else -1 end as phylum_says,
    case when s.class_key is null or c."class" is null then 0
         when s.class_key = lower(c."class") then 1 else -1 end as class_says,
    case when s.order_key is null or c."order" is null then 0
         when s.order_key = lower(c."order") then 1 else -1 end as order_says,
    case when s.family_key is null or c.family is null then 0
         when s.family_key = lower(c.family) then 1 else -1 end as family_says,
    case when s.genus_key is null or c.genus is null then 0
         when s.genus_key = lower(c.genus) then 1 else -1 end as genus_says
  from candidate c join said s using (lineage) join authority p using (taxonomy)
),
judged as (
  select *,
    case when way <> 'higher' then authors_agree(author_words, their_words) end as author_says,
    (phylum_says = 1)::int + (class_says = 1)::int + (order_says = 1)::int + (family_says = 1)::int as n_agree,
    (phylum_says = -1)::int + (class_says = -1)::int + (order_says = -1)::int + (family_says = -1)::int
      as n_differ,
    greatest(-60, least(50,
      case kingdom_says when 1 then 5 when -1 then -51 else 0 end + 10 * phylum_says
      + case class_says when 1 then 15 when -1 then -10 else 0 end
      + case order_says when 1 then 15 when -1 then -10 else 0 end
      + case family_says when 1 then 25 when -1 then -15 else 0 end
      + case genus_says when 1 then 2 when -1 then 1 else 0 end)) as class_score
  from seen
),
parts as (
  select *,
    case way when 'exact' then 0 when 'key' then 0 when 'variant' then 1 else 2 end as way_no,
    case way when 'exact' then 100 + case when note in ('otu_code', 'virus') then 20
                                          when n_words > 1 then 10 else 0 end
             when 'key' then 100 when 'higher' then 100
             when 'variant' then 95
             else case distance when 1 then 95 else 88 end
                  + case when name_key like wanted_genus || ' %' then 0 else -15 end
    end as name_score,
    case when len(author_words) = 0 then 0
         when author_says then 12 + case when author_text = their_text then 8 else 0 end
           - case when abs(year - their_year) > 1 then 12 else 0 end
         when author_says = false then case when n_words > 1 then -36 else -12 end
         else -2 end as author_score,
    case when rank_said is null or taxonRank is null then 0 when rank_said = taxonRank then 10
         when n_words = 3 and contains(canonicalName, ' ') then 5
         when n_words > 1 and not contains(canonicalName, ' ') then -35
         else -2 end as rank_score,
    case when taxonomicStatus = 'misapplied' then -10
         when contains(taxonomicStatus, 'ambiguous') then -1
         when taxonomicStatus in ('doubtful', 'provisionally accepted', 'provisional') then -1
         when acceptedNameUsageID is null then 1 else 0 end as status_score,
    coalesce(checklistKey = keyed_by and (taxonKey = taxonID or taxonKey = accepted_id), false)
        or way = 'key' as key_agrees,
    coalesce(author_says, false) or family_says = 1 or order_says = 1 as ally,
    (kingdom is not null)::int + (phylum is not null)::int + ("class" is not null)::int
      + ("order" is not null)::int + (family is not null)::int as n_ranks
  from judged
)
select * exclude (their_text, author_words, author_text, ally),
  name_score + author_score + class_score + rank_score + status_score
    + case when key_agrees then 15 else 0 end as total,
  case
    when kingdom_says < 0 then 'kingdom_conflict'
    when taxonomicStatus = 'misapplied' then 'misapplied'
    when way in ('variant', 'fuzzy') and author_says = false then 'author_conflict'
    when way = 'key' and n_differ > 0 then 'key_conflict'
    when n_differ > 0 and not key_agrees and not (coalesce(author_says, false) and phylum_says >= 0
           and class_says >= 0 and coalesce(abs(year - their_year) <= 1, true))
      and (class_score < 0 or n_agree = 0 or order_says = -1 and family_says = -1) then 'lineage_conflict'
    when way in ('variant', 'fuzzy') and family_says = -1 then 'lineage_conflict'
    when way = 'variant' and not ally and bare(name_key) <> bare(wanted_key) then 'too_far'
    when way = 'fuzzy' and (not ally or (not coalesce(author_says, false)
           and (substr(epithet_of(name_key), 1, 1) <> substr(epithet_of(wanted_key), 1, 1)
             or replace(name_key, 'macr', 'micr') = replace(wanted_key, 'macr', 'micr'))))
      then 'too_far'
    when way = 'fuzzy' and distance > 1 and not (coalesce(author_says, false)
         and length(wanted_key) - length(wanted_genus) >= 8) and not (family_says = 1
         and length(wanted_key) - length(wanted_genus) >= 10) then 'too_far'
  end as misfit
from parts
"""

CHOSEN_SQL = """
with fit as (
  select *, row_number() over (partition by lineage order by way_no, coalesce(name_key <> title_key, false),
    coalesce(not author_says, false), n_differ > n_agree, precedence, total desc,
    acceptedNameUsageID is not null, n_ranks desc, accepted_id, taxonID, way) as place
  from scored where misfit is null
),
first_of as (select * from fit where place = 1),
rival as (                      -- the best of the same way that would give another label
  select f.lineage, max(f.total) as rival_total,
    first(f.canonicalName order by f.total desc, f.taxonID) as rival_name
  from fit f join first_of b on f.lineage = b.lineage and f.place > 1 and f.way_no = b.way_no
  where (f.taxonomy = b.taxonomy and f.accepted_id <> b.accepted_id
         or f.taxonomy <> b.taxonomy and f.kingdom <> b.kingdom)
    and coalesce(b.name_key <> b.title_key or f.name_key = b.title_key, true)
    and not (f.name_key = b.name_key and f.acceptedNameUsageID is null and b.acceptedNameUsageID is null
      and coalesce(authors_agree(f.their_words, b.their_words), true)
      and coalesce(f.kingdom = b.kingdom, true) and coalesce(f.phylum = b.phylum, true)
      and coalesce(f."class" = b."class", true)     -- the same taxon, written down twice
      and (coalesce(f.family = b.family, true) and coalesce(f."order" = b."order", true)
           or contains(f.name_key, ' ') and f."order" = b."order"))
  group by f.lineage
),
best as (
  select *, case when rival_total is null then 5 when total - rival_total < 5 then -15
                 else least(5, (total - rival_total) / 2) end as bonus
  from first_of left join rival using (lineage)
)
select *, total - rival_total as margin,
  confidence(total + bonus) as score
from best
"""

LADDER_SQL = """
with fit as (
  select *, count(distinct accepted_id) over (partition by lineage, distance, taxonomy) as n_homonyms,
    count(distinct kingdom) over (partition by lineage, distance) as n_kingdoms
  from scored
  where kingdom_says >= 0 and (acceptedNameUsageID is null or distance = 1)
),
good as (
  select * from fit
  where (n_kingdoms <= 1 or kingdom_says = 1) and class_score - case when genus_says = 1 and taxonRank = 'genus' then 2 else 0 end >= 0
    and (n_agree >= 1 + (taxonRank in ('family', 'order', 'class', 'phylum'))::int
         or (n_agree + n_differ <= (taxonRank in ('family', 'order', 'class', 'phylum'))::int and n_homonyms = 1))
)
select *, confidence(total) as score from good
qualify row_number() over (partition by lineage order by distance, precedence, n_agree - n_differ desc, taxonID) = 1
"""
