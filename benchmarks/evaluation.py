"""Time and memory of the evaluation's arithmetic: ranking without the full matrix, dynamic programmes.

    python benchmarks/evaluation.py [--queries 20000] [--gallery 20000] [--width 512]

Prints one line a measurement; memory is the peak of the whole process beyond what the embeddings take.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from mcn.evaluation.alignment.programme import align_items
from mcn.evaluation.localization.ordered_steps import decode_steps
from mcn.evaluation.retrieval import full_video
from mcn.evaluation.retrieval import metrics as retrieval


def peak_mib() -> float:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ranking(queries: int, gallery: int, width: int) -> None:
    generator = np.random.default_rng(0)
    texts = generator.standard_normal((queries, width), np.float32)
    clips = generator.standard_normal((gallery, width), np.float32)
    positives = (np.arange(queries) % gallery).tolist()
    before, start = peak_mib(), time.perf_counter()
    retrieval.places_from_embeddings(texts, clips, positives)
    seconds, grown = time.perf_counter() - start, peak_mib() - before
    whole = queries * gallery * 4 / 2**20
    print(f"rank {queries} x {gallery} x {width}: {seconds:.1f} s, {grown:.0f} MiB more")
    print(f"  (the whole matrix: {whole:.0f} MiB)")


def full_videos(captions: int, videos: int, width: int) -> None:
    generator = np.random.default_rng(0)
    video_of = np.sort(np.arange(captions) % videos)
    vectors = generator.standard_normal((2, captions, width), np.float32)
    given = full_video.FullVideoSet(*vectors, video_of, video_of, videos, captions, videos)
    before, start = peak_mib(), time.perf_counter()
    full_video.evaluate(given)
    seconds, grown = time.perf_counter() - start, peak_mib() - before
    print(f"full videos, {captions} captions of {videos}: {seconds:.1f} s, {grown:.0f} MiB more")


def programmes(seconds: int, steps: int, items: int) -> None:
    generator = np.random.default_rng(0)
    scores = generator.standard_normal((seconds, steps))
    transcript = generator.integers(0, steps, items)
    calls = {
        f"place {steps} steps in {seconds} s, one second each": lambda: decode_steps(scores),
        f"place {steps} steps in {seconds} s, one or more": lambda: decode_steps(scores, False),
        f"align {items} items with {seconds} s": lambda: align_items(scores, transcript),
    }
    for name, call in calls.items():
        times = []
        for _ in range(20):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        print(f"{name}: {1000 * float(np.median(times)):.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--gallery", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=512)
    arguments = parser.parse_args()
    programmes(600, 11, 41)
    full_videos(3350, 436, arguments.width)
    ranking(arguments.queries, arguments.gallery, arguments.width)


if __name__ == "__main__":
    main()
