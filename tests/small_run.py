"""The smallest run of the whole workflow: short videos, every stage, about a minute of two cores.

`SmallRun(folder)` makes the videos, a manifest, narration, captions and a configuration; `snakemake` runs the workflow
on them. The videos are made by the ffmpeg program (`tests.media_files`), so no demo has to be rendered.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import yaml

from mcn.config.configuration import Configuration, configure
from tests import media_files

ROOT = Path(__file__).parent.parent
VIDEOS = {
    "first": "plain.mp4",
    "second": "variable.mp4",
    "third": "long_audio.mp4",
    "sound": "no_video.m4a",
}
LINES = ("stir the onion", "chop the garlic")

CONFIG: dict[str, Any] = {
    "title": "Small run",
    "datasets": {
        "demo_train": None,
        "demo_test": None,
        "small": {"manifest": "videos/manifest.csv", "captions": "videos/captions.csv", "shards": 1},
    },
    "features": {
        "resnet152": {"reads": {"frames_per_second": 1, "short_side": 32}},
        "resnext101": {"reads": {"frames_per_second": 4, "short_side": 32, "crop": 32}},
    },
    "seeding": {"shards": 2},
    "runtime": {"device": "cpu"},
    "experiments": {
        "mcn": {
            "dataset": "small",
            "early_evaluation": None,
            "model": {"embedding_width": 16, "davenet_widths": [4, 4, 8, 8], "reconstruction_width": 8},
            "objective": {"clusters": 2, "queue_steps": 2, "refit_every_steps": 2},
            "training": {
                "epochs": 30,
                "checkpoint_every_steps": 2,
                "videos_per_batch": 2,
                "clips_per_video": 2,
                "min_clip_seconds": 1,
                "audio_frames": 64,
                "warmup_steps": 1,
            },
        }
    },
}  # fmt: skip


class SmallRun:
    """A folder in which the workflow runs; `changes` is laid over `CONFIG`, section by section."""

    def __init__(self, folder: Path, changes: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.results = folder / "results"
        folder.mkdir(parents=True, exist_ok=True)
        base = yaml.safe_load((ROOT / "config.yaml").read_text())
        vectors = base["features"]["word2vec"]["vectors"]
        base["features"]["word2vec"]["vectors"] = str(ROOT / vectors)
        (folder / "config.yaml").write_text(yaml.safe_dump(base))
        self.configure(changes or {})
        self._make_videos(folder / "videos")

    @classmethod
    def at(cls, folder: Path) -> SmallRun:
        """The run that lies in `folder` already."""
        run = cls.__new__(cls)
        run.folder, run.results = folder, folder / "results"
        return run

    def copy_to(self, folder: Path) -> None:
        """Copy all files, times of change included, into `folder`, which is there.

        The videos are links: a copy of a video has another inode, and would count as a video that was replaced.
        """
        videos = "videos"
        ignored = shutil.ignore_patterns(videos)
        shutil.copytree(self.folder, folder, ignore=ignored, dirs_exist_ok=True)
        shutil.copytree(self.folder / videos, folder / videos, copy_function=os.link)

    def configure(self, changes: dict[str, Any]) -> None:
        """Write the overlay: `CONFIG` with `changes`."""
        (self.folder / "small.yaml").write_text(yaml.safe_dump(_merged(CONFIG, changes)))

    def settings(self) -> Configuration:
        """The configuration of the run."""
        base = yaml.safe_load((self.folder / "config.yaml").read_text())
        return configure(_merged(base, yaml.safe_load((self.folder / "small.yaml").read_text())))

    def _make_videos(self, videos: Path) -> None:
        videos.mkdir(exist_ok=True)
        manifest, captions = (
            ["video_id,path,narration"],
            ["clip_id,video_id,start_seconds,end_seconds,caption"],
        )
        for number, (video_id, made) in enumerate(VIDEOS.items()):
            shutil.copy(media_files.make(made), videos / made)
            (videos / f"{video_id}.srt").write_text(
                f"1\n00:00:00,000 --> 00:00:00,900\n{LINES[number % 2]}\n\n"
                f"2\n00:00:01,000 --> 00:00:02,000\n{LINES[(number + 1) % 2]}\n"
            )
            manifest.append(f"{video_id},{made},{video_id}.srt")
            captions.append(f"clip{number},{video_id},0,1,{LINES[number % 2]} {video_id}")
        (videos / "manifest.csv").write_text("\n".join(manifest) + "\n")
        (videos / "captions.csv").write_text("\n".join(captions[:3]) + "\n")

    def command(self, *arguments: str) -> list[str]:
        """The command line of a run of the workflow in this folder."""
        files = [str(self.folder / "config.yaml"), str(self.folder / "small.yaml")]
        where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(self.folder)]
        return ["snakemake", "--configfile", *files, *where, *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A run in a process group of its own, its output in `output.txt`."""
        with open(self.folder / "output.txt", "w") as output:
            return subprocess.Popen(
                self.command(*arguments),
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def run(self, *arguments: str, fails: bool = False) -> str:
        """Run to the end on all cores; its output. AssertionError where it fails, or `fails` and it does not."""
        if not {"--cores", "--profile", "--unlock"} & set(arguments):
            arguments = ("--cores", str(os.cpu_count()), *arguments)
        process = self.start(*arguments)
        process.wait()
        output = self.output()
        assert (process.returncode != 0) == fails, output[-6000:]
        return output

    def planned(self, *arguments: str) -> dict[str, int]:
        """Rule -> how often it would run."""
        output = self.run("--cores", "2", "--dry-run", *arguments)
        if "Job stats:" not in output:
            return {}
        table = output[output.index("Job stats:") :].split("\n\n")[0].splitlines()[3:]
        return {line.split()[0]: int(line.split()[1]) for line in table if "total" not in line}

    def wait_for(self, words: str, head: subprocess.Popen[str], seconds: float = 120) -> None:
        """Return as soon as the run has said `words` or has ended."""
        deadline = time.monotonic() + seconds
        while words not in self.output() and head.poll() is None:
            assert time.monotonic() < deadline, (
                f"{words!r} not said in {seconds} s: {self.output()}"
            )
            time.sleep(0.02)

    def kill(self, head: subprocess.Popen[str]) -> bool:
        """SIGKILL the head and all its jobs; False where it had ended before."""
        alive = head.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGKILL)
        head.wait()
        return alive

    def output(self) -> str:
        """What the last run has said so far."""
        return (self.folder / "output.txt").read_text()

    def digests(self) -> dict[str, str]:
        """File -> sha256 of everything that must be the same in every run: features, tables, weights."""
        kept = [
            "small/features/*/*.parquet",
            "small/*.parquet",
            "small/shards/*.csv",
            "weights/*",
            "models/*/*.safetensors",
        ]
        files = [path for pattern in kept for path in sorted(self.results.glob(pattern))]
        return {
            str(path.relative_to(self.results)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }

    def leftovers(self) -> list[Path]:
        """Temporary files that lie about below results."""
        return sorted(self.results.rglob(".*.part"))


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged
