"""The sources of a folder of answers, and what each rests on.

Conventions
-----------
- Every experiment with an index gives the source `seen`, and `heard` where its model has sound. Models whose features
  come from seeded weights give none, unless the data set is synthetic.
- The order of the sentences is that of `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mcn.search.catalogue import CATALOGUE, read_catalogue
from mcn.search.folder import Folder
from mcn.search.sources import Encoder, TextSource, VectorSource


def open_sources(folder: Folder) -> tuple[list[TextSource], list[VectorSource], list[str]]:
    """What finds moments in a folder, and sentences that say what it rests on."""
    basis: list[str] = []
    vectors: list[VectorSource] = []
    for path in sorted((folder.results / "index").glob(f"*/{folder.dataset}/{CATALOGUE}")):
        experiment = path.parent.parent.name
        if experiment not in folder.settings["experiments"]:
            continue
        seeded = _seeded(folder.settings, experiment)
        if seeded and not folder.options.get("synthetic"):
            words = f"{experiment} is not asked: {', '.join(seeded)} has seeded weights, which understand nothing"
            basis.append(words)
            continue
        rests = _basis(folder, experiment, seeded)
        basis.append(f"{experiment}: {rests}")
        vectors += _of_model(folder, experiment, path.parent, rests)
    return [], vectors, basis


def _of_model(folder: Folder, experiment: str, place: Path, rests: str) -> list[VectorSource]:
    catalogue = read_catalogue(place)
    load = _encoder(folder, experiment)
    return [
        VectorSource.open(source, rests, place, catalogue["parts"], entry["approximate"], load)
        for source, entry in catalogue["sources"].items()
    ]


def _encoder(folder: Folder, experiment: str) -> Callable[[], Encoder]:
    def load() -> Encoder:
        from mcn.evaluation.queries import load_query_encoder

        model = folder.results / "models" / experiment
        return load_query_encoder(model, folder.settings)

    return load


def _seeded(settings: Mapping[str, Any], experiment: str) -> list[str]:
    """The features of pictures and sound that an experiment reads and whose weights are drawn from a seed."""
    model = settings["experiments"][experiment]["model"]
    read = [*(model.get("video") or []), *filter(None, [model.get("audio")])]
    return [one for one in read if settings["features"].get(one, {}).get("weights") == "seeded"]


def _basis(folder: Folder, experiment: str, seeded: list[str]) -> str:
    if seeded:
        return "seeded weights, which understand nothing"
    return "a model trained here"
