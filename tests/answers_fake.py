"""A folder of answers that needs no encoder: it understands the words of its own transcripts, and nothing else.

It keeps to the interface of `mcn.search.answers.Answers`, over files of `tests/media_files.py` under names that people
and attackers give.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from mcn.errors import UserError
from mcn.search.answers import Answer, Answers, Filters, Line, Video
from tests.media_files import make

HOSTILE = "<img src=x onerror=alert(1)>.mp4"
HOSTILE_WORDS = "<script>document.title='taken'</script> stir the soup"
# name of the file below the folder -> file of tests/media_files.py, what is said
FILES: dict[str, tuple[str, Sequence[str]]] = {
    "kitchen/soup.mp4": ("plain.mp4", ("chop the onion", "stir the soup", "serve the soup hot")),
    "kitchen/old/pan.avi": ("mpeg4.avi", ("heat the oil in a pan", "fry the onion")),
    "garden/roses.ts": ("stream.ts", ("cut the roses", "water the garden")),
    "talk.m4a": ("no_video.m4a", ("we talk about soup and roses",)),
    "film.webm": ("vp9.webm", ()),
    HOSTILE: ("faststart.mp4", (HOSTILE_WORDS,)),
    "broken.mp4": ("text.mp4", ()),
}
LENGTH = 4.0  # seconds of each file


def make_folder(root: Path) -> Path:
    """Copy the files below `root`/videos."""
    for name, (source, _) in FILES.items():
        path = root / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(make(source), path)
    return root / "videos"


class FakeAnswers(Answers):
    """Answers about the files of `make_folder`."""

    def __init__(self, folder: Path) -> None:
        self.videos = {name: self._video(folder, name) for name in FILES}
        self.basis = ["words that were said: narration beside the videos"]
        self.sources = ("words", "seen")
        self.asked: list[Filters] = []

    @staticmethod
    def _video(folder: Path, name: str) -> Video:
        if name == "broken.mp4":
            return Video(name, folder / name, None, "failed", "unreadable: no index", ())
        streams = ("audio",) if name.endswith(".m4a") else ("video", "audio")
        return Video(name, folder / name, LENGTH, "ok", "", streams)

    def transcript(self, video_id: str) -> list[Line]:
        said = FILES[video_id][1]
        step = LENGTH / max(1, len(said))
        return [Line(i * step, (i + 1) * step, text) for i, text in enumerate(said)]

    def search(
        self,
        query: str,
        limit: int = 10,
        sources: Sequence[str] | None = None,
        filters: Filters = Filters(),  # noqa: B008 - frozen
        one_per_video: bool = False,
        weak: bool = False,
    ) -> list[Answer]:
        """Moments in which a word of the query is said, those with most of them first."""
        self.asked.append(filters)
        if query == "fault":
            raise ZeroDivisionError("a fault of the program")
        words = set(query.lower().split())
        found = []
        for video in self._allowed(filters):
            for line in self.transcript(video.video_id):
                share = len(words & set(line.text.lower().split())) / len(words)
                if share and (sources is None or "words" in sources):
                    found.append(self._answer(video, line, share))
        found.sort(key=lambda answer: -answer.score)
        if weak and not found:
            found = [replace(self._seen(v), weak=True) for v in self._allowed(filters)]
        if one_per_video:
            found = list({answer.video_id: answer for answer in reversed(found)}.values())[::-1]
        return found[:limit]

    def more_like(
        self,
        video_id: str,
        start_seconds: float,
        end_seconds: float,
        limit: int = 10,
        filters: Filters = Filters(),  # noqa: B008 - frozen
    ) -> list[Answer]:
        others = [v for v in self._allowed(filters) if v.video_id != video_id and v.length_seconds]
        return [self._seen(video) for video in others][:limit]

    def by_picture(
        self,
        picture: Image.Image,
        limit: int = 10,
        filters: Filters = Filters(),  # noqa: B008 - frozen
    ) -> list[Answer]:
        if picture.mode != "RGB" or max(picture.size) > 1024:
            raise UserError(f"{picture.mode} {picture.size}", "a small RGB picture", "convert it")
        return [self._seen(v) for v in self._allowed(filters) if "video" in v.streams][:limit]

    def map(self) -> list[tuple[str, float, float, float, float]]:
        points = []
        for number, video in enumerate(self.videos.values()):
            for start in range(0, 4 if video.length_seconds else 0):
                turn = 2 * math.pi * (number + start / 8) / len(self.videos)
                x, y = 0.5 + 0.45 * math.cos(turn), 0.5 + 0.45 * math.sin(turn)
                points.append((video.video_id, float(start), start + 1.0, x, y))
        return points

    def _allowed(self, filters: Filters) -> list[Video]:
        return [
            video
            for video in self.videos.values()
            if (filters.video_ids is None or video.video_id in filters.video_ids)
            and (not filters.folder or video.path.is_relative_to(filters.folder))
            and filters.min_length <= (video.length_seconds or 0) <= filters.max_length
        ]

    @staticmethod
    def _answer(video: Video, line: Line, score: float) -> Answer:
        why = "words: said literally (narration)"
        times = line.start_seconds, line.end_seconds
        return Answer(video.video_id, *times, score, ("words",), line.text, (why,))

    @staticmethod
    def _seen(video: Video) -> Answer:
        why = "seen: compared by a picture encoder"
        return Answer(video.video_id, 1.0, 3.0, 0.5, ("seen",), "", (why,))
