"""What a GPU computes against fp32 on the processor: extraction, training, clustering, retrieval, two processes.

Every test also runs with the processor as its device, against itself: so that the test itself is known to work where
there is no GPU. The tolerances are those of the arithmetic: fp32 without TF32 differs by the order of its sums, bf16
keeps 8 bits of a number.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from mcn.distributed import ALONE, Processes
from mcn.evaluation.retrieval.metrics import places_from_embeddings, ranks
from mcn.features.runtime import resolve
from mcn.layout import ModelShards
from mcn.objectives.clustering import kmeans
from mcn.options.features import RuntimeOptions
from mcn.shards.lines import vocabulary_vectors
from mcn.training.data import TrainingSet, read_batches
from mcn.training.network import build_network
from mcn.training.train import build_trainer
from tests.objective_runs import options
from tests.synthetic_shards import write_topic_shards

GPUS = torch.cuda.device_count()
CUDA = pytest.param(
    "cuda",
    marks=[pytest.mark.gpu, pytest.mark.skipif(not GPUS, reason="PyTorch sees no GPU")],
)
on_each_device = pytest.mark.parametrize("device", ["cpu", CUDA])

# Largest difference, as a share of the largest value. bf16: 8 bits, after some layers.
TOLERANCE = {"fp32": 1e-4, "bf16": 4e-2}
STEPS = 4


def far(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference as a share of the largest value."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


@on_each_device
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_extraction(device: str, precision: str, tmp_path: Path) -> None:
    """DAVEnet over a shard of log-mels, of fewer and of more rows than a chunk."""
    pytest.importorskip("av", reason="the modules of extraction read videos")
    from mcn.options.encoders import DavenetOptions
    from mcn.shards import FeatureStore
    from tests.features_shards import extract_feature
    from tests.test_features_davenet import WIDTHS, ResDavenet, mels, write_mels

    torch.manual_seed(0)
    network = ResDavenet(WIDTHS)
    rows = {f"DAVEnet.{name}": row for name, row in network.state_dict().items()}
    torch.save({**rows, "GU_video.fc.weight": torch.zeros(2, 2)}, tmp_path / "mcn.pth")
    source = write_mels(tmp_path / "logmel.parquet", {"short": mels(7), "long": mels(2500, 1)})
    found = {}
    for name, place in {"ours": (device, precision), "reference": ("cpu", "fp32")}.items():
        runtime = RuntimeOptions(device=place[0], precision=place[1])
        output = tmp_path / f"{name}.parquet"
        row = DavenetOptions(chunk_rows=1024)
        extract_feature(source, tmp_path / "mcn.pth", output, row, runtime, threads=1)
        found[name] = FeatureStore([output])
    for video_id in ("short", "long"):
        ours, reference = (found[name][video_id].values for name in ("ours", "reference"))
        # float16 in the shard: 11 bits
        assert far(ours.astype(float), reference.astype(float)) < max(1e-3, TOLERANCE[precision])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ModelShards:
    return write_topic_shards(tmp_path_factory.mktemp("data"), videos=9)


def trained(
    data: ModelShards, name: str, device: str, precision: str, processes: Processes = ALONE
) -> list[float]:
    """The losses of a few steps."""
    torch.manual_seed(0)
    chosen = options(name, videos_per_batch=5, gradient_clip=1.0)
    batches = TrainingSet(data, chosen.training, chosen.objective.needs)
    vectors = torch.from_numpy(vocabulary_vectors(data.vocabulary)[0])
    runtime = resolve(RuntimeOptions(device=device, precision=precision), 1)
    trainer = build_trainer(batches, vectors, chosen, runtime, processes)
    trainer.network.train()
    trainer.objective.start_epoch()
    return [
        trainer.step(batch, step).losses["total"]
        for step, batch in enumerate(read_batches(batches, 0, STEPS))
    ]


@on_each_device
@pytest.mark.parametrize("name", ["mcn", "max_margin", "nt_xent"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_steps_of_training(data: ModelShards, name: str, device: str, precision: str) -> None:
    """The first loss is that of equal weights; the later ones follow from gradients and Adam."""
    ours, reference = trained(data, name, device, precision), trained(data, name, "cpu", "fp32")
    assert ours[0] == pytest.approx(reference[0], rel=1e-4 if precision == "fp32" else 3e-2)
    assert ours == pytest.approx(reference, rel=1e-2 if precision == "fp32" else 1e-1)


@on_each_device
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_kmeans(device: str, metric: str) -> None:
    """Well separated groups: the same assignments, and centroids within the rounding of their sums."""
    generator = torch.Generator().manual_seed(0)
    centres = 10 * torch.randn(16, 64, generator=generator)
    points = centres.repeat(40, 1) + torch.randn(640, 64, generator=generator)
    centroids, assignments = kmeans(points, 16, metric, init=centres)  # type: ignore[arg-type]
    ours, ours_assigned = kmeans(points.to(device), 16, metric, init=centres.to(device))  # type: ignore[arg-type]
    assert torch.equal(ours_assigned.cpu(), assignments)
    assert assignments.tolist() == list(range(16)) * 40
    assert far(ours.cpu().numpy(), centroids.numpy()) < 1e-5


@on_each_device
def test_retrieval(device: str, data: ModelShards) -> None:
    """Texts find their videos in the space of a network on the device: equal embeddings, the same ranks."""
    torch.manual_seed(0)
    experiment = options("mcn")
    generator = torch.Generator().manual_seed(1)
    videos = torch.rand(50, 24, generator=generator)
    texts = torch.rand(50, 4, 8, generator=generator)
    batches = TrainingSet(data, experiment.training, experiment.objective.needs)
    network = build_network(batches, 8, experiment).eval()
    similarities = []
    for place in ("cpu", device):
        network.to(place)
        with torch.inference_mode():
            video = network.embed_video(videos.to(place)).cpu().numpy()
            text = network.embed_text(texts.to(place)).cpu().numpy()
        similarities.append(text @ video.T)
    reference, ours = similarities
    assert far(ours, reference) < TOLERANCE["fp32"]
    moved = np.abs(ranks(ours) - ranks(reference))
    assert moved.max() <= 1, "neighbours that are closer than rounding may change places"


@on_each_device
def test_ranks(device: str) -> None:
    """Float64 products on a GPU round to the same float32: equal ranks, ties included."""
    random = np.random.default_rng(0)
    gallery = random.standard_normal((300, 100), np.float32)
    gallery[200:] = gallery[:100]
    queries = gallery + 3 * random.standard_normal(gallery.shape, np.float32)
    reference = places_from_embeddings(queries, gallery)
    ours = places_from_embeddings(queries, gallery, device=device)
    assert (ours.ranks == reference.ranks).all()
    assert (ours.same > 0).sum() >= 100


@on_each_device
@pytest.mark.parametrize("repeats", [True, False])
def test_frames_through_a_network(device: str, repeats: bool, tmp_path: Path) -> None:
    """Whole jobs of three workers on a GPU, compiled and not: rows as on a processor, in their order."""
    pytest.importorskip("timm")
    from mcn.features.appearance import prepare
    from mcn.features.extraction import FrameItems, extract
    from mcn.features.frame_networks import frame_extractor
    from mcn.features.runtime import Runtime
    from mcn.options.encoders import TimmOptions
    from mcn.shards import FeatureStore
    from tests.features_shards import pictures, write_frames

    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 8, 5, 2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2)
    network = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.ReLU()).eval()
    videos = {f"video{n}": pictures(7 + n, 32, 40 + 2 * (n % 2), n) for n in range(8)}
    source = write_frames(tmp_path / "frames.parquet", {**videos, "bad": None})
    found = {}
    for name, place in (("ours", device), ("reference", "cpu")):
        runtime = Runtime(torch.device(place), "fp32", 2, repeatable=repeats)
        placed = network.to(place)

        def vectors(frames: torch.Tensor, placed: torch.nn.Module = placed) -> torch.Tensor:
            return placed(prepare(frames, TimmOptions()))

        output = tmp_path / f"{name}.parquet"
        extract(source, output, frame_extractor("tried", vectors, FrameItems(1, 4), runtime, {}))
        found[name] = FeatureStore([output])
    assert list(found["ours"]) == list(found["reference"]) == [*videos, "bad"]
    for video, frames in videos.items():
        ours, reference = (found[name][video].values for name in ("ours", "reference"))
        assert len(ours) == len(frames)
        assert far(ours.astype(float), reference.astype(float)) < 2e-3


def work(rank: int, device: str, backend: str, data: ModelShards, folder: Path) -> None:
    """One of two processes."""
    torch.set_num_threads(1)
    dist.init_process_group(backend, f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.save(trained(data, "mcn", device, "fp32", Processes(rank, 2)), folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def work_on_its_own_gpu(rank: int, data: ModelShards, folder: Path) -> None:
    torch.cuda.set_device(rank)
    work(rank, f"cuda:{rank}", "nccl", data, folder)


def equal_to_one(data: ModelShards, folder: Path) -> None:
    alone = trained(data, "mcn", "cpu", "fp32")
    for rank in range(2):
        losses = torch.load(folder / f"{rank}.pt", weights_only=True)
        assert losses == pytest.approx(alone, rel=1e-2)


@pytest.mark.slow
@on_each_device
def test_two_processes_on_one_device(device: str, data: ModelShards, tmp_path: Path) -> None:
    """Through gloo, which two processes on one GPU may use; NCCL refuses that."""
    multiprocessing.spawn(work, (device, "gloo", data, tmp_path), nprocs=2)
    equal_to_one(data, tmp_path)


@pytest.mark.gpu
@pytest.mark.skipif(GPUS < 2, reason=f"needs two GPUs for NCCL, PyTorch sees {GPUS}")
def test_two_processes_with_nccl(data: ModelShards, tmp_path: Path) -> None:
    multiprocessing.spawn(work_on_its_own_gpu, (data, tmp_path), nprocs=2)
    equal_to_one(data, tmp_path)
