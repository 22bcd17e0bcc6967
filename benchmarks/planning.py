"""Time and memory that planning, and splitting, a collection of HowTo100M's size take, on a faked manifest.

    python benchmarks/planning.py [videos] [folder]

Writes a manifest of `videos` rows (default 1,200,000) and empty weights below `folder` (default: a temporary one),
plans config/howto100m.yaml with `snakemake --dry-run`, then splits the manifest into its shards. The videos do not
exist.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import yaml

from mcn.files import write_table
from mcn.sources.annotation_tables import NARRATION, VIDEOS
from mcn.sources.partition import partition

ROOT = Path(__file__).resolve().parent.parent


def fake(folder: Path, videos: int) -> list[str]:
    """Make the inputs of the run in `folder`; the configuration files of it."""
    overlay = yaml.safe_load((ROOT / "config/howto100m.yaml").read_text())
    overlay["datasets"]["howto100m"] |= {"official": None, "manifest": "manifest.csv"}
    rows = "".join(f"video{number:07d},videos/{number:07d}.mp4\n" for number in range(videos))
    (folder / "manifest.csv").write_text(f"video_id,path\n{rows}")
    for section in overlay["features"].values():
        for path in section.values() if isinstance(section, dict) else ():
            if not path.startswith("timm:"):
                (folder / path).parent.mkdir(exist_ok=True)
                (folder / path).touch()
    (folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
    return [str(ROOT / "config.yaml"), str(folder / "overlay.yaml")]


def plan(folder: Path, configuration: list[str]) -> str:
    """Plan the run; the last line that tells the number of jobs."""
    command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--configfile", *configuration, "--dry-run", "--quiet", "rules"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return next(line for line in done.stdout.splitlines() if line.startswith("total"))


def split(folder: Path, videos: int, shards: int) -> None:
    """Partition a table of `videos` videos without narration."""
    ids = [f"video{number:07d}" for number in range(videos)]
    columns = {name: [""] * videos for name in VIDEOS.names}
    columns |= {"video_id": ids, "path": [f"videos/{one}.mp4" for one in ids]}
    write_table(folder / "videos.parquet", pa.table(columns).cast(VIDEOS))
    write_table(folder / "narration.parquet", NARRATION.empty_table())
    began = time.perf_counter()
    partition(folder / "videos.parquet", folder / "narration.parquet", shards, folder / "split")
    print(f"partition: {time.perf_counter() - began:.1f} s")


def main() -> None:
    videos = int(sys.argv[1]) if len(sys.argv) > 1 else 1_200_000
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[2] if len(sys.argv) > 2 else temporary)
        configuration = fake(folder, videos)
        began = time.perf_counter()
        jobs = plan(folder, configuration)
        seconds = time.perf_counter() - began
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = usage.ru_utime + usage.ru_stime
        peak = usage.ru_maxrss / 1024
        print(f"{jobs}\nplan: {seconds:.1f} s ({processor:.1f} s of a processor), {peak:.0f} MiB")
        split(folder, videos, 1220)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak of this process: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
