"""Data sets of sound alone that encoders of pictures would read: said before any job starts, where it can be known.

Known before a job are the names of files in small manifests. It is a warning: such videos end in the ledger with
`no_video_stream`, and what is heard and said is still there to learn from and to search.
"""

from __future__ import annotations

from mcn.config.configuration import Configuration
from mcn.config.features import decoded_stream
from mcn.options.decode import FrameOptions
from mcn.sources.outside import file_endings

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
