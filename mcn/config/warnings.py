"""What is said before any job starts, where it can be known: languages that no encoder knows, sound without pictures.

Conventions
-----------
- Known before a job are the languages that small manifests and captions files name, in a column or by the names of
  narration files, and the names of the files of small manifests. Languages that are detected later are said by the job
  that makes the vocabulary (`mcn.features.text`).
- They are warnings. An encoder may know more languages than it says; `features.NAME.languages` says so. Videos without
  pictures end in the ledger with `no_video_stream`, and what is heard and said is still there to learn from and to
  search.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from mcn.config.configuration import Configuration
from mcn.config.features import decoded_stream
from mcn.options.decode import FrameOptions
from mcn.options.row import TextsOptions
from mcn.sources.languages import base_language
from mcn.sources.outside import file_endings, narrated_languages

LARGEST_CAPTIONS = 20 << 20  # bytes that are looked through before a run
SOUND_ALONE = frozenset(
    [
        ".aac",
        ".ac3",
        ".aif",
        ".aiff",
        ".flac",
        ".m4a",
        ".mka",
        ".mp2",
        ".mp3",
        ".oga",
        ".opus",
        ".wav",
        ".wma",
    ]
)


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


def unseen_warnings(settings: Configuration) -> list[str]:
    """A line for every data set whose files all have endings of sound, and that encoders of pictures would read."""
    found = []
    for name, dataset in settings.datasets.items():
        endings = file_endings(dataset.manifest) if dataset.manifest else set()
        seeing = [
            feature
            for feature in settings.features_of(name)
            if isinstance(decoded_stream(settings.features, feature), FrameOptions)
        ]
        if endings and endings <= SOUND_ALONE and seeing:
            found.append(
                f"datasets.{name}: all files are of sound alone ({', '.join(sorted(endings))}), and "
                f"{', '.join(seeing)} will see nothing (no_video_stream): take experiments of sound, as CLAP's "
                "(docs/encoders.md)"
            )
    return found
