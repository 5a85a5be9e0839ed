"""BIOSCAN-5M: the metadata table and its image tree.

In   BIOSCAN_5M_Insect_Dataset_metadata.csv and the folder that holds `<imgtype>/<split>/<chunk>/`
Out  schema.SOURCE: one row per record; barcode, BIN, coordinates and provider split kept

Pictures lie at `<imgtype>/<split>/<chunk>/<processid>.jpg`, without the chunk folder where the
chunk is empty. Records of BIOSCAN's own val, test and unseen splits are left out unless asked for.
Licence of all pictures: CC BY 3.0, CBG Photography Group (2021).
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from catalog import schema, sql
from curation.sources import boxes, dwca

SQL = """
with record as (
  select source_row, len(fields) <> $n_columns as ragged,
    said(fields, $at.processid) as processid,
    said(fields, $at.taxon) as taxon,
    said(fields, $at.phylum) as phylum, said(fields, $at.class_) as "class",
    said(fields, $at.order_) as "order", said(fields, $at.family) as family,
    said(fields, $at.genus) as genus, said(fields, $at.species) as species,
    said(fields, $at.dna_bin) as dna_bin, said(fields, $at.dna_barcode) as dna_barcode,
    said(fields, $at.country) as country,
    number(said(fields, $at.lat)) as lat,
    number(said(fields, $at.lon)) as lon,
    said(fields, $at.split) as split, said(fields, $at.chunk) as chunk
  from record
)
select * from blank
union all by name
select
  $archive as archive, $table as source_table, source_row, 0 as media_index,
  'bioscan' as source, processid as source_id, 'bioscan:' || processid as record_key,
  concat_ws('/', $image_type, split, chunk, processid || '.jpg') as identifier,
  case when phylum is not null then 'Animalia' end as kingdom,
  phylum, "class", "order", family, genus, species,
  coalesce(species, genus, family, "order", "class", phylum, taxon) as verbatimScientificName,
  case when species is not null then 'species' when genus is not null then 'genus'
       when family is not null then 'family' when "order" is not null then 'order'
       when "class" is not null then 'class' when phylum is not null then 'phylum' end as taxonRank,
  'bioscan-5m' as checklistKey,
  'MATERIAL_SAMPLE' as basisOfRecord, 'material_sample' as image_type, dna_bin, dna_barcode,
  country_code(country) as countryCode, lat as decimalLatitude, lon as decimalLongitude,
  split as provider_split,
  'http://creativecommons.org/licenses/by/3.0/' as license_verbatim,
  'CBG Photography Group' as creator,
  'Centre for Biodiversity Genomics' as rightsHolder,
  'BIOSCAN-5M' as publisher, 'BIOSCAN-5M' as datasetName,
  case
    when ragged then 'ragged_row'
    when processid is null then 'no_record_id'
    when not regexp_matches(processid, '^[A-Za-z0-9_.-]+$') or contains(processid, '..')
      then 'bad_record_id'
    when not regexp_matches(chunk, '^[A-Za-z0-9_-]+$') then 'bad_chunk'
    when split is null then 'no_split'
    when not list_contains($splits, split) then 'provider_held_out'
  end as reject_reason
from record
order by archive, source_table, source_row, media_index
"""

_COUNTRIES = {
    "Argentina": "AR", "Australia": "AU", "Bangladesh": "BD", "Belarus": "BY", "Bolivia": "BO",
    "Brazil": "BR", "Bulgaria": "BG", "Cameroon": "CM", "Canada": "CA", "Chile": "CL", "China": "CN",
    "Colombia": "CO", "Costa Rica": "CR", "Cuba": "CU", "Czech Republic": "CZ", "Ecuador": "EC",
    "Egypt": "EG", "Ethiopia": "ET", "Finland": "FI", "France": "FR", "French Guiana": "GF",
    "Gabon": "GA", "Georgia": "GE", "Germany": "DE", "Ghana": "GH", "Greece": "GR", "Guatemala": "GT",
    "Honduras": "HN", "Hungary": "HU", "India": "IN", "Indonesia": "ID", "Iran": "IR", "Israel": "IL",
    "Italy": "IT", "Japan": "JP", "Kenya": "KE", "Lebanon": "LB", "Madagascar": "MG", "Malaysia": "MY", "Mexico": "MX",
    "Morocco": "MA", "Mozambique": "MZ", "Nepal": "NP", "Netherlands": "NL", "New Zealand": "NZ",
    "Nicaragua": "NI", "Nigeria": "NG", "Norway": "NO", "Pakistan": "PK", "Panama": "PA",
    "Papua New Guinea": "PG", "Peru": "PE", "Philippines": "PH", "Poland": "PL", "Portugal": "PT",
    "Romania": "RO", "Russia": "RU", "Rwanda": "RW", "Saudi Arabia": "SA", "Singapore": "SG",
    "South Africa": "ZA", "South Korea": "KR", "Spain": "ES", "Sri Lanka": "LK", "Suriname": "SR", "Sweden": "SE",
    "Tanzania": "TZ", "Thailand": "TH", "Tunisia": "TN", "Turkey": "TR", "Uganda": "UG",
    "Ukraine": "UA", "United Arab Emirates": "AE", "United Kingdom": "GB", "United States": "US",
    "Uruguay": "UY", "Vietnam": "VN", "Zambia": "ZM", "Zimbabwe": "ZW",
}  # fmt: skip


def bioscan(
    con: duckdb.DuckDBPyConnection,
    *,
    archive: str,
    path: Path,
    work_dir: Path,
    image_type: str = "original_full",
    splits: tuple[str, ...] = ("pretrain", "train"),
) -> sql.Query:
    """Media rows of BIOSCAN-5M's metadata CSV, as `schema.SOURCE`; ValueError for another table."""
    con.execute(dwca.MACROS)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; name BIOSCAN-5M's metadata CSV")
    box = boxes.Box(path.parent, (path.name,))
    table = dwca.loose_table(box, path.name, dwca.OCCURRENCE, work_dir)
    missing = {"processid", "split", "chunk"} - set(table.columns)
    if missing:
        raise ValueError(
            f"{path} has no column {', '.join(sorted(missing))}; is it BIOSCAN-5M metadata?"
        )
    at = table.at(processid="processid", taxon="taxon", phylum="phylum", class_="class", order_="order",
                  family="family", genus="genus", species="species", dna_bin="dna_bin",
                  dna_barcode="dna_barcode", country="country", lat="coord-lat", lon="coord-lon",
                  split="split", chunk="chunk")  # fmt: skip
    countries = pa.table({"name": list(_COUNTRIES), "code": list(_COUNTRIES.values())})
    con.execute("drop view if exists country")
    con.register("country", countries)
    con.execute(
        "create or replace macro country_code(n) as (select code from country where name = n)"
    )
    params = {"archive": archive, "table": table.name, "at": at, "n_columns": table.n_columns,
              "image_type": image_type, "splits": list(splits)}  # fmt: skip
    return sql.query(con, SQL, params, record=table.input, blank=schema.SOURCE.empty())
