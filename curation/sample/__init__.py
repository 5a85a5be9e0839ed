"""A made-up archive of real species: four providers' files, their picture servers, and the truth.

made = world(Sample(n_pictures=400), Path("sample"))
with serve(made) as place:  # "127.0.0.1:PORT" answers for every host under .invalid
    ...
"""

from pathlib import Path

from curation.recipe import Sample
from curation.sample.files import write
from curation.sample.planning import World, plan
from curation.sample.scoring import Score, score
from curation.sample.server import serve

__all__ = ["Score", "World", "plan", "score", "serve", "world", "write"]


def world(sample: Sample, folder: Path) -> World:
    """Write the provider files of the sample world below `folder`; return its plan."""
    made = plan(sample)
    write(made, folder)
    return made
