"""The sources of a folder of answers, and what each rests on.

Conventions
-----------
- `words.sqlite` of the data set gives the source `words`, its folder `meaning` the source of that name.
- Every experiment with an index gives the source `seen`, and `heard` where its model has sound. Models whose features
  come from seeded weights give none, unless the data set is synthetic; the sentences say so.
- A head that is judged on held-out clips answers in place of its frozen pair, or the pair in place of the head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mcn.evaluation.basis import SEEDED, basis, read_verdict, verdict_in_words
from mcn.options.base import parsed
from mcn.options.features import FeatureRows
from mcn.options.row import TextsOptions
from mcn.options.search import SearchOptions
from mcn.search.catalogue import CATALOGUE, read_catalogue
from mcn.search.folder import Folder
from mcn.search.fusion import Hit
from mcn.search.limits import seen_limit
from mcn.search.quick import QuickQueries, is_quick
from mcn.search.sources import Allowed, Encoder, TextSource, VectorSource
from mcn.search.words import WordsIndex


def open_sources(folder: Folder) -> tuple[list[TextSource], list[VectorSource], list[str]]:
    """What finds moments in a folder, and sentences that say what it rests on."""
    texts = _words(folder)
    said = [f"{one.name}: {one.basis}" for one in texts]
    vectors: list[VectorSource] = []
    if _is_being_made(folder.results / folder.dataset / "meaning"):
        said.append("meaning is not asked: its index is being made")
    else:
        vectors += _meaning(folder)
    said += [f"{one.name}: {one.basis}" for one in vectors]
    better, beaten = _judged(folder)
    for path in sorted((folder.results / "index").glob(f"*/{folder.dataset}/{CATALOGUE}")):
        experiment = path.parent.parent.name
        if experiment not in folder.settings["experiments"]:
            continue
        rests = basis(folder.results / "models" / experiment)
        if experiment in beaten:
            said.append(f"{experiment} is not asked: {beaten[experiment]}")
            continue
        if experiment in better:
            rests = f"{rests}; {better[experiment]}"
        if rests == SEEDED and not folder.options.get("synthetic"):
            said.append(f"{experiment} is not asked: {SEEDED}")
            continue
        if _is_being_made(path.parent):
            said.append(f"{experiment} is not asked: its index is being made")
            continue
        found = _of_model(folder, experiment, path.parent, rests)
        said += [f"{one.name}, by {experiment}: {rests}" for one in found]
        vectors += found
    return texts, vectors, said


def _judged(folder: Folder) -> tuple[dict[str, str], dict[str, str]]:
    """Heads that answer in place of their pairs, and what does not answer: experiment -> why, in words."""
    better: dict[str, str] = {}
    beaten: dict[str, str] = {}
    for name, one in folder.settings["experiments"].items():
        pair = (one.get("model") or {}).get("residual_on")
        if not pair or not (one.get("training") or {}).get("held_out_share"):
            continue
        found = read_verdict(folder.results / "verdicts" / f"{name}.json")
        place = folder.results / "index" / name / folder.dataset
        if found is None or not (place / CATALOGUE).exists() or _is_being_made(place):
            beaten[name] = "it has not been judged yet"
        elif found["head_answers"]:
            better[name] = verdict_in_words(found)
            beaten[pair] = f"{name} answers in its place"
        else:
            rests = basis(folder.results / "models" / name)
            beaten[name] = f"{rests}; {verdict_in_words(found)}"
    return better, beaten


def _is_being_made(place: Path) -> bool:
    """Whether an index that was whole lacks parts, which a run that goes on makes again."""
    if not (place / CATALOGUE).exists():
        return False
    parts = read_catalogue(place)["parts"]
    return not all((place / f"{number:05d}.parquet").exists() for number in range(parts))


class WordsSource:
    """The full-text index of what is said."""

    name = "words"
    basis = "words that were said, as narration, subtitles or recognised speech"

    def __init__(self, index: WordsIndex) -> None:
        self._index = index

    def by_text(self, query: str, limit: int, allowed: Allowed) -> list[Hit]:
        found = self._index.search(query, limit, allowed)
        return [hit._replace(basis=self.basis) for hit in found]


def _words(folder: Folder) -> list[TextSource]:
    path = folder.results / folder.dataset / "words.sqlite"
    index = WordsIndex(path) if path.exists() else None
    return [WordsSource(index)] if index is not None and len(index) else []


def _meaning(folder: Folder) -> list[VectorSource]:
    """Passages of what is said, by their meaning."""
    place = folder.results / folder.dataset / "meaning"
    name = (folder.settings.get("search") or {}).get("meaning")
    if not name or not (place / CATALOGUE).exists():
        return []

    def load() -> Encoder:
        from mcn.options.features import RuntimeOptions
        from mcn.search.passages import PassageEncoder

        rows = parsed(FeatureRows, {"features": folder.settings["features"]}).features
        return PassageEncoder(name, rows[name], RuntimeOptions(device="cpu"))

    loads = _quickly(folder, name, load)
    found = sources_of(place, f"the meaning of what is said, by {name}", loads)
    least = folder.settings["search"].get("meaning_cosine", -1.0)  # older runs have none
    return _reading(folder, name, [replace(one, least=least) for one in found])


def _of_model(folder: Folder, experiment: str, place: Path, rests: str) -> list[VectorSource]:
    options = parsed(SearchOptions, dict(folder.settings.get("search") or {}))
    limit = seen_limit(folder.results / "models" / experiment, options)
    found = sources_of(place, rests, _encoder(folder, experiment))
    text = (folder.settings["experiments"][experiment].get("model") or {}).get("text")
    limited = [replace(one, limit=limit) if one.name == "seen" else one for one in found]
    return _reading(folder, text, limited)


def _reading(folder: Folder, text: str | None, sources: list[VectorSource]) -> list[VectorSource]:
    """The sources with the feature that reads their queries."""
    given = folder.settings["features"].get(text or "")
    if not text or given is None:
        return sources
    row = parsed(FeatureRows, {"features": {text: given}}).features[text]
    knows = row.knows if isinstance(row, TextsOptions) else ()
    return [replace(one, text=text, knows=knows) for one in sources]


def sources_of(place: Path, rests: str, load: Callable[[], Encoder]) -> list[VectorSource]:
    """The sources of an index that have any window."""
    catalogue = read_catalogue(place)
    return [
        VectorSource.open(source, rests, place, catalogue["parts"], entry["approximate"], load)
        for source, entry in catalogue["sources"].items()
        if entry["windows"]
    ]


def _encoder(folder: Folder, experiment: str) -> Callable[[], Encoder]:
    def load() -> Encoder:
        from mcn.search.query_encoder import load_query_encoder

        return load_query_encoder(folder.results / "models" / experiment, folder.settings)

    section = folder.settings["experiments"][experiment]
    frozen = section.get("kind") == "frozen"
    return _quickly(folder, section["model"]["text"], load) if frozen else load


def _quickly(folder: Folder, text: str, load: Callable[[], Encoder]) -> Callable[[], Encoder]:
    """What loads the encoder of queries: without PyTorch where a text feature is the embedded sentence encoder."""
    return (
        (lambda: QuickQueries(load))
        if is_quick(folder.settings["features"].get(text, {}))
        else load
    )
