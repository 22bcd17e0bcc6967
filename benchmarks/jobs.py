"""Rows of `python -m benchmarks` that run jobs: decoding, extraction, memory, starts, planning."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import imageio_ffmpeg
import numpy as np
import torch

from benchmarks import planning as plans
from benchmarks.given import Given, costs
from benchmarks.gpu_extraction import made_network, write_shard
from benchmarks.gpu_sizes import WHOLE
from benchmarks.measuring import Figure, cpu_seconds, in_turn, spread
from benchmarks.rivals import cited_extractor
from mcn.features.reading import batches_of
from mcn.files import canonical_json
from mcn.media.decode import decode
from mcn.options.decode import DecodeOptions
from mcn.options.encoders import FRAMES_24FPS
from mcn.options.row import FRAMES_1FPS
from mcn.shards import ShardReader

NETWORKS = {"resnet152": "1.parquet", "resnext101": "24.parquet"}
_LOGGED = re.compile(r"network ([0-9.]+) s on ([0-9]+) workers")


def mcn(*words: object) -> str:
    """Run a verb; what it logs."""
    command = [sys.executable, "-m", "mcn", *map(str, words)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr[-2000:]}")
    return done.stderr


def made_videos(folder: Path, seconds: int) -> list[Path]:
    """Two files that move and rustle, 360p and 720p, where no folder of real ones is given."""
    made = []
    for name, size in (("360p", "640x360"), ("720p", "1280x720")):
        source = f"testsrc2=size={size}:rate=25:duration={seconds},noise=alls=8:allf=t"
        made.append(folder / f"{name}.mp4")
        words = f"-y -v error -f lavfi -i {source} -c:v libx264 -preset veryfast {made[-1]}"
        subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *words.split()], check=True)
    return made


def list_of(given: Given) -> Path:
    """The shard list of the videos."""
    listed = given.folder / "list.csv"
    rows = [f"v{number},{path.absolute()}," for number, path in enumerate(given.videos)]
    listed.write_text("\n".join(["video_id,path,sha256", *rows]) + "\n")
    return listed


def decoding(given: Given) -> list[Figure]:
    """Both rates of every video up to the network: decoded, stored and read back; the rival runs ffmpeg twice."""
    listed = list_of(given)
    outputs = [given.folder / name for name in ("1.parquet", "24.parquet")]
    seconds = 0.0

    def mine() -> None:
        nonlocal seconds
        decode(listed, [FRAMES_1FPS, FRAMES_24FPS], outputs, DecodeOptions())
        for path, frames in zip(outputs, (1, 16), strict=True):
            for _ in batches_of(ShardReader(path), frames, 64):
                pass
        reader = ShardReader(outputs[0])
        seconds = sum(filter(None, reader.column("length")))

    def rival() -> None:
        for path in given.videos:
            for filters in (
                "fps=1,scale='if(gt(iw,ih),-2,224)':'if(gt(iw,ih),224,-2)'",
                "fps=24,scale='if(gt(iw,ih),-2,112)':'if(gt(iw,ih),112,-2)',crop=112:112",
            ):
                words = ["-v", "error", "-i", str(path), "-vf", filters, "-f", "rawvideo"]
                command = [imageio_ffmpeg.get_ffmpeg_exe(), *words, "-pix_fmt", "rgb24", "-"]
                done = subprocess.run(command, check=True, capture_output=True)
                np.frombuffer(done.stdout, np.uint8).copy()

    taken = in_turn({"mine": mine, "rival": rival})
    stored = sum(path.stat().st_size for path in outputs) * 3600 / seconds / 1e9
    what = f"decode both rates up to the network, {seconds:.0f} s of video"
    note = f"rival: ffmpeg twice, nothing stored; {stored:.2f} GB an hour stored"
    return [costs(what, "cpu-s", taken["mine"], taken["rival"], note=note)]


def extraction(given: Given) -> list[Figure]:
    """Both visual features of the videos by whole jobs, random weights; the rival runs its two passes, once."""
    listed, folder, threads = list_of(given), given.folder, torch.get_num_threads()
    streams = canonical_json([one.model_dump(mode="json") for one in (FRAMES_1FPS, FRAMES_24FPS)])
    shards = [folder / name for name in NETWORKS.values()]
    for name in NETWORKS:
        torch.save(made_network(name).state_dict(), folder / f"{name}.pth")
    shares: dict[str, list[float]] = {"fp32": [], "bf16": []}

    def mine(precision: str) -> None:
        began, busy = time.perf_counter(), 0.0
        mcn("decode", listed, *shards, "--streams", streams)
        for name, frames in NETWORKS.items():
            told = ["--runtime", json.dumps({"device": "cpu", "precision": precision})]
            told += ["--options", json.dumps({"weights": str(folder / f"{name}.pth")})]
            words = [name, folder / frames, folder / f"{name}.out", "--threads", threads, *told]
            seconds, workers = _LOGGED.findall(mcn("extract", *words))[0]
            busy += float(seconds) / int(workers)
        shares[precision].append(100 * busy / (time.perf_counter() - began))

    works = {precision: partial(mine, precision) for precision in shares}
    rival = cited_extractor(given.rivals, given.videos, folder)
    taken = in_turn(works | ({"rival": rival} if rival else {}), 1)
    for one, found in in_turn(works, 2).items():
        taken[one] += found
    seconds = ShardReader(shards[0]).column("length")
    what = f"both visual features of {len(given.videos)} videos, {sum(filter(None, seconds))} s"
    wanted = {"fp32": 150, "bf16": 75} if given.whole else {}
    note = "whole jobs with their starts; rival once"
    figures = [
        costs(f"{what}, {one}", "cpu-s", taken[one], taken.get("rival"), wanted.get(one), note)
        for one in shares
    ]
    for one, found in shares.items():
        what = f"networks' share of these jobs' time by the clock, {one}"
        figures.append(Figure(what, "%", median(found), None, False, spread(found), 90))
    return figures


def starts(given: Given) -> list[Figure]:
    """A job of resnet152 on one frame, from its start to its end, and what importing its libraries takes of that."""
    shard = write_shard(
        given.folder / "one.parquet", WHOLE._replace(videos=1, seconds=1), 1, 224, 398
    )
    weights = given.folder / "resnet152.pth"
    torch.save(made_network("resnet152").state_dict(), weights)
    words = ["extract", "resnet152", shard, given.folder / "one.out", "--threads", 1]
    words += ["--runtime", "{device: cpu}", "--options", json.dumps({"weights": str(weights)})]
    libraries = [sys.executable, "-c", "import torch, timm"]
    taken = in_turn(
        {
            "mine": lambda: mcn(*words),
            "libraries": lambda: subprocess.run(libraries, check=True),
            "light": lambda: mcn("--version"),
        }
    )
    note = f"of which importing torch and timm {median(taken['libraries']):.1f} s"
    return [
        costs("job of resnet152 on one frame", "cpu-s", taken["mine"], None, 2, note),
        costs("mcn --version", "cpu-s", taken["light"]),
    ]


def memory(given: Given) -> list[Figure]:
    """Peak of an extraction job in a process of its own: 3D ResNeXt-101, fp32."""
    code = """
import re, sys
from pathlib import Path
from benchmarks.gpu_extraction import ours, write_shard
from benchmarks.gpu_sizes import WHOLE
from mcn.features.extraction import Extractor, extract
from mcn.features.runtime import Runtime
import torch
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    shard = write_shard(folder / "m.parquet", WHOLE._replace(videos=1, seconds=3), 24, 112, 112)
    extract(shard, folder / "m.out", ours("resnext101", 4, 16, Runtime(torch.device("cpu"), "fp32", 2))[0])
    # not ru_maxrss, which begins with the memory of the process that started this one
    print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 2**20)
"""
    words = [sys.executable, "-c", code, str(given.folder)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    peak = float(done.stdout.split()[-1])
    return [Figure("peak memory of an extraction job", "GiB", peak, None, True, wanted=1)]


def planning(given: Given) -> list[Figure]:
    """`snakemake -n` of config/howto100m.yaml on a faked manifest of 1.2 million videos."""
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        configuration = plans.fake(Path(folder), 1_200_000)
        began = cpu_seconds()
        plans.plan(Path(folder), configuration)
        taken = [cpu_seconds() - began]
    return [costs("snakemake -n on 1.2 million videos", "cpu-s", taken, wanted=27)]
