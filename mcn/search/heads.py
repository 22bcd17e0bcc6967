"""A head that is trained on the narration of a folder: when, with which sizes, and what is said of it.

Conventions
-----------
- A head stands on the frozen pair that answers (`mcn.networks.residual`): before its first step it is the pair. It is
  trained on clips' pictures and what is said in them, and answers only where it finds held-out clips by their own words
  better than the pair does (`mcn.evaluation.retrieval.verdict`).
- A narrated clip is a line of narration, subtitles or recognised speech of a video with pictures; training joins it
  with its neighbours. `HEAD_CLIPS` of them in `HEAD_VIDEOS` videos are wanted: one video in five is held out, and fewer
  than four held-out videos would judge nothing.
- Sizes follow the number of clips, in powers of two, so that they change when the folder has doubled: `sizes_of` is the
  rule. It also fills in what the user leaves out of experiments that an overlay trains on the folder.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mcn.errors import UserError
from mcn.evaluation.basis import read_verdict, verdict_in_words
from mcn.search.folder import Folder

HEAD_CLIPS = 200
HEAD_VIDEOS = 20
HELD_OUT_SHARE = 0.2
MOST_VIDEOS, MOST_CLIPS = 64, 256  # of a step
TIMES_SEEN = 20  # each clip, on the average
MOST_STEPS = 2000
MOST_CLUSTERS = 256
CLUSTERED = ("mcn", "xdc")  # objectives that have `clusters`
LEARNING_RATE = 1e-3


class Narrated(NamedTuple):
    """What there is to train on: narrated clips, and the videos that they lie in."""

    clips: int = 0
    videos: int = 0

    @property
    def enough(self) -> bool:
        """Whether a head is trained."""
        return self.clips >= HEAD_CLIPS and self.videos >= HEAD_VIDEOS

    @classmethod
    def of(cls, root: Path, dataset: str) -> Narrated:
        """What the results of a folder have; nothing where they have not been made."""
        try:
            folder = Folder.open(root, dataset)
            seen = {one for one, video in folder.videos.items() if "video" in video.streams}
            counts = [len(lines) for one, lines in folder.lines.items() if one in seen and lines]
        except UserError:
            return cls()
        return cls(sum(counts), len(counts))


class Sizes(NamedTuple):
    """Sizes of a training run."""

    videos_per_batch: int
    clips_per_video: int
    epochs: int
    warmup_steps: int
    clusters: int


def sizes_of(narrated: Narrated) -> Sizes:
    """Sizes for an amount of data, which is rounded down to powers of two.

    A step has a quarter of the videos, at most 64, and so many clips of each that there are at most 256; so many epochs
    that a clip is seen 20 times on the average, of at most 2,000 steps; a tenth of the steps warms up; as many clusters
    as the square root of the clips, 8 to 256, where an objective has clusters.
    """
    clips, videos = (_power(max(2, one)) for one in narrated)
    of_batch = min(MOST_VIDEOS, max(2, videos // 4))
    each = _power(max(1, narrated.clips // max(1, narrated.videos)))
    of_video = min(MOST_CLIPS // of_batch, each)
    steps = max(1, videos // of_batch)
    epochs = max(1, min(TIMES_SEEN * clips // (videos * of_video), MOST_STEPS // steps))
    clusters = min(MOST_CLUSTERS, max(8, _power(math.isqrt(clips))))
    return Sizes(of_batch, of_video, epochs, epochs * steps // 10, clusters)


def _power(number: int) -> int:
    return 1 << (number.bit_length() - 1)


def head_of(name: str, pair: Mapping[str, Any], dataset: str, narrated: Narrated) -> dict[str, Any]:
    """The experiment of a head on a frozen experiment called `name`."""
    model = {"audio": None, **copy.deepcopy(pair["model"]), "residual_on": name}
    values = {
        "dataset": dataset,
        "model": model,
        "objective": {"kind": "norm_softmax", "pairs": ["video_text"]},
        "training": {
            "held_out_share": HELD_OUT_SHARE,
            "sampling": "distinct",
            "learning_rate": LEARNING_RATE,
        },
    }
    return with_sizes(values, narrated)


def with_sizes(experiment: Mapping[str, Any], narrated: Narrated) -> dict[str, Any]:
    """An experiment to train with the sizes that it does not name itself."""
    sizes = sizes_of(narrated)
    training = {key: value for key, value in sizes._asdict().items() if key != "clusters"}
    given = experiment.get("training") or {}
    found = {**experiment, "training": {**training, **given}}
    objective = experiment.get("objective") or {}
    if objective.get("kind", "mcn") in CLUSTERED:
        found["objective"] = {"clusters": sizes.clusters, **objective}
    return found


def about_training(output: Path, dataset: str, trained: tuple[str, ...], wanted: bool) -> str:
    """What is said of training at the end of a run. trained: experiments that were; wanted: a head was not refused."""
    narrated = Narrated.of(output, dataset)
    there = "is there" if narrated.clips == 1 else "are there"
    if trained:
        verdicts = {
            one: read_verdict(output / "results/verdicts" / f"{one}.json") for one in trained
        }
        said = [f"{name}: {_about(found)}" for name, found in verdicts.items()]
        return f"Trained here on {_words(narrated)}: {'; '.join(said)}."
    if not wanted:
        return f"Nothing was trained here, as was wished: {_words(narrated)} {there}."
    return (
        f"Nothing was trained here: {_words(narrated)} {there}, and {HEAD_CLIPS} or more in {HEAD_VIDEOS} videos "
        "are worth it."
    )


def _about(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "results/logs/train says how it went"
    chosen = "it answers" if found["head_answers"] else "it does not answer, the frozen pair stays"
    return f"{chosen}; {verdict_in_words(found)}"


def _words(narrated: Narrated) -> str:
    clips = f"{narrated.clips:,} narrated clip{'s' if narrated.clips != 1 else ''}"
    return f"{clips} of {narrated.videos:,} video{'s' if narrated.videos != 1 else ''}"
