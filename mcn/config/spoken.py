"""Texts in languages that the encoder of a text feature does not know: said before any job starts, where it can be.

Conventions
-----------
- Known before a job are the languages that small manifests and captions files name, in a column or by the names of
  narration files. Those that are detected later are said by the job that makes the vocabulary (`mcn.features.text`).
- It is a warning, since an encoder may know more than it says; `features.NAME.languages` says so.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from mcn.config.configuration import Configuration
from mcn.options.row import TextsOptions
from mcn.sources.languages import base_language
from mcn.sources.outside import narrated_languages

LARGEST_CAPTIONS = 20 << 20  # bytes that are looked through before a run


def language_warnings(settings: Configuration) -> list[str]:
    """A line for every text feature and kind of texts of a data set that is in a language which it does not know."""
    found = []
    for name, dataset in settings.datasets.items():
        spoken = {"narration": narrated_languages(dataset.manifest) if dataset.manifest else set()}
        spoken["captions"] = set(_captioned(dataset.captions))
        for feature in settings.features_of(name):
            row = settings.features[feature]
            for texts, languages in spoken.items():
                if isinstance(row, TextsOptions) and (unknown := row.not_known(languages)):
                    found.append(not_known_line(feature, row, f"the {texts} of {name}", unknown))
    return found


def not_known_line(feature: str, row: TextsOptions, texts: str, unknown: list[str]) -> str:
    """The words of a warning: what the encoder knows, and what the texts are in."""
    return (
        f"features.{feature} knows {', '.join(row.knows)}, and {texts} is in {', '.join(unknown)}: take an encoder of "
        f"these languages, or say that it knows them (features.{feature}.languages)"
    )


def _captioned(captions: str | None) -> Iterator[str]:
    """The languages that a captions file names."""
    path = Path(captions or "")
    if not captions or not path.is_file() or path.stat().st_size > LARGEST_CAPTIONS:
        return
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        for row in csv.DictReader(file):
            if language := base_language(row.get("language")):
                yield language
