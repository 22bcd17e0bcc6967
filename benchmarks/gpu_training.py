"""The training step, k-means and retrieval on a GPU, beside plain formulations of the same work."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpu_extraction import memory_of, wait
from benchmarks.gpu_sizes import Sizes
from benchmarks.measuring import Figure, spread
from mcn.evaluation.retrieval.metrics import places_from_embeddings
from mcn.features.runtime import Runtime, products
from mcn.networks.mcn import MultimodalClusteringNetwork
from mcn.objectives.clustering import assign, kmeans
from mcn.options.clustering import ClusteringOptions
from mcn.options.training import ExperimentOptions
from mcn.training.batches import Batch, Widths
from mcn.training.step import HALF, Trainer
from mcn.training.train import build_network, build_trainer

WORDS, WORD_WIDTH, PAIRS = 1000, 300, (("video", "text"), ("video", "audio"), ("text", "audio"))
PRECISIONS = ("fp32", "tf32", "bf16")


class MadeSet(NamedTuple):
    """What a trainer asks of a training set."""

    batch_videos: int
    steps_per_epoch: int = 10_000
    widths: Widths = Widths([2048, 2048], 40, True)


def experiment(clips: int, sizes: Sizes) -> ExperimentOptions:
    per_video = min(32, clips)
    return ExperimentOptions.model_validate(
        {
            "model": {"embedding_width": sizes.width, "davenet_widths": sizes.davenet},
            "objective": {"kind": "mcn", "clusters": min(sizes.clusters, clips // 2)},
            "training": {"videos_per_batch": clips // per_video, "clips_per_video": per_video},
        }
    )


def made_batch(clips: int, frames: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(
        video=torch.rand(clips, 4096, generator=generator) / 32,
        audio=(-80 * torch.rand(clips, frames, 40, generator=generator)).half(),
        frames=torch.full((clips,), frames),
        words=torch.randint(1, WORDS, (clips, 20), generator=generator),
        present=torch.ones(clips, 3, dtype=torch.bool),
        redrawn=0,
    )


def steps(device: torch.device, sizes: Sizes) -> list[Figure]:
    """Seconds of a training step of MCN between two fits of its centroids, with the copy of the batch to the device."""
    figures = []
    for clips in sizes.clips:
        options = experiment(clips, sizes)
        frames = options.training.audio_frames if clips > 8 else 64
        batch = made_batch(clips, frames)
        for precision in PRECISIONS:
            if clips > 1024 and precision == "fp32":
                continue  # takes longest and tells nothing that 1024 clips do not
            mine, losses, peak = timed_steps(options, batch, precision, device, sizes)
            rival = None
            if precision != "tf32":
                with products(tf32=False, tuned=False):
                    rival = median(plain_steps(options, batch, precision, device, sizes))
            if device.type == "cuda":
                torch.cuda.empty_cache()
            what = f"step of {clips} clips, {precision}"
            note = f"{clips / median(mine):,.0f} clips/s; first loss {losses[0]:.5g}{peak}"
            figures.append(
                Figure(what, "s", median(mine), rival, less=True, spread=spread(mine), note=note)
            )
    return figures


def step_variants(device: torch.device, sizes: Sizes) -> list[Figure]:
    """The step of the middle size in bf16, otherwise than it is: layout of the audio network, torch.compile."""
    clips = sizes.clips[len(sizes.clips) // 2]
    options = experiment(clips, sizes)
    batch = made_batch(clips, options.training.audio_frames if clips > 8 else 64)

    def channels_last(trainer: Trainer) -> None:
        trainer.network.to(memory_format=torch.channels_last)

    def compiled(trainer: Trainer) -> None:
        audio = trainer.network.DAVEnet
        assert audio is not None
        setattr(audio, "forward", torch.compile(audio.forward))  # noqa: B010 - a method, which mypy keeps

    tries: dict[str, Callable[[Trainer], None]] = {"as it is": lambda trainer: None}
    tries["DAVEnet channels_last"] = channels_last
    if device.type == "cuda":
        tries["DAVEnet compiled"] = compiled
    figures, base = [], None
    for words, change in tries.items():
        taken, _, peak = timed_steps(options, batch, "bf16", device, sizes, change)
        base = base or median(taken)
        what = f"step of {clips} clips, bf16: {words}"
        figures.append(
            Figure(what, "s", median(taken), base, less=True, spread=spread(taken), note=peak[2:])
        )
    return figures


def timed_steps(
    options: ExperimentOptions,
    batch: Batch,
    precision: str,
    device: torch.device,
    sizes: Sizes,
    change: Callable[[Trainer], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[list[float], list[float], str]:
    data: Any = MadeSet(options.training.videos_per_batch)
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(WORDS, WORD_WIDTH, generator=generator)
    with memory_of(device) as peak:
        place = Runtime(device, precision, torch.get_num_threads())
        trainer: Trainer = build_trainer(data, vectors, options, place)
        trainer.network.train()
        if change:
            change(trainer)
        trainer.objective.start_epoch()
        if device.type == "cuda":
            batch = batch.pin_memory()
        taken, losses = [], []
        for number in range(sizes.steps + 2):
            wait(device)
            began = clock()
            report = trainer.step(batch, number)
            wait(device)
            taken.append(clock() - began)
            losses.append(report.losses["total"])
        return taken[2:], losses, peak()


def plain_steps(
    options: ExperimentOptions,
    batch: Batch,
    precision: str,
    device: torch.device,
    sizes: Sizes,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """The released step's shape: autocast, a copied queue, one-hot centroids, Adam as it comes, pageable memory."""
    data: Any = MadeSet(options.training.videos_per_batch)
    network = build_network(data, WORD_WIDTH, options)
    assert isinstance(network, MultimodalClusteringNetwork)
    network.to(device).train()
    vectors = torch.randn(WORDS, WORD_WIDTH, device=device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    clips, half = len(batch.video), HALF.get(precision)
    assert isinstance(options.objective, ClusteringOptions)
    queue = torch.randn(10 * clips, sizes.width, device=device)
    centroids = torch.randn(options.objective.clusters, sizes.width, device=device)
    taken = []
    for _ in range(sizes.steps + 2):
        wait(device)
        began = clock()
        video, audio = batch.video.to(device), batch.audio.float().transpose(1, 2).to(device)
        words = F.embedding(batch.words.to(device), vectors)
        with torch.autocast(device.type, dtype=half, enabled=half is not None):
            found = network(video, audio, words)
            made = network.reconstruct(found)
        loss = torch.stack(
            [F.mse_loss(made[m].float(), found.inputs[m].float()) for m in made]
        ).sum()
        for one, other in PAIRS:
            scores = getattr(found, one).float() @ getattr(found, other).float().t()
            target = torch.arange(clips, device=device)
            loss = loss + F.cross_entropy(scores, target) + F.cross_entropy(scores.t(), target)
        every = [getattr(found, one).float() for one in ("video", "audio", "text")]
        fused = torch.stack(every).mean(dim=0).detach()
        queue = torch.cat([queue[clips // 2 :].clone(), fused[: clips // 2]])
        nearest = plain_assign(torch.cat([queue, fused]), centroids)[-clips:]
        for rows in every:
            loss = loss + F.cross_entropy(rows @ centroids.t(), nearest)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        float(loss.detach())
        wait(device)
        taken.append(clock() - began)
    return taken[2:]


def plain_assign(points: Tensor, centroids: Tensor) -> Tensor:
    """Cosine similarities of normalised points and centroids."""
    return (F.normalize(points, dim=1) @ F.normalize(centroids, dim=1).t()).argmax(dim=1)


def plain_kmeans(points: Tensor, centroids: Tensor, iterations: int) -> Tensor:
    """fast_pytorch_kmeans's shape: everything normalised in every iteration, means by a product with one-hot rows."""
    for _ in range(iterations):
        chosen = F.one_hot(plain_assign(points, centroids), len(centroids)).to(points)
        centroids = (chosen.t() @ points) / chosen.sum(dim=0).clamp(min=1).unsqueeze(1)
    return plain_assign(points, centroids)


def clustering(device: torch.device, sizes: Sizes) -> list[Figure]:
    """An iteration of k-means; how many labels differ from fp32's after one assignment."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(sizes.points, sizes.width, generator=generator).abs().to(device)
    first = points[: sizes.clusters].clone()
    reference = assign(points, first)
    iterations, figures = 10, []
    for words, tf32, kind in (
        ("fp32", False, torch.float32),
        ("TF32", True, torch.float32),
        ("bf16", False, torch.bfloat16),
    ):
        rows = points.to(kind)
        with products(tf32, tuned=False):
            mine = _seconds(partial(iterate, rows, first, iterations), device)
            plain = partial(plain_kmeans, rows, first.to(rows), iterations)
            rival = _seconds(plain, device)
            same = (assign(rows, first) == reference).double().mean()
        figures.append(
            Figure(
                f"k-means {sizes.points} x {sizes.width} x {sizes.clusters}, {words}, an iteration",
                "ms",
                1000 * median(mine) / iterations,
                1000 * median(rival) / iterations,
                less=True,
                spread=spread(mine),
                note=f"{100 * float(same):.2f} % of the labels as in fp32",
            )
        )
    return figures


def iterate(points: Tensor, first: Tensor, iterations: int) -> None:
    """So many iterations, one by one: a fit would end where its assignments repeat."""
    centroids = first
    for _ in range(iterations):
        centroids, _ = kmeans(points, len(first), init=centroids, max_iterations=1)


def _seconds(work: Callable[[], object], device: torch.device, rounds: int = 5) -> list[float]:
    taken = []
    for _ in range(rounds + 1):
        wait(device)
        began = time.perf_counter()
        work()
        wait(device)
        taken.append(time.perf_counter() - began)
    return taken[1:]


def retrieval(device: torch.device, sizes: Sizes) -> list[Figure]:
    """Ranks of queries among as many items: exact in blocks, and the whole matrix at once in plain PyTorch."""
    random = np.random.default_rng(0)
    shape = sizes.queries, sizes.embedding
    gallery = random.standard_normal(shape, np.float32)
    queries = gallery + 20 * random.standard_normal(shape, np.float32)
    exact = places_from_embeddings(queries, gallery).ranks
    ours = partial(places_from_embeddings, queries, gallery, device=str(device))
    mine = _seconds(ours, device, 2)
    moved = int((ours().ranks != exact).sum())
    figures = []
    for words, kind in (("fp32", torch.float32), ("float64", torch.float64)):
        rival = _seconds(partial(plain_ranks, queries, gallery, kind, device), device, 2)
        plain = int((plain_ranks(queries, gallery, kind, device) != exact).sum())
        what = f"retrieval {sizes.queries} x {sizes.queries} x {sizes.embedding}; plain in {words}"
        note = f"ranks unlike those of a processor: ours {moved}, plain {plain}"
        figures.append(
            Figure(what, "s", median(mine), median(rival), True, spread(mine), note=note)
        )
    return figures


def plain_ranks(
    queries: np.ndarray, gallery: np.ndarray, kind: torch.dtype, device: torch.device
) -> np.ndarray:
    left, right = (torch.from_numpy(rows).to(device, kind) for rows in (queries, gallery))
    found = []
    for start in range(0, len(left), 4096):
        scores = (left[start : start + 4096] @ right.t()).float()
        own = scores.diagonal(start).unsqueeze(1)
        higher, same = (scores > own).sum(dim=1), (scores == own).sum(dim=1) - 1
        found.append(higher + same / 2)
    return torch.cat(found).cpu().numpy()
