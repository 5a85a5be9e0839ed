"""A loopback stand-in for GBIF's web service: today's shapes, a world given by the test.

`with serve(World()) as api:` sends what `requests` asks of api.gbif.org to a local server and
refuses any other host. GBIF ignores a parameter it does not know; here it is an error, so that a
misspelt one cannot pass. The finches' keys are invented.
"""

from __future__ import annotations

import base64
import difflib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import requests

COL, BACKBONE = "7ddf754f-d193-4cc9-b351-99906754a03b", "d7dddbf4-2cf0-4f39-9b2a-bb099caae36c"
DOWNLOAD_KEY = "0001234-260101000000000"
_HIGHER = [  # rank, name, Catalogue of Life key, backbone key
    ("KINGDOM", "Animalia", "N", "1"), ("PHYLUM", "Chordata", "CH2", "44"),
    ("CLASS", "Aves", "V2", "212"), ("ORDER", "Passeriformes", "3RL", "729"),
    ("FAMILY", "Thraupidae", "FTH", "9999201"), ("GENUS", "Geospiza", "4GEO", "9999202"),
]  # fmt: skip
_SPECIES = [
    ("fortis Gould, 1837", "6FORT", "9999301"), ("fuliginosa Gould, 1837", "6FULI", "9999302"),
    ("magnirostris Gould, 1837", "6MAGN", "9999303"), ("scandens Gould, 1837", "6SCAN", "9999304"),
]  # fmt: skip
_LICENCES = (
    "http://creativecommons.org/licenses/by/4.0/", "http://creativecommons.org/licenses/by-nc/4.0/",
    "http://creativecommons.org/publicdomain/zero/1.0/", "CC-BY", "© All rights reserved", "",
)  # fmt: skip

Pictures = Callable[[str, int], str]  # gbifID, number -> address
PICTURES: Pictures = "http://gbif-media.invalid/{}/{}.jpg".format
Json = dict[str, Any]
Taxon = dict[str, Json]  # checklist -> its answer to a match


def taxon(rank: str, name: str, *keys: str) -> Taxon:
    """One accepted taxon, `name` with author; `keys` by the Catalogue of Life and the backbone."""
    plain = " ".join(name.split()[: 2 if rank == "SPECIES" else 1])
    answers = {}
    for i, checklist in enumerate((COL, BACKBONE)):
        ranks = [h[0] for h in _HIGHER]
        above = _HIGHER[: ranks.index(rank) if rank in ranks else None]
        lineage = [*((h[0], h[1], h[2 + i]) for h in above), (rank, plain, keys[i])]
        answers[checklist] = {
            "usage": {"key": keys[i], "name": name, "canonicalName": plain, "rank": rank,
                      "status": "ACCEPTED", "code": "ZOOLOGICAL"},
            "classification": [{"key": key, "name": n, "rank": r} for r, n, key in lineage],
            "diagnostics": {"matchType": "EXACT", "confidence": 99}, "synonym": False,
        }  # fmt: skip
    return answers


def finch_taxa() -> list[Taxon]:
    """Geospiza and what is above it, four species, and a synonym of the last, G. scandens."""
    taxa = [taxon(*higher) for higher in _HIGHER]
    taxa += [taxon("SPECIES", f"Geospiza {name}", *keys) for name, *keys in _SPECIES]
    synonym = taxon("SPECIES", "Cactornis scandens Gould, 1837", "7CACT", "9999400")
    for checklist, answer in synonym.items():
        accepted = taxa[-1][checklist]
        answer["usage"]["status"] = "SYNONYM"
        answer |= {"acceptedUsage": accepted["usage"], "synonym": True}
        answer["classification"] = accepted["classification"]
    return [*taxa, synonym]


def finches(n: int = 36, pictures: Pictures = PICTURES) -> list[Json]:
    """Six or more occurrences as the search gives them, one to three pictures each. Special, from
    the end: no media; a sound only; coordinates withheld; ABSENT; flat text keys only; a sound
    beside a picture, with tabs and line ends in free text."""
    found = [_finch(i, pictures) for i in range(n)]
    found[-1]["media"] = []
    found[-2]["media"] = [_medium("Sound", "http://gbif-media.invalid/song.mp3", 0)]
    found[-3]["informationWithheld"] = "Coordinates blurred to protect a threatened taxon"
    found[-4]["occurrenceStatus"] = "ABSENT"
    del found[-5]["classifications"]
    found[-5] |= dict.fromkeys(("taxonKey", "acceptedTaxonKey", "speciesKey"), "6FORT")
    found[-5]["genusKey"] = "4GEO"
    found[-6]["media"].append(_medium("Sound", "http://gbif-media.invalid/call.mp3", 1))
    found[-6]["media"][0] |= {"title": "tab\there", "description": 'two\r\nlines, a "quote"\0'}
    return found


def _medium(kind: str, url: str, i: int) -> Json:
    medium = {
        "type": kind, "identifier": url, "references": f"{url}.html", "publisher": "A museum",
        "format": "audio/mpeg" if kind == "Sound" else "image/jpeg",
        "created": f"2024-03-{i % 28 + 1:02}T08:00:00Z", "creator": f"Observer {i % 5}",
        "license": _LICENCES[i % len(_LICENCES)],
    }  # fmt: skip
    return {name: value for name, value in medium.items() if value}


def _finch(i: int, pictures: Pictures) -> Json:
    gbif_id = str(4_000_000_000 - 7 * i if i % 2 else 900_000_000 + i)
    full, *keys = _SPECIES[i % len(_SPECIES)]
    name = f"Geospiza {full}"
    by = {}
    for checklist, answer in taxon("SPECIES", name, *keys).items():
        usage = {k: answer["usage"][k] for k in ("key", "name", "rank", "code")}
        usage |= {"genericName": "Geospiza", "specificEpithet": full.split()[0]}
        by[checklist] = {"usage": usage, "acceptedUsage": usage, "taxonomicStatus": "ACCEPTED",
                         "classification": answer["classification"], "issues": [],
                         "iucnRedListCategoryCode": "LC"}  # fmt: skip
    flat: Json = {h[0].lower(): h[1] for h in _HIGHER}
    flat |= {h[0].lower() + "Key": int(h[3]) for h in _HIGHER}
    flat |= dict.fromkeys(("taxonKey", "acceptedTaxonKey", "speciesKey"), int(keys[1]))
    media = [_medium("StillImage", pictures(gbif_id, j), i + j) for j in range(i % 3 + 1)]
    return {
        "key": int(gbif_id), "gbifID": gbif_id, **flat, "classifications": by, "media": media,
        "datasetKey": f"00000000-0000-4000-8000-{i % 3:012}", "datasetName": "Finches of Daphne",
        "publishingOrgKey": "00000000-0000-4000-8000-0000000000aa", "extensions": {}, "issues": [],
        "basisOfRecord": "PRESERVED_SPECIMEN" if i % 4 == 3 else "HUMAN_OBSERVATION",
        "occurrenceStatus": "PRESENT", "species": " ".join(name.split()[:2]),
        "scientificName": name, "acceptedScientificName": name, "genericName": "Geospiza",
        "specificEpithet": full.split()[0], "taxonRank": "SPECIES", "taxonomicStatus": "ACCEPTED",
        "iucnRedListCategory": "LC", "decimalLatitude": -0.4 - i / 1000, "decimalLongitude": -90.4,
        "coordinateUncertaintyInMeters": 30.0, "elevation": 12.0, "sex": "Male",
        "countryCode": "EC" if i % 6 else "CR", "eventDate": f"2024-03-{i % 28 + 1:02}",
        "recordedBy": f"Observer {i % 5}", "occurrenceID": f"urn:finch:{i}",
        "license": "http://creativecommons.org/licenses/by-nc/4.0/legalcode",
        "references": f"http://gbif-media.invalid/{gbif_id}", "rightsHolder": f"Observer {i % 5}",
    }  # fmt: skip


@dataclass
class World:
    """What the service knows; `faults` are (status, headers) for its next answers; and what it was
    asked, as the client wrote it. The last of `statuses` stays."""

    occurrences: list[Json] = field(default_factory=finches)
    taxa: list[Taxon] = field(default_factory=finch_taxa)
    archive: bytes = b"PK\5\6" + bytes(18)  # an empty zip
    statuses: list[str] = field(default_factory=lambda: ["PREPARING", "RUNNING", "SUCCEEDED"])
    account: tuple[str, str] = ("darwin", "beagle")
    faults: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    posted: list[Json] = field(default_factory=list)

    def answer(self, address: str, login: str, body: bytes) -> tuple[int, Any]:
        """Status and body (bytes as they are, else JSON) for one request."""
        url = urlsplit(address)
        asked = {k.lower().replace("_", ""): v for k, v in parse_qs(url.query).items()}
        path = url.path.removesuffix(".zip")
        if path == "/v2/species/match":
            return 200, self._match({k: v[0] for k, v in asked.items()})
        if key := re.fullmatch(r"/v1/species/(\d+)", path):
            usages = [taxon[BACKBONE]["usage"] for taxon in self.taxa]
            return next(((200, u) for u in usages if u["key"] == key[1]), (404, {}))
        if path == "/v1/occurrence/search":
            return self._search(asked)
        if path == "/v1/occurrence/download/request":
            if login != "Basic " + base64.b64encode(":".join(self.account).encode()).decode():
                return 401, {"message": "Bad credentials"}
            self.posted.append(json.loads(body))
            return 201, DOWNLOAD_KEY.encode()
        if path == f"/v1/occurrence/download/{DOWNLOAD_KEY}":
            return 200, {
                "key": DOWNLOAD_KEY, "doi": "10.15468/dl.finch1", "totalRecords": 36,
                "status": self.statuses.pop(0) if self.statuses[1:] else self.statuses[0],
                "size": len(self.archive), "created": "2026-01-01T00:00:00.000+00:00",
                "license": "http://creativecommons.org/licenses/by-nc/4.0/legalcode",
                "downloadLink": f"https://api.gbif.org/v1/occurrence/download/request/{DOWNLOAD_KEY}.zip",
            }  # fmt: skip
        if path == f"/v1/occurrence/download/request/{DOWNLOAD_KEY}":
            return 200, self.archive
        return 404, {"message": f"no such resource: {path}"}

    def _match(self, asked: dict[str, str]) -> Json:
        answers = [taxon[asked["checklistkey"]] for taxon in self.taxa]
        nothing = {"diagnostics": {"matchType": "NONE", "confidence": 100}, "synonym": False}
        if key := asked.get("usagekey"):
            return next((a for a in answers if a["usage"]["key"] == key), nothing)
        names = {a["usage"][k].lower(): a for a in answers for k in ("name", "canonicalName")}
        wanted = asked["scientificname"].lower()
        if wanted in names:
            return names[wanted]
        near = difflib.get_close_matches(wanted, names, cutoff=0.85)
        kind, at = ("VARIANT", near[0]) if near else ("HIGHERRANK", wanted.split(" ")[0])
        more = (
            {"alternatives": [names[n] for n in near[1:]]} if asked.get("verbose") == "true" else {}
        )
        notes = {"matchType": kind, "confidence": 90, **more}
        return {**names[at], "diagnostics": notes} if at in names else nothing

    def _search(self, asked: dict[str, list[str]]) -> tuple[int, Json]:
        n, offset = int(asked.pop("limit")[0]), int(asked.pop("offset")[0])
        checklist = asked.pop("checklistkey", [BACKBONE])[0]
        if offset + n > 100_000:
            return 400, {"message": f"Max offset of 100000 exceeded: {offset} + {n}"}

        same = {"country": "countryCode", "datasetkey": "datasetKey"}

        def has(occurrence: Json, name: str) -> set[str]:
            if name == "mediatype":
                return {medium.get("type") for medium in occurrence["media"]}
            if name == "taxonkey" and (by := occurrence.get("classifications")):
                return {t["key"] for t in by[checklist]["classification"]}
            if name == "taxonkey":
                return {str(v) for k, v in occurrence.items() if k.endswith("Key")}
            return {occurrence.get(same.get(name, "basisOfRecord"), "")}

        for name in ("geometry", "license"):  # taken, not applied
            asked.pop(name, None)
        if unknown := asked.keys() - {"mediatype", "taxonkey", "basisofrecord", *same}:
            return 400, {"message": f"unknown parameters {sorted(unknown)}"}
        found = [o for o in self.occurrences if all(has(o, k) & {*v} for k, v in asked.items())]
        page = found[offset : offset + min(n, 300)]
        end = offset + len(page) >= len(found)
        numbers = {"offset": offset, "limit": min(n, 300), "endOfRecords": end, "count": len(found)}
        return 200, {**numbers, "results": page, "facets": []}


@contextmanager
def serve(world: World) -> Iterator[World]:
    """Serve a world on a loopback port for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            login = self.headers.get("Authorization", "")
            fault = world.faults.pop(0) if world.faults else None
            status, answer = (fault[0], {}) if fault else world.answer(self.path, login, body)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(data))}
            for name, value in (headers | (fault[1] if fault else {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    send = requests.Session.request

    def request(session: requests.Session, method: str, url: str, **more: Any) -> requests.Response:
        parts = urlsplit(url)
        if parts.hostname != "api.gbif.org":
            raise requests.ConnectionError(f"not served here: {url}")
        asked = requests.Request(method, url, params=more.get("params")).prepare()
        world.addresses.append(f"{method.upper()} {asked.url}")
        session.trust_env = False  # no proxies, no .netrc
        local = parts._replace(scheme="http", netloc=f"127.0.0.1:{server.server_port}")
        return send(session, method, local.geturl(), **more)

    try:
        with patch.object(requests.Session, "request", request):
            yield world
    finally:
        server.shutdown()
        server.server_close()
