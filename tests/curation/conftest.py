"""The pictures of tests.scored, drawn."""

import csv

import pytest

from curation.sample import draw
from tests.scored import LOOKS


@pytest.fixture
def world(tmp_path):
    """A table of specimens, labels, faces and camera-trap frames, and a support set."""
    names, rows = list(LOOKS), []

    def add(name, image, **more):
        image.save(tmp_path / f"{name}.jpg", quality=88)
        rows.append({"identifier": f"{name}.jpg", "scientificName": "Aus bus", "kingdom": "Animalia", **more})  # fmt: skip

    for k in range(6):
        add(f"s{k}", draw.draw(LOOKS[names[11 * k]], individual=k), basisOfRecord="PRESERVED_SPECIMEN")  # fmt: skip
        add(f"l{k}", draw.museum_label(70 + k), basisOfRecord="PRESERVED_SPECIMEN")
        add(f"f{k}", draw.face(k), basisOfRecord="HUMAN_OBSERVATION")
        for label, image in (("specimen", draw.draw(LOOKS[names[5 + 9 * k]], individual=90 + k)), ("text", draw.museum_label(k))):  # fmt: skip
            path = tmp_path / "support" / label / f"{k}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    for event in range(4):
        for k in range(2):
            frame = draw.camera_trap_frame(LOOKS[names[40]], 5, 1, 10 * event + k) if event == 1 else draw.empty_frame(5, 10 * event + k)  # fmt: skip
            add(f"c{event}{k}", frame, deploymentID="d", eventID=str(event), basisOfRecord="MACHINE_OBSERVATION")  # fmt: skip
    with (tmp_path / "t.csv").open("w", newline="") as stream:
        fields = ["identifier", "scientificName", "kingdom", "basisOfRecord", "deploymentID", "eventID"]  # fmt: skip
        writer = csv.DictWriter(stream, fields)
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path
