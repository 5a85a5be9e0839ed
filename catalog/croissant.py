"""`croissant.json`: the dataset for machines, after MLCommons' Croissant 1.1 and its responsible-AI vocabulary.

https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html and …/croissant-rai-spec.html. Files are named
by pattern; fields, their meanings and their standard terms come from the schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog import schema

FILE = "croissant.json"
# what the reference library takes for the checksum of a repository, which has none
NO_CHECKSUM = "https://github.com/mlcommons/croissant/issues/80"
_RECORDS = {"default": schema.DATA, "catalog": schema.CATALOG, "taxa": schema.TAXA, "names": schema.NAMES,
            "rejects": schema.REJECTS, "statistics": schema.STATISTICS}  # fmt: skip
_CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "arrayShape": "cr:arrayShape", "citeAs": "cr:citeAs",
    "column": "cr:column", "conformsTo": "dct:conformsTo", "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty", "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes", "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5",
    "name": {"@container": "@language"}, "parentField": "cr:parentField", "path": "cr:path",
    "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated",
    "replace": "cr:replace", "samplingRate": "cr:samplingRate", "sc": "https://schema.org/",
    "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip

_PRIVATE: dict[str, Any] = {
    "description": "A private set of captioned web pictures for replay, never published, and a reason for every row left out.",
    "isAccessibleForFree": False, "conditionsOfAccess": "private: for training on its owner's machines alone",
    "keywords": ["images", "captions"],
    "rai:dataAnnotationProtocol": "Captions are the words that stood with the pictures on the web; nobody checked them.",
    "rai:dataUseCases": ["Replay while a model learns organisms, so that it keeps what it knew of everything else"],
    "rai:personalSensitiveInformation": ["People may be in the pictures and be named in the captions."],
    "rai:dataReleaseMaintenancePlan": "It is never released; a takedown leaves a row in rejects of the next build.",
}  # fmt: skip


def write(folder: Path, *, name: str, title: str, release: str, licence: str, authors: Sequence[str],
          limits: Sequence[str], collected: str,
          prepared: Sequence[str], private: bool = False) -> None:  # fmt: skip
    """Write `croissant.json` into a dataset folder; `collected` says where the pictures come from, `prepared` what was done."""
    records = _RECORDS | ({"default": schema.CAPTIONS} if private else {})
    kept = [n for n in records if list(folder.glob(_pattern(n, release)))]
    said: dict[str, Any] = {
        "@context": _CONTEXT, "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": title, "alternateName": name, "version": _semantic(release), "inLanguage": ["en", "la"],
        "description": "Pictures of organisms with scientific names, licences, attribution and places, and a reason for "
                       "every row left out.",
        "license": f"https://spdx.org/licenses/{licence}.html", "isAccessibleForFree": True,
        "creator": [{"@type": "sc:Organization", "name": a} for a in authors or (f"The makers of {title}",)],
        "citeAs": f"{title}, release {release}", "keywords": ["biology", "taxonomy", "species", "images"],
        "rai:dataCollection": collected,
        "rai:dataCollectionType": ["Secondary Data Analysis"],
        "rai:dataPreprocessingProtocol": list(prepared),
        "rai:dataAnnotationProtocol": "Labels are the providers' identifications, read through the taxonomies named in "
                                      "the column taxonomy; match_rule, match_score and match_reason say how.",
        "rai:dataLimitations": list(limits), "rai:dataBiases": [line for line in limits if "%" in line],
        "rai:dataUseCases": ["Training and judging models that name organisms, and the study of their traits"],
        "rai:personalSensitiveInformation": [
            "Names of photographers and observers stand where a licence asks for credit or the record states them; "
            "people may be in pictures (face_score is null where nobody looked).",
            "Places are as the column geoprivacy says; places of sensitive species may be coarse or withheld."],
        "rai:dataReleaseMaintenancePlan": "Releases never change; a takedown leaves a row in rejects and in the "
                                          "published differences of the next release.",
        "distribution": [
            {"@type": "cr:FileSet", "@id": f"files-{n}", "name": f"files-{n}", "includes": _pattern(n, release),
             "encodingFormat": "application/x-parquet", "description": f"one row per {records[n].row}"} for n in kept],
        "recordSet": [_records(n, records[n]) for n in kept],
    }  # fmt: skip
    if private:
        del said["license"], said["inLanguage"]  # neither is known
        said |= _PRIVATE
    (folder / FILE).write_text(
        json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def at(text: str, url: str) -> str:
    """The same document for a repository at `url`, in which its files lie."""
    said = json.loads(text)
    said["url"] = url
    for files in said["distribution"]:
        files["containedIn"] = {"@id": "repo"}
    said["distribution"].insert(0, {
        "@type": "cr:FileObject", "@id": "repo", "name": "repo", "description": "the repository of the dataset",
        "contentUrl": url, "encodingFormat": "git+https", "sha256": NO_CHECKSUM})  # fmt: skip
    return json.dumps(said, indent=1, ensure_ascii=False) + "\n"


def _semantic(release: str) -> str:
    """A release such as v1 or v1.2 as MAJOR.MINOR.PATCH; any other name as it is."""
    if not re.fullmatch(r"v?[0-9]+(\.[0-9]+){0,2}", release):
        return release
    numbers = release.removeprefix("v").split(".")
    return ".".join([*numbers, "0", "0"][:3])


def _pattern(name: str, release: str) -> str:
    return (
        f"data/{release}/*/*.parquet"
        if name == "default"
        else f"metadata/{release}/{name}-*.parquet"
    )


def _records(name: str, table: schema.Table) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet", "@id": name, "name": name, "description": f"one row per {table.row}",
        "key": [{"@id": f"{name}/{column}"} for column in table.key],
        "field": [_field(name, schema.FIELDS[column]) for column in table.columns],
    }  # fmt: skip


def _field(records: str, field: schema.Field) -> dict[str, Any]:
    source: dict[str, Any] = {
        "fileSet": {"@id": f"files-{records}"},
        "extract": {"column": field.name},
    }
    if field.type.equals(schema.IMAGE):
        source["transform"] = {"jsonPath": "bytes"}
    unit = f" ({field.unit})" if field.unit else ""
    said = {"@type": "cr:Field", "@id": f"{records}/{field.name}", "name": field.name,
            "description": field.meaning + unit, "dataType": _type(field.type), "source": source}  # fmt: skip
    return said | ({"equivalentProperty": field.term} if field.term else {})


def _type(kind: pa.DataType) -> str:
    if kind.equals(schema.IMAGE):
        return "sc:ImageObject"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return {"double": "sc:Float", "bool": "sc:Boolean"}.get(str(kind), "sc:Text")
