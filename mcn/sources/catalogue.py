"""Which published data sets there are, which official files each of them is read from, and which inputs it becomes.

Conventions
-----------
- A kind is a published data set; a split is one of its published selections of videos and clips.
- `needs` of a split: official files and folders below the data set's folder, in official names. Each entry is a tuple
  of alternatives, the preferred one first; one of them must be there. `helps`: read where it is there.
- `makes`: keys of a data set of the configuration -> file below results/{dataset}/official. `ACCOUNTS` are made beside
  them for every kind.
- Where the files come from, under which licence, and what of it was verified: provenance.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ACCOUNTS = ("accounting.json", "left_out.csv", "absent.csv")
MANIFEST = {"manifest": "manifest.csv"}
CAPTIONS = {"captions": "captions.csv"}
STEPS = {"tasks": "tasks.csv", "steps": "steps.csv"}
ALIGNMENT = {
    "classes": "classes.csv",
    "transcripts": "transcripts.csv",
    "segments": "segments.csv",
}

Alternatives = tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """Official files that one selection is read from."""

    needs: tuple[Alternatives, ...]
    helps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """One published data set; its first split is the default."""

    makes: dict[str, str]
    splits: dict[str, Split]


HOWTO100M_CAPTIONS: Alternatives = (
    "caption.json",
    "raw_caption.json",
    "raw_caption_superclean.json",
    "caption.pickle",
    "howto100m_captions",
)
_CROSSTASK_STEPS: Alternatives = ("annotations",)
_MINING_FOLDERS = ("", "test/", "data_test/")
_MINING_NEEDS: tuple[Alternatives, ...] = (
    ("mapping_without_meta.txt", "weakYouTube_dict.txt"),
    tuple(
        f"{folder}{name}" for name in ("groundTruth", "annotations") for folder in _MINING_FOLDERS
    ),
)
_MINING_HELPS = (
    "mapping_without_meta.txt",
    "weakYouTube_dict.txt",
    *(
        f"{folder}{name}"
        for name in ("groundTruth", "annotations", "transcripts", "transcript")
        for folder in _MINING_FOLDERS
    ),
    "step.json",
    "vid2step.json",
)

KINDS: dict[str, Kind] = {
    "howto100m": Kind(
        makes={**MANIFEST, "narration_table": "narration.parquet"},
        splits={
            "all": Split((("HowTo100M_v1.csv",), HOWTO100M_CAPTIONS)),
            "videopaths_1166": Split((("HowTo100M_1166_videopaths.txt",), HOWTO100M_CAPTIONS)),
            "videopaths_336": Split((("HowTo100M_336_videopaths.txt",), HOWTO100M_CAPTIONS)),
        },
    ),
    "youcook2": Kind(
        makes={**MANIFEST, **CAPTIONS},
        splits={
            "validation_clips": Split((("validation_youcook.csv",),)),
            "validation": Split((("youcookii_annotations_trainval.json",),)),
            "training": Split((("youcookii_annotations_trainval.json",),)),
        },
    ),
    "msrvtt": Kind(
        makes={**MANIFEST, **CAPTIONS},
        splits={
            "jsfusion": Split((("MSRVTT_JSFUSION_test.csv",),), ("MSRVTT_data.json",)),
            "train_7k": Split(
                (("MSRVTT_train.7k.csv", "MSRVTT_train.csv"), ("MSRVTT_data.json",)),
            ),
            "train_9k": Split(
                (("MSRVTT_train.9k.csv", "MSRVTT_train.csv"), ("MSRVTT_data.json",)),
            ),
        },
    ),
    "crosstask": Kind(
        makes={**MANIFEST, **STEPS},
        splits={
            "test": Split((("tasks_primary.txt",), ("cvpr19_test.csv",), _CROSSTASK_STEPS)),
            "validation": Split((("tasks_primary.txt",), ("videos_val.csv",), _CROSSTASK_STEPS)),
            "primary": Split(
                (("tasks_primary.txt",), ("videos.csv",), _CROSSTASK_STEPS),
                ("videos_val.csv", "cvpr19_test.csv"),
            ),
            "related": Split(
                (("tasks_related.txt",), ("videos.csv",), ("crosstask_constraints",)),
            ),
        },
    ),
    "mining_youtube": Kind(
        makes={**MANIFEST, **STEPS, **ALIGNMENT},
        splits={
            "test": Split(
                (*_MINING_NEEDS, ("test/videos_test.txt", "videos_test.txt")), _MINING_HELPS
            ),
            "validation": Split(
                (*_MINING_NEEDS, ("test/videos_val.txt", "videos_val.txt")), _MINING_HELPS
            ),
        },
    ),
}


def found(directory: Path, alternatives: Alternatives) -> list[Path]:
    """Those of the alternatives that are there, in order of preference."""
    return [directory / name for name in alternatives if (directory / name).exists()]
