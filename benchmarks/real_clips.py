"""How often the right clip is found, of real clips out of packages, beside a random order.

    mcn run CLIPS --output answers
    python -m benchmarks.real_clips answers

`real_clips/clips.tsv` says which file of which package is called what in CLIPS; none of them belongs to this project.
`seen.tsv` and `said.tsv` hold queries and the files that answer them (without suffix, any of several), which were
written down from contact sheets and the known texts of the prompts before anything was asked. A query counts as first
where the best moment is one of a right file, as five where one of the first five files is right. A random order is one
of the files that can be searched.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Sequence
from pathlib import Path

from mcn.search.answers import Answers

HERE = Path(__file__).with_suffix("")
ASKED = {
    "seen": (("all sources", None), ("seen", ["seen"])),
    "said": (("all sources", None), ("words", ["words"]), ("meaning", ["meaning"])),
}


def main() -> None:
    """Print a table of counts for the queries of each kind, and every query that no right file answers first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("answers", type=Path, help="folder that `mcn run` wrote")
    answers = Answers.open(parser.parse_args().answers)
    names = {one: Path(video.path.name).stem for one, video in answers.videos.items()}
    there = sum(video.status == "ok" for video in answers.videos.values())
    print(f"{len(names)} files, {there} of them searchable; sources: {', '.join(answers.sources)}")
    for kind, ways in ASKED.items():
        queries = read(kind)
        chances = [random_order(len(right), there) for _, right in queries]
        print(f"\n| {len(queries)} queries of what is {kind} | first | in five | no answer |")
        print("|---|---|---|---|")
        for title, sources in ways:
            if sources is None or set(sources) <= set(answers.sources):
                ranks = [rank(answers, names, one, sources) for one in queries]
                print(f"| {title} | {count(ranks, 1)} | {count(ranks, 5)} | {ranks.count(0)} |")
                if sources is None:
                    missed = [
                        f"{query} ({', '.join(right)}): {found or 'no answer'}"
                        for (query, right), found in zip(queries, ranks, strict=True)
                        if found != 1
                    ]
        first, five = (sum(chance[place] for chance in chances) for place in (0, 1))
        print(f"| random order | {first:.1f} | {five:.1f} | |\n")
        print("Rank of the right file where it is not first, of all sources:")
        print(*(f"  {line}" for line in missed), sep="\n")


def read(kind: str) -> list[tuple[str, list[str]]]:
    """(query, names of the right files) of a kind."""
    with open(HERE / f"{kind}.tsv", encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["query"], row["right"].split(",")) for row in rows]


def rank(
    answers: Answers,
    names: dict[str, str],
    query: tuple[str, list[str]],
    sources: Sequence[str] | None,
) -> float:
    """Place of the first right file, from 1; infinite where it is not among the answers, 0 where there is none."""
    found = answers.search(query[0], len(names), sources, one_per_video=True)
    places = [place for place, one in enumerate(found, start=1) if names[one.video_id] in query[1]]
    return min(places, default=math.inf if found else 0)


def count(ranks: Sequence[float], most: int) -> int:
    """Queries whose right file is among the first `most`."""
    return sum(1 <= one <= most for one in ranks)


def random_order(right: int, files: int) -> tuple[float, float]:
    """Chance that one of `right` files out of `files` comes first, and that one is among five."""
    return right / files, 1 - math.comb(files - right, 5) / math.comb(files, 5)


if __name__ == "__main__":
    main()
