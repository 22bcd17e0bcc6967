"""What ours is compared with: the programs that others released, out of a folder that is no part of this project.

Conventions
-----------
- The folder holds `video_feature_extractor` (github.com/antoine77340), `Multimodal-Clustering-Network`
  (github.com/brian7685) and `packages`, into which pip put what they import (`pip install --no-deps --target packages
  ffmpeg-python future fast-pytorch-kmeans`). What is not there is skipped with a message.
- They are run as they are, but for three things: on a processor `.cuda()` gives back what it is called on; weights are
  random; the sizes of a video are read by PyAV, so that no ffprobe is needed. The released step moves 2,048 rows of its
  queue; here half a batch.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import torch

EXTRACTOR, MCN, PACKAGES = "video_feature_extractor", "Multimodal-Clustering-Network", "packages"
WORD_WIDTH, PAIRS_A_VIDEO = 300, 32

_PROGRAM = """
import runpy, sys, types
import torch, torchvision
import av, ffmpeg

kind, listed, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
torch.Tensor.cuda = torch.nn.Module.cuda = lambda self: self
torch.cuda.FloatTensor = torch.FloatTensor
torch.load = lambda path: {}
torch.nn.Module.load_state_dict = lambda self, rows: None
made = torchvision.models.resnet152
torchvision.models.resnet152 = lambda pretrained: made()

def sizes(path):
    with av.open(path) as container:
        stream = container.streams.video[0]
        return {"streams": [{"codec_type": "video", "width": stream.width, "height": stream.height}]}

ffmpeg.probe = sizes
sys.argv = ["extract.py", "--csv", listed, "--type", kind, "--batch_size", "64", "--num_decoding_thread", "2"]
sys.path.insert(0, ".")
runpy.run_path("extract.py", run_name="__main__")
"""


def folder_of(given: Path | None, name: str) -> Path | None:
    """Where a released program lies; None, with a message, where it does not."""
    folder = given / name if given else None
    if folder is None or not folder.is_dir():
        print(f"{name}: not compared with, since it is not in the folder of --rivals", flush=True)
        return None
    return folder


def cited_extractor(
    rivals: Path | None, videos: list[Path], scratch: Path
) -> Callable[[], None] | None:
    """Both passes of video_feature_extractor over some videos; None where it is not there."""
    folder = folder_of(rivals, EXTRACTOR)
    if folder is None:
        return None
    programs = scratch / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "ffmpeg").unlink(missing_ok=True)
    (programs / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    paths = [str(folder.parent / PACKAGES), str(Path.cwd())]
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_WAIT_POLICY": "PASSIVE",
    }

    def run() -> None:
        for kind in ("2d", "3d"):
            listed = scratch / f"{kind}.csv"
            outputs = [scratch / f"{path.stem}.{kind}.npy" for path in videos]
            for output in outputs:
                output.unlink(missing_ok=True)
            rows = [f"{one.absolute()},{other}" for one, other in zip(videos, outputs, strict=True)]
            listed.write_text("\n".join(["video_path,feature_path", *rows]) + "\n")
            words = [
                sys.executable,
                "-c",
                _PROGRAM,
                kind,
                str(listed),
                str(torch.get_num_threads()),
            ]
            done = subprocess.run(
                words, cwd=folder, env=environment, check=False, capture_output=True, text=True
            )
            if done.returncode or not all(output.exists() for output in outputs):
                raise RuntimeError(f"{EXTRACTOR} failed: {done.stdout[-500:]}{done.stderr[-2000:]}")

    return run


class ReleasedStep:
    """A training step of the released MCN in fp32: its network, losses, queue and clusters, by its own functions."""

    def __init__(self, folder: Path, clips: int, width: int, clusters: int, frames: int) -> None:
        _import_from(folder.parent / PACKAGES, "fast_pytorch_kmeans")
        net = _import_from(folder, "model_kmeans_ICCV").Net
        loss = _import_from(folder, "loss").MMS_loss()
        self._network = net(
            embd_dim=width, tri_modal=True, cluster_size=clusters, recon=1, recon_size=768
        )
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=1e-4)
        self._loss, self._functions = loss, _functions(folder / "train_tri_kmeans.py", clips)
        self._functions["optimizer"] = self._optimizer
        self._queue = torch.randn(10 * clips, width)
        self._centroids = torch.randn(clusters, width)
        videos = max(1, clips // PAIRS_A_VIDEO)
        shape = videos, clips // videos
        self._batch = {
            "video": torch.rand(*shape, 4096) / 32,
            "audio": -80 * torch.rand(*shape, 40, frames),
            "nframes": torch.full(shape, frames),
            "text": torch.randn(*shape, 20, WORD_WIDTH),
        }

    def __call__(self) -> None:
        """One step between two fits of the centroids."""
        _, self._queue, _, self._centroids = self._functions["TrainOneBatch"](
            *(self._network, self._optimizer, self._batch, self._loss, self._queue, True),
            *(types.SimpleNamespace(step=lambda: None), 0, 1, self._centroids),
        )


def released_step(
    rivals: Path | None, clips: int, width: int, clusters: int, frames: int
) -> ReleasedStep | None:
    """None where the released code is not there."""
    folder = folder_of(rivals, MCN)
    return None if folder is None else ReleasedStep(folder, clips, width, clusters, frames)


def released_kmeans(rivals: Path | None, clusters: int, iterations: int) -> Any:
    """The k-means that the released code calls, of so many iterations; None where it is not there."""
    folder = folder_of(rivals, PACKAGES)
    if folder is None:
        return None
    kind = _import_from(folder, "fast_pytorch_kmeans").KMeans
    return kind(n_clusters=clusters, mode="cosine", max_iter=iterations, tol=-1.0)


def _functions(script: Path, clips: int) -> dict[str, Any]:
    """The functions of a training script, which runs when it is imported, with the switches of MCN."""
    source = script.read_text().replace("int(4096/2)", str(clips // 2))
    kept: list[ast.stmt] = [
        one for one in ast.parse(source).body if isinstance(one, ast.FunctionDef)
    ]
    switches = {"tri_modal": 1, "recon": 1, "kmeans": 1, "use_queue": 1, "fastC": 1}
    others = ("tri_modal_fuse", "withMLP", "rand", "no_audio", "no_video", "joint", "mean", "nce")
    arguments = types.SimpleNamespace(
        **switches, **dict.fromkeys(others, 0), queue_size=20, cluster_size=256, clu_lamb=1
    )
    setattr(torch.Tensor, "cuda", lambda self: self)  # noqa: B010 - a method, which mypy keeps
    from fast_pytorch_kmeans import KMeans

    scope: dict[str, Any] = {
        **{"args": arguments, "th": torch, "F": torch.nn.functional, "KMeans": KMeans},
        "print": lambda *words: None,
    }
    exec(compile(ast.Module(kept, []), str(script), "exec"), scope)
    return scope


def _import_from(folder: Path, name: str) -> Any:
    """A module of another program, by its own name."""
    sys.path.insert(0, str(folder))
    try:
        return __import__(name)
    finally:
        sys.path.remove(str(folder))
