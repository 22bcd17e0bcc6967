"""Training batches: which videos are used, and the batch of a step.

Conventions
-----------
- A video is used when its status is ok in every stream that the objective needs and at least one narration line with
  an in-vocabulary word lies inside them; under `empty_clips: mask` two of its modalities are enough, and an objective
  of random windows needs no narration. Every other video is in `TrainingSet.excluded` with its reason.
- What step `step` of epoch `epoch` sees depends on (seed, epoch, step), the options and the data alone, not on
  worker processes or on earlier steps: a resumed run draws what an undisturbed one would have drawn.
- Of the videos that are left `held_out_share` is held out, by the digests of their ids: the same ones for every seed.
- Random numbers: [seed, epoch, 1 + step] draws the clips, [seed, epoch, 1 + step, 1] the second clips.
- The released loader (MCN youtube_dataloader.py) draws lines with replacement, keeps clips without words or features
  as zero vectors and, on old PyTorch, gave all workers the same random numbers; the first two are options here.
- Of several processes each draws what all draw, and reads the pictures and the sound of its own share of the videos
  (`mcn.training.batches`); of the others' videos it knows the lengths, and verifies nothing.
- Batches are read ahead in a thread or in worker processes, always in the order of the steps. A batch depends on its
  step alone, so neither the number of workers nor the step that reading starts at changes what a step sees. No global
  random state is touched, and an interrupt from the keyboard is left to the main process.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import logging
import signal
from collections import Counter, deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mcn.distributed import ALONE, Processes
from mcn.errors import UserError
from mcn.layout import ModelShards
from mcn.options.objectives import Needs
from mcn.options.training import HELD_OUT, TrainingOptions
from mcn.shards import FeatureSequence
from mcn.shards.lines import Narration
from mcn.shards.mapped import MappedFeatures
from mcn.training.batches import Batch, Collator, Widths
from mcn.training.clips import Video, enough
from mcn.training.steps import ShownStep

logger = logging.getLogger(__name__)

EVERYTHING = Needs()
NOTHING_LEFT_OUT: Mapping[str, str] = MappingProxyType({})
NO_STEPS: Mapping[str, list[ShownStep]] = MappingProxyType({})
NAMES = {"video": "pictures", "audio": "sound"}
SHORTEST_OVERLAP_SECONDS = 0.05  # a line inside the streams by this much has a row of each


class TrainingSet:
    """Feature and text shards as batches.

    needs: of the objective. left_out: video -> why it shall not be used. steps: those that each video shows.
    `videos`: ids used, in order of id;
    `excluded`: id -> reason. Nothing usable: `UserError`.
    """

    def __init__(
        self,
        shards: ModelShards,
        options: TrainingOptions,
        needs: Needs = EVERYTHING,
        left_out: Mapping[str, str] = NOTHING_LEFT_OUT,
        steps: Mapping[str, list[ShownStep]] = NO_STEPS,
    ) -> None:
        self.options, self.needs, self.left_out, self.steps = options, needs, left_out, steps
        self.video = {name: MappedFeatures(paths) for name, paths in shards.video.items()}
        self.audio = {name: MappedFeatures(paths) for name, paths in shards.audio.items()}
        spoken = options.languages or needs.languages
        self.text = {name: Narration(paths, spoken) for name, paths in shards.text.items()}
        self.videos, self.excluded = self._select()
        for reason, count in sorted(Counter(self.excluded.values()).items()):
            logger.warning("%d videos are not trained on: %s", count, reason)
        if not self.videos:
            counts = ", ".join(f"{n} {why}" for why, n in Counter(self.excluded.values()).items())
            raise UserError(
                f"no video to train on ({counts or 'the shards are empty'})",
                "videos with pictures, sound and narration with known words",
                "give the manifest a narration column, or mend what the ledger names",
            )
        self.batch_videos = batch_size(len(self.videos), options)
        self.steps_per_epoch = max(1, len(self.videos) // self.batch_videos)

    @property
    def stores(self) -> dict[str, MappedFeatures | Narration]:
        """Every feature that is read, by its name."""
        return {**self.video, **self.audio, **self.text}

    @property
    def clips(self) -> int:
        """How many lines of narration with a known word the used videos have."""
        texts = self.text.values()
        lines = [one[name] for one in texts for name in self.videos if name in one]
        return sum(bool(tokens) for of_video in lines for tokens in of_video.tokens)

    @property
    def widths(self) -> Widths:
        """Of one clip's vectors."""
        audio = next(iter(self.audio.values()), None)
        widths = [store.width for store in self.video.values()]
        return Widths(widths, audio.width if audio else 0, bool(audio and audio.log_mel))

    @property
    def fingerprint(self) -> dict[str, str]:
        """What identifies the content of every feature."""
        return {name: store.fingerprint for name, store in self.stores.items()}

    def batch(self, epoch: int, step: int, processes: Processes = ALONE) -> Batch:
        """The batch of a step, with pictures and sound of a process's share of the videos; both count from 0."""
        options = self.options
        order = videos_of_step(len(self.videos), self.batch_videos, options.seed, epoch, step)
        rng = np.random.default_rng([options.seed, epoch, 1 + step])
        second = np.random.default_rng([options.seed, epoch, 1 + step, 1])
        size = len(order) * options.clips_per_video
        held = None
        if processes.count > 1 and not self.needs.whole_streams:
            held = processes.rows(len(order), options.clips_per_video)
        kept = range(size)[held or slice(None)]
        collator = Collator(size, self.widths, options, self.needs, held)
        for place, index in enumerate(order):
            reads = place * options.clips_per_video in kept
            collator.add(self._video(self.videos[index], reads), rng, second)
        return collator.batch()

    def _video(self, video_id: str, reads: bool = True) -> Video:
        """reads: whether more than the lengths of its streams is wanted."""
        lines = next((store.get(video_id) for store in self.text.values()), None)
        visual = tuple(_sequence(store, video_id, reads) for store in self.video.values())
        audio = next((_sequence(store, video_id, reads) for store in self.audio.values()), None)
        of_clip = any(store.of_clip for store in self.audio.values())
        steps = self.steps.get(video_id, [])
        return Video(visual, audio, self.widths.log_mel, lines, of_clip, steps)

    def _select(self) -> tuple[list[str], dict[str, str]]:
        """Ids of the videos that can be trained on, and the reason for every other one, ids sorted."""
        known = sorted(set[str]().union(*(store.status for store in self.stores.values())))
        reasons = {video_id: self._exclusion(video_id) for video_id in known}
        usable = [video_id for video_id, reason in reasons.items() if not reason]
        held_out = held_out_of(usable, self.options.held_out_share)
        reasons |= dict.fromkeys(held_out, HELD_OUT)
        excluded = {video_id: reason for video_id, reason in reasons.items() if reason}
        return [video_id for video_id in known if video_id not in excluded], excluded

    def _exclusion(self, video_id: str) -> str:
        """Why a video cannot be trained on; empty where it can. A clip of it must be complete even under `keep`."""
        if video_id in self.left_out:
            return self.left_out[video_id]
        needs, strict = self.needs, self.options.empty_clips
        strict = "redraw" if strict == "keep" else strict
        spans: dict[str, list[tuple[float, float]]] = {}
        absent: list[str] = []
        for modality, stores in (("video", self.video), ("audio", self.audio)):
            reasons = [_absence(name, store, video_id) for name, store in stores.items()]
            absent += filter(None, reasons)
            if modality in needs.modalities and not any(reasons):
                spans[modality] = [store.span(video_id) for store in stores.values()]
        texts = ["text"] * ("text" in needs.modalities)
        if not enough([*spans, *texts], needs.modalities, strict):
            return absent[0]
        if needs.windows == "random":
            return ""
        for name, store in self.text.items():
            if reason := _absence(name, store, video_id):
                return reason
            starts, ends, tokens, _ = store[video_id]
            for line in range(len(starts)):
                there = [
                    modality
                    for modality, found in spans.items()
                    if _overlaps(starts[line], ends[line], found)
                ]
                said = ["text"] * bool(tokens[line])
                if enough([*there, *said], needs.modalities, strict):
                    return ""
        words = " with a known word" if texts else ""
        places = " and ".join(NAMES[modality] for modality in spans)
        return f"no narration line{words} lies inside {places}"


def _sequence(store: MappedFeatures, video_id: str, reads: bool) -> FeatureSequence | None:
    if store.status.get(video_id) != "ok":
        return None
    return store[video_id] if reads else store.unread(video_id)


def _absence(name: str, store: MappedFeatures | Narration, video_id: str) -> str:
    """Why a video has nothing in a store; empty where it has."""
    status = store.status.get(video_id, "no row in the shards")
    if status == "ok":
        return ""
    return f"{name} {status} ({store.errors.get(video_id, '').partition(':')[0] or '-'})"


def _overlaps(start: float, end: float, spans: Sequence[tuple[float, float]]) -> bool:
    """Whether a line lies inside all spans by enough to have a row of each."""
    first, last = max(span[0] for span in spans), min(span[1] for span in spans)
    return min(end, last) - max(start, first) >= SHORTEST_OVERLAP_SECONDS


class StepBatches(Dataset[Batch]):
    """Item i is the batch of step `first + i` of the whole run, up to step `total`, as a process reads it."""

    def __init__(
        self, training_set: TrainingSet, first: int, total: int, processes: Processes
    ) -> None:
        self.training_set, self.first, self.total = training_set, first, total
        self.processes = processes

    def __len__(self) -> int:
        return self.total - self.first

    def __getitem__(self, index: int) -> Batch:
        step = self.first + index
        epoch, inside = divmod(step, self.training_set.steps_per_epoch)
        return self.training_set.batch(epoch, inside, self.processes)


def read_batches(
    training_set: TrainingSet,
    first: int,
    total: int,
    pin: bool = False,
    processes: Processes = ALONE,
) -> Generator[Batch, None, None]:
    """Batches of steps first .. total - 1, read ahead as the options say. pin: in page-locked memory, for a GPU."""
    steps, options = StepBatches(training_set, first, total, processes), training_set.options
    if not options.loader_workers:
        yield from _read_in_thread(steps, options.read_ahead, pin)
        return
    yield from DataLoader(
        steps,
        batch_size=None,
        num_workers=options.loader_workers,
        prefetch_factor=-(-options.read_ahead // options.loader_workers),
        pin_memory=pin,
        worker_init_fn=_ignore_interrupts,
        multiprocessing_context="fork",  # narration and maps are shared, not copied
        generator=torch.Generator().manual_seed(0),  # the loader draws its workers' seeds from it
    )


def _ignore_interrupts(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _read_in_thread(steps: StepBatches, ahead: int, pin: bool) -> Generator[Batch, None, None]:
    """Batches that one thread reads; its errors are raised here, and it ends when the generator is closed."""

    def read(index: int) -> Batch:
        return steps[index].pin_memory() if pin else steps[index]

    with ThreadPoolExecutor(1, "batch reader") as pool:
        wanted = iter(range(len(steps)))
        ready = deque(pool.submit(read, index) for index in itertools.islice(wanted, ahead))
        try:
            while ready:
                batch = ready.popleft().result()
                ready.extend(pool.submit(read, index) for index in itertools.islice(wanted, 1))
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)


def held_out_of(video_ids: Sequence[str], share: float) -> list[str]:
    """The share of some videos, to the nearest whole number, whose ids have the smallest SHA-256."""
    count = round(share * len(video_ids))
    return sorted(video_ids, key=lambda one: hashlib.sha256(one.encode()).digest())[:count]


def batch_size(videos: int, options: TrainingOptions) -> int:
    """Videos in a step under the policy for small sets; policy `refuse`: `UserError` where there are too few."""
    wanted = options.videos_per_batch
    if videos >= wanted or options.small_sets == "repeat":
        return wanted
    if options.small_sets == "refuse":
        raise UserError(
            f"{videos} videos to train on, and videos_per_batch is {wanted}",
            "at least one full batch",
            "lower training.videos_per_batch, or set training.small_sets to shrink or repeat",
        )
    logger.warning("batches hold all %d videos; videos_per_batch is %d", videos, wanted)
    return videos


def videos_of_step(count: int, batch: int, seed: int, epoch: int, step: int) -> np.ndarray:
    """Indices (batch,) of the videos of a step: consecutive parts of the epoch's permutation.

    A batch larger than the set holds permutation after permutation, cut to its size.
    """
    order = _order_of_epoch(count, -(-batch // count), seed, epoch)
    return order[step * batch : (step + 1) * batch]


@functools.lru_cache(maxsize=2)  # a permutation of a million videos takes as long as a batch
def _order_of_epoch(count: int, rounds: int, seed: int, epoch: int) -> np.ndarray:
    """Permutation after permutation of `count` videos (rounds * count,), read-only."""
    rng = np.random.default_rng([seed, epoch, 0])
    order = np.concatenate([rng.permutation(count) for _ in range(rounds)])
    order.flags.writeable = False
    return order
