"""Comparing features: the measures against brute force, and a named cause for each kind of difference."""

import numpy as np
import pytest

from mcn.cli import main
from mcn.errors import UserError
from mcn.published.causes import likely_causes
from mcn.published.compare_features import compare, difference, row_cosines
from mcn.shards import FEATURE_SCHEMA, ShardWriter, empty_row, feature_row

WIDTH = 64


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def scenes(seed, seconds):
    """(T, D) rows like a network's: not negative, alike within a scene, changing every 5 rows."""
    generator = np.random.default_rng(seed)
    scene = np.repeat(generator.gamma(0.5, size=(seconds // 5 + 1, WIDTH)), 5, axis=0)[:seconds]
    return scene + generator.gamma(0.5, 0.3, size=(seconds, WIDTH))


VIDEOS = {f"v{n}": scenes(n, 20 + n) for n in range(8)}


def write(folder, videos, step=1.0):
    folder.mkdir()
    with ShardWriter(folder / "00000.parquet", FEATURE_SCHEMA, {"feature": "x"}) as writer:
        for video_id, rows in videos.items():
            writer.write(feature_row(video_id, rows, 0.0, step))
    return folder


@pytest.fixture
def ours(tmp_path):
    return write(tmp_path / "ours", {name: unit(rows) for name, rows in VIDEOS.items()})


def causes_of(ours, folder, change, step=1.0):
    videos = {name: change(rows) for name, rows in VIDEOS.items()}
    return likely_causes(compare(ours, write(folder, videos, step), "resnet152"))


ROTATION = np.linalg.qr(np.random.default_rng(7).normal(size=(WIDTH, WIDTH)))[0]
CHANGES = {
    "none": (unit, "same to float16"),
    "normalisation": (lambda rows: 30 * unit(rows), "normalisation"),
    "rate": (lambda rows: unit(np.repeat(rows, 2, axis=0)), "2.000 times as many rows"),
    "start": (lambda rows: unit(np.concatenate([rows[:1], rows[:-1]])), "start"),
    "rounding": (lambda rows: unit(rows * (1 + 0.01 * np.sin(1e3 * rows))), "rounding"),
    "scale of the input": (lambda rows: unit(rows + 0.8 * np.arange(WIDTH) / WIDTH), "input scale"),
    "crop": (lambda rows: unit(rows + 0.15 * np.roll(rows, 3, axis=1)), "preprocessing"),
    "weights": (lambda rows: unit(np.maximum(rows @ ROTATION, 0)), "weights"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_difference_is_called_by_its_name(ours, tmp_path, name):
    change, words = CHANGES[name]
    causes = causes_of(ours, tmp_path / "theirs", change)
    assert any(words in cause for cause in causes), causes


def test_measures_of_a_video_equal_brute_force():
    generator = np.random.default_rng(0)
    left, right = generator.normal(size=(9, 5)), generator.normal(size=(7, 5))
    found = difference("v", left, right)
    cosines = [
        left[i] @ right[i] / (np.linalg.norm(left[i]) * np.linalg.norm(right[i])) for i in range(7)
    ]
    assert found.cosine == pytest.approx(np.mean(cosines))
    assert found.least_cosine == pytest.approx(min(cosines))
    assert found.lengths == (9, 7)
    later = difference("v", left, np.concatenate([generator.normal(size=(2, 5)), left]))
    assert (later.shift, later.shifted_cosine) == (2, pytest.approx(1))
    earlier = difference("v", left, left[1:])
    assert (earlier.shift, earlier.shifted_cosine) == (-1, pytest.approx(1))


def test_rows_of_zeros():
    zeros, ones = np.zeros((2, 3)), np.ones((2, 3))
    assert row_cosines(zeros, zeros).tolist() == [1, 1]
    assert row_cosines(zeros, ones).tolist() == [0, 0]


def test_geometry_ignores_rotation_and_scale(ours, tmp_path):
    turned = {name: 3 * unit(rows) @ ROTATION for name, rows in VIDEOS.items()}
    found = compare(ours, write(tmp_path / "turned", turned), "resnet152")
    assert found.geometry == pytest.approx(1, abs=1e-3)
    assert abs(np.median(found.cosines)) < 0.5


def test_videos_of_one_side_are_counted_and_the_page_is_written(ours, tmp_path, capsys):
    published = tmp_path / "files"
    published.mkdir()
    for name, rows in list(VIDEOS.items())[:5]:
        np.savez(published / f"{name}_2d.npz", features=unit(rows).astype(np.float16))
    np.savez(published / "v5_2d.npz", features=np.zeros((0, WIDTH)))
    page = tmp_path / "page.html"
    command = ["compare", "features", str(ours), str(published), "--output", str(page)]
    assert main([*command, "--worst", "2"]) == 0
    printed = capsys.readouterr().out
    assert "videos on both sides 5; others: {'no_frames': 1, 'not_found': 2}" in printed
    assert "none: the same to float16" in printed
    text = page.read_text()
    assert "<polyline" in text
    assert "http" not in text.replace("http-equiv", "")


def test_what_cannot_be_compared_is_named(ours, tmp_path):
    wide = {name: np.ones((5, WIDTH + 1)) for name in VIDEOS}
    with pytest.raises(UserError, match="64 numbers a row beside 65"):
        compare(ours, write(tmp_path / "wide", wide), "resnet152")
    with pytest.raises(UserError, match="no video on both sides"):
        compare(ours, write(tmp_path / "other", {"else": np.ones((5, WIDTH))}), "resnet152")
    with pytest.raises(UserError, match="no shards"):
        compare(tmp_path, ours, "resnet152")
    with pytest.raises(UserError, match="no such folder"):
        compare(ours, tmp_path / "none", "resnet152")


def test_failed_rows_are_not_compared(tmp_path, ours):
    folder = tmp_path / "theirs"
    folder.mkdir()
    with ShardWriter(folder / "00000.parquet", FEATURE_SCHEMA, {}) as writer:
        writer.write(feature_row("v0", VIDEOS["v0"], 0.0, 1.0))
        writer.write(empty_row(FEATURE_SCHEMA, "v1", "failed", "truncated: cut"))
    found = compare(ours, folder, "resnet152")
    assert found.unpaired == {"truncated": 1, "not_found": 6}
