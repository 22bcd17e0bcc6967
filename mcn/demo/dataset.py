"""A whole rendered set in one folder, the demo or another: videos, narration, manifests, annotations, licences.

Files
-----
- videos/*.mp4, narration/*.srt
- train.csv, test.csv: video_id,path,narration,split,title; paths relative to the csv
- captions.csv: clip_id,video_id,start_seconds,end_seconds,caption (held-out videos)
- tasks.csv: task,step,text (all tasks); steps.csv: video_id,task,step,start_seconds,end_seconds (held-out videos)
- training_steps.csv: as steps.csv, of the training videos; no part of the pipeline learns from it
- DEMO.md: what this is, and licences
- In several languages narration/*.LANGUAGE.srt, of which the csv lists all of a video; which of them is spoken goes
  round. captions.csv then has a column language, and a caption of each clip in every language.

Files of a set
--------------
- videos/, narration/, DEMO.md as above; manifest.csv as train.csv; captions.csv, tasks.csv (the tasks of the set) and
  steps.csv of all of its videos
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tqdm import tqdm

from mcn.demo.captions import Caption, StepName, StepTime, captions, step_names, step_times
from mcn.demo.plan import SPLITS, Picture, VideoPlan, lengths, plan_of, plan_video
from mcn.demo.render import render
from mcn.demo.speech import require_speech
from mcn.demo.story import STORY, Task, asset
from mcn.demo.tasks import drawn_tasks
from mcn.errors import UserError
from mcn.files import csv_text
from mcn.options.demo import DemoOptions, RenderedOptions

log = logging.getLogger(__name__)

PREFIX = ".rendering-"
ABANDONED_SECONDS = 3600  # age at which a killed run's unfinished folder is removed


MANIFEST = ("video_id", "path", "narration", "split", "title")


def plans(options: DemoOptions) -> dict[str, list[VideoPlan]]:
    """The plans of all videos by split."""
    wanted = {
        "train": (options.training_seconds, options.training_videos),
        "test": (options.held_out_seconds, options.held_out_videos),
    }
    return {
        split: [
            plan_video(split, index, length, options.seed, options.languages)
            for index, length in enumerate(lengths(seconds, videos, split, options.seed))
        ]
        for split, (seconds, videos) in wanted.items()
    }


def make(directory: Path, options: DemoOptions) -> None:
    """Render the demo into `directory`: all of it or, if anything fails, nothing.

    The bytes follow from the options alone, whatever `workers` is. Errors: `UserError` where the extra `demo` is not
    installed, or a rendering process died.
    """
    planned = plans(options)
    with _folder_in(directory) as folder:
        _render_all([*planned["train"], *planned["test"]], folder, options.workers)
        _annotate(planned, folder, options.seed)
    for split, videos in planned.items():
        _say(split, videos)


def make_set(directory: Path, options: RenderedOptions, workers: int) -> None:
    """Render one set of drawn tasks into `directory`, as `make` does; ids begin with the folder's name."""
    tasks = list(drawn_tasks(max(options.ends), options.task_seed).items())
    taken = [tasks[start:end] for start, end in options.tasks]
    lasting = lengths(options.seconds, options.videos, options.cut, options.seed)
    picture = Picture(*options.picture)
    planned = []
    for index, seconds in enumerate(lasting):
        turn, several = divmod(index, len(taken))
        name, task = taken[several][turn % len(taken[several])]
        numbers = (options.seed, len(SPLITS), index)
        video_id = f"{directory.name}{index:04d}"
        planned.append(plan_of(video_id, options.cut, name, task, seconds, numbers, picture))
    used = dict(task for some in taken for task in some)
    with _folder_in(directory) as folder:
        _render_all(planned, folder, workers)
        _write_csv(folder / "manifest.csv", MANIFEST, _manifest(planned, options.cut))
        _annotate_steps(planned, used, folder, options.seed)
        _write_csv(folder / "steps.csv", StepTime._fields, step_times(planned))
    _say(directory.name, planned)


def _say(name: str, videos: list[VideoPlan]) -> None:
    seconds = sum(plan.seconds for plan in videos)
    log.info("%s: %d videos, %.0f s", name, len(videos), seconds)


@contextlib.contextmanager
def _folder_in(directory: Path) -> Iterator[Path]:
    """A folder whose content is moved into `directory` when all of it is there, with the licences beside it."""
    require_speech()
    directory.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(directory)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=directory) as temporary:
        folder = Path(temporary)
        yield folder
        licences = asset("LICENSES.md").read_text(encoding="utf-8")
        (folder / "DEMO.md").write_text(ABOUT + licences, encoding="utf-8")
        _move(folder, directory)


def _render_all(videos: list[VideoPlan], folder: Path, workers: int) -> None:
    """Render every video in a process of its own, so many at a time.

    The processes come from a fork server that has imported the renderer and done nothing else: libraries with hidden
    state (espeak-ng) start alike whatever was rendered before, and starting a process takes milliseconds.
    """
    for name in ("videos", "narration"):
        (folder / name).mkdir()
    # long videos first, so that no process is left with a long one at the end
    order = sorted(videos, key=lambda plan: plan.seconds * plan.rate, reverse=True)
    workers = workers or len(os.sched_getaffinity(0))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([render.__module__])
    with ProcessPoolExecutor(workers, context, max_tasks_per_child=1) as pool:
        running = [
            pool.submit(
                render,
                plan,
                folder / f"videos/{plan.video_id}.mp4",
                [folder / name for name in _narration(plan)],
            )
            for plan in order
        ]
        try:
            finished = as_completed(running)
            for one in tqdm(finished, "rendering", len(running), unit="video", disable=None):
                one.result()
        except BrokenProcessPool:
            got, wanted = "a process that rendered a video died", "memory for every process"
            raise UserError(got, wanted, "run it again with fewer: --workers 1") from None
        finally:
            pool.shutdown(cancel_futures=True)


def _annotate(planned: dict[str, list[VideoPlan]], folder: Path, seed: int) -> None:
    for split, videos in planned.items():
        _write_csv(folder / f"{split}.csv", MANIFEST, _manifest(videos, split))
    _annotate_steps(planned["test"], STORY.all_tasks, folder, seed)
    _write_csv(folder / "steps.csv", StepTime._fields, step_times(planned["test"]))
    _write_csv(folder / "training_steps.csv", StepTime._fields, step_times(planned["train"]))


def _manifest(videos: list[VideoPlan], split: str) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for plan in videos:
        files = f"videos/{plan.video_id}.mp4", "|".join(sorted(_narration(plan)))
        rows.append((plan.video_id, *files, split, f"how to {plan.task}"))
    return rows


def _narration(plan: VideoPlan) -> list[str]:
    """The narration files of a video: of its plan, then of the plans in other languages."""
    if not plan.others:
        return [f"narration/{plan.video_id}.srt"]
    return [f"narration/{plan.video_id}.{one.language}.srt" for one in (plan, *plan.others)]


def _annotate_steps(
    videos: list[VideoPlan], tasks: Mapping[str, Task], folder: Path, seed: int
) -> None:
    languages = sorted({one.language for plan in videos for one in (plan, *plan.others)})
    if len(languages) < 2:
        _write_csv(folder / "captions.csv", Caption._fields, captions(videos, seed))
    else:
        rows = [
            (*caption, language)
            for language in languages
            for caption in captions([plan.told_in(language) for plan in videos], seed)
        ]
        _write_csv(folder / "captions.csv", (*Caption._fields, "language"), rows)
    _write_csv(folder / "tasks.csv", StepName._fields, step_names(tasks))


def _write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    path.write_text(csv_text([header, *rows]), encoding="utf-8", newline="")


def _move(source: Path, target: Path) -> None:
    """Move the finished set into place: folders first, so that a manifest never names files that are not there yet."""
    for entry in sorted(source.iterdir(), key=lambda path: (path.is_file(), path.name)):
        place = target / entry.name
        if place.is_dir():
            shutil.rmtree(place)
        entry.replace(place)


def _remove_abandoned(directory: Path) -> None:
    for leftover in directory.glob(f"{PREFIX}*"):
        if time.time() - leftover.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(leftover, ignore_errors=True)


ABOUT = """\
# Synthetic how-to videos

Rendered by `mcn demo`: pictures of objects move over painted backgrounds, narration is synthesised, action sounds are
computed. They show that the pipeline works and learns. Scores on them say nothing about real videos or about the
numbers of any paper.

Narration was spoken by espeak-ng (GPL-3.0), which was loaded at run time and is not part of these files. Pictures and
word vectors carry these licences:

"""
