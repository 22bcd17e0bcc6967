"""What a run will cost: the arithmetic by hand, and a finished run that predicts itself."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from mcn.cli import main
from mcn.errors import UserError
from mcn.sources.manifest import ManifestRow
from mcn.upkeep.costs import JobCost, measure, read_costs, write_costs
from mcn.upkeep.estimate import Sample, estimate, format_estimate, probe_sample
from tests.media_files import make
from tests.small_run import VIDEOS, SmallRun

ROOT = Path(__file__).parent.parent


def job(media: float, wall: float, device: str = "cpu", stage: str = "resnet152") -> JobCost:
    return JobCost(stage, device, media, wall, 2 * wall, 500.0, int(media * 1000))


def row(video_id: str, path: Path) -> ManifestRow:
    return ManifestRow(video_id, path)


KNOWN = Sample(videos=10, probed=10, hours=100.0, error=0.0, unusable=0.0, gigabytes=1.0)


def test_costs_are_ratios_of_sums() -> None:
    (one,) = estimate(KNOWN, [job(100, 10), job(300, 30)])
    assert one.job_hours == pytest.approx(10)
    assert (one.core_hours, one.gpu_hours) == (pytest.approx(20), 0)
    assert one.gigabytes == pytest.approx(100 * 3600 * 1000 / 1e9)
    assert one.error == pytest.approx(0)


def test_jobs_on_a_gpu_are_gpu_hours() -> None:
    (one,) = estimate(KNOWN, [job(100, 10, "cuda"), job(300, 30, "cuda")])
    assert (one.core_hours, one.gpu_hours) == (0, pytest.approx(10))


def test_the_interval_is_that_of_the_jobs_and_of_the_sample() -> None:
    """Residuals of 10 +- 1 s over 100 s each: t(0.975, 1 degree) = 12.706 times sqrt(2) / sqrt(2) = 1 s of 10 s."""
    (one,) = estimate(KNOWN, [job(100, 9), job(100, 11)])
    assert one.error == pytest.approx(1.2706, rel=1e-3)
    (wider,) = estimate(Sample(10, 5, 100.0, 0.5, 0.0, 1.0), [job(100, 9), job(100, 11)])
    assert wider.error == pytest.approx(math.hypot(1.2706, 0.5), rel=1e-3)
    (unknown,) = estimate(KNOWN, [job(100, 9)])
    assert math.isnan(unknown.error)
    assert "error unknown" in format_estimate(KNOWN, [unknown])


def test_a_stage_on_two_kinds_of_device_is_refused() -> None:
    with pytest.raises(UserError, match="both cpu and cuda"):
        estimate(KNOWN, [job(1, 1), job(1, 1, "cuda")])


def test_a_sample_stands_for_all_videos(tmp_path: Path) -> None:
    """Two of four seconds each and one that cannot be opened: 8 s in all, of which all were seen."""
    rows = [row("a", make("plain.mp4")), row("b", make("plain.mp4")), row("c", make("text.mp4"))]
    sample = probe_sample(rows, 10)
    assert (sample.videos, sample.probed, sample.error) == (3, 3, 0)
    assert sample.hours == pytest.approx(8 / 3600, rel=0.02)
    assert sample.unusable == pytest.approx(1 / 3)
    many = [row(f"v{number}", rows[number % 2].path) for number in range(1000)]
    assert probe_sample(many, 3).hours == pytest.approx(4000 / 3600, rel=0.02)
    assert math.isnan(probe_sample(many, 1).error)
    with pytest.raises(UserError, match="none of 1 videos"):
        probe_sample([row("gone", tmp_path / "gone.mp4")], 5)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "stage,device\n"])
def test_what_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "costs.csv").write_text(text)
    with pytest.raises(UserError, match=r"benchmarks/stages\.py"):
        read_costs(tmp_path / "costs.csv")


def test_the_shipped_table_can_be_read() -> None:
    assert {cost.stage for cost in read_costs(ROOT / "benchmarks/demo_two_cores.csv")} >= {
        "resnet152",
        "decode_frames",
    }


@pytest.mark.workflow
def test_a_finished_run_predicts_itself(undisturbed: SmallRun, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    costs = measure(undisturbed.results, undisturbed.settings())
    write_costs(tmp_path / "costs.csv", costs)
    assert read_costs(tmp_path / "costs.csv")[0].stage == costs[0].stage
    by_stage = {cost.stage: cost for cost in costs}
    assert set(by_stage) == {
        "decode_frames",
        "decode_audio",
        "resnet152",
        "resnext101",
        "logmel",
    }
    decoded = undisturbed.results.glob("small/decoded/frames_*/00000.parquet")
    assert by_stage["decode_frames"].output_bytes == sum(path.stat().st_size for path in decoded)
    manifest = str(undisturbed.folder / "videos/manifest.csv")
    assert main(["estimate", manifest, "--benchmarks", str(tmp_path / "costs.csv")]) == 0
    text = capsys.readouterr().out
    assert f"{len(VIDEOS)} videos, {len(VIDEOS)} of them probed" in text
    assert "resnext101" in text
