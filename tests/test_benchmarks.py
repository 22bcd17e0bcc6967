"""The benchmarks run: what they measure is another matter."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import __main__ as processor
from benchmarks import gpu, rivals
from benchmarks.measuring import Figure, table


@pytest.fixture(autouse=True)
def _benchmarks_silence_libraries() -> Iterator[None]:
    """They do so for the whole process, in which other tests listen to what is logged."""
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
def test_the_gpu_benchmark_runs_on_a_processor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every section, in small sizes; the file holds what the table shows."""
    output = tmp_path / "gpu.json"
    figures = gpu.main(["--tiny", "--device", "cpu", "--output", str(output)])
    written = json.loads(output.read_text())
    assert [one["work"] for one in written["figures"]] == [one.work for one in figures]
    shown = capsys.readouterr().out
    for section in ("matrix product", "feed", "k-means", "retrieval", "step of", "whole job"):
        assert any(section in one.work for one in figures), section
        assert section in shown
    assert all(one.ours > 0 for one in figures)


def test_ratios_say_how_many_times_ours_is_better() -> None:
    faster, more = Figure("a", "s", 2.0, 6.0, less=True), Figure("b", "items/s", 8.0, 2.0)
    assert (faster.ratio, more.ratio, Figure("c", "s", 1.0).ratio) == (3.0, 4.0, None)
    assert "3.00x" in table([faster, more])


@pytest.mark.slow
def test_the_variants_run_on_a_processor(tmp_path: Path) -> None:
    words = ["--tiny", "--device", "cpu", "--only", "variants"]
    assert gpu.main([*words, "--output", str(tmp_path / "gpu.json")])


def test_a_row_of_a_processor_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "cpu.json"
    figures = processor.main(
        ["--only", "reads", "--output", str(output), "--videos", str(tmp_path)]
    )
    assert [one.work for one in figures] == [
        "32 clips of a video, first read",
        "32 clips of a video, later reads",
    ]
    assert all(one.ours > 0 for one in figures)
    assert "later reads" in capsys.readouterr().out
    assert len(json.loads(output.read_text())["figures"]) == 2


def test_released_programs_that_are_not_there_are_skipped_with_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rivals.cited_extractor(None, [], tmp_path) is None
    assert rivals.released_step(tmp_path, 32, 8, 2, 8) is None
    assert rivals.released_kmeans(tmp_path, 2, 1) is None
    assert capsys.readouterr().out.count("not compared with") == 3


def test_rows_that_do_not_exist_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        processor.main(["--only", "reads,reeds"])
    assert "no row reeds" in capsys.readouterr().err
