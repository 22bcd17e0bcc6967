"""The media matrix: every case decoded here and by the ffmpeg program, and one table of what came out.

    python -m tests.media_matrix [WORDS OF NAMES...]

Verdicts: `equal` (every frame byte for byte and every sample to 2e-6 as the ffmpeg program gives them), `marked`
(other, and the row's remarks say so), `failed: code`; and what must not be: `differs`, `passes` (a cut file as if it
were whole), `good file fails`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mcn.errors import VideoError
from mcn.media.audio import mono_samples
from mcn.media.files import open_media, select_audio, select_video
from mcn.media.frames import rgb_frames, scaled_size, upright_size
from mcn.media.remarks import Remarks, remarks_of
from mcn.options.decode import FrameOptions
from tests.media_cases import CASES, SECONDS, Case, make_case
from tests.media_files import FFMPEG

RATES = (
    FrameOptions(frames_per_second=1, short_side=32),
    FrameOptions(frames_per_second=24, short_side=32, crop=32),
)
WRONG = ("differs", "passes", "good file fails")
PADDING = 4096  # samples at the end that versions of ffmpeg give or drop: an encoder's padding
TOLERANCE = 2e-6
HANGS_SECONDS = 15
LOST_SECONDS = 1.2  # a cut file may lack the end tolerance and a frame


@dataclass
class Outcome:
    """What became of one stream of a case."""

    verdict: str
    words: str = ""


@dataclass
class Decoded:
    """One stream decoded here: frames at both rates or samples, or the error; and the remarks."""

    frames: list[np.ndarray] = field(default_factory=list)
    samples: np.ndarray | None = None
    error: VideoError | None = None
    remarks: Remarks = field(default_factory=Remarks)


def pictures(path: Path) -> Decoded:
    """Frames at both rates."""
    found = Decoded()
    frames: list[list[np.ndarray]] = [[], []]
    try:
        for index, frame in rgb_frames(path, RATES, remarks=found.remarks):
            frames[index].append(frame)
        found.frames = [np.stack(rows) for rows in frames]
    except VideoError as error:
        found.error = error
    return found


def sound(path: Path) -> Decoded:
    """Samples at the file's own rate."""
    found = Decoded()
    try:
        with open_media(path) as container:
            rate = select_audio(container).codec_context.sample_rate
        chunks = list(mono_samples(path, rate, remarks=found.remarks))
        found.samples = np.concatenate(chunks)
    except VideoError as error:
        found.error = error
    return found


def reference(path: Path, folder: Path) -> tuple[list[np.ndarray] | None, np.ndarray | None]:
    """Frames and samples of the ffmpeg program, None for what the file does not have."""
    with open_media(path) as container:
        video = _stream(lambda: select_video(container))
        audio = _stream(lambda: select_audio(container))
        places = [-1 if one is None else one.index for one in (video, audio)]
        size = None if video is None else upright_size(next(container.decode(video)))
        channels = 0 if audio is None else audio.codec_context.layout.nb_channels
    outputs, shapes = [], []
    for number, rate in enumerate(RATES if size is not None else ()):
        width, height = scaled_size(*size, rate.short_side)
        chain = f"fps=fps={rate.frames_per_second:g}:start_time=0,scale={width}:{height}"
        if rate.crop is not None:
            x, y = (width - rate.crop) // 2, (height - rate.crop) // 2
            chain += f",crop={rate.crop}:{rate.crop}:{x}:{y}"
            width = height = rate.crop
        shapes.append((height, width, 3))
        output = f"-map 0:{places[0]} -vf {chain} -fps_mode passthrough -pix_fmt rgb24 -f rawvideo"
        outputs.append([*output.split(), str(folder / f"frames{number}")])
    if channels:
        output = f"-map 0:{places[1]} -f f32le -c:a pcm_f32le"
        outputs.append([*output.split(), str(folder / "samples")])
    try:
        _ffmpeg(path, [argument for output in outputs for argument in output])
    except (
        subprocess.TimeoutExpired
    ):  # ffmpeg 9 may wait for itself where it writes several outputs
        for (
            output
        ) in outputs:  # the sound is mapped all the same: times count from the first stream in use
            listened = f"-map 0:{places[1]} -c copy -f null /dev/null" if channels else ""
            _ffmpeg(path, [*output, *listened.split()])
    frames = [_read(folder / f"frames{n}", np.uint8, shape) for n, shape in enumerate(shapes)]
    samples = _read(folder / "samples", "<f4", (channels,)) if channels else None
    mono = None if samples is None else samples.mean(axis=1, dtype=np.float32)
    return frames or None, mono


def _ffmpeg(path: Path, outputs: list[str]) -> None:
    command = [FFMPEG, "-v", "error", "-nostdin", "-y", "-threads", "1", "-reinit_filter", "0"]
    command += ["-i", f"file:{path}", *outputs]
    subprocess.run(command, check=False, capture_output=True, timeout=HANGS_SECONDS)


def _stream(select):  # type: ignore[no-untyped-def]
    try:
        return select()
    except VideoError:
        return None


def _read(path: Path, kind: Any, shape: tuple[int, ...]) -> np.ndarray:
    data = path.read_bytes() if path.exists() else b""
    values = np.frombuffer(data, kind)
    whole = len(values) - len(values) % int(np.prod(shape))
    return values[:whole].reshape(-1, *shape)


def judge(case: Case, path: Path) -> dict[str, Outcome]:
    """Verdicts on picture and sound of a case."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            frames, samples = reference(path, Path(folder))
        except (VideoError, StopIteration, subprocess.TimeoutExpired):
            frames = samples = None
    seen, heard = pictures(path), sound(path)
    return {
        "picture": _verdict(case, seen, None if frames is None else _frames_equal(seen, frames)),
        "sound": _verdict(case, heard, None if samples is None else _samples_equal(heard, samples)),
    }


def _frames_equal(ours: Decoded, theirs: list[np.ndarray]) -> bool:
    pairs = list(zip(ours.frames, theirs, strict=False))
    # a picture that `fps` rounds away is given here all the same
    few = bool(pairs) and len(theirs[0]) == 0 and len(ours.frames[0]) == 1
    return bool(pairs) and all(
        np.array_equal(mine, other) for mine, other in (pairs[1:] if few else pairs)
    )


def _samples_equal(ours: Decoded, theirs: np.ndarray) -> bool:
    """Whether the samples are those of ffmpeg, which fills no time before and between them with silence."""
    if ours.samples is None:
        return False
    mine = ours.samples
    if len(mine) - len(theirs) > PADDING:  # silence that was filled in
        mine = mine[_filled(mine, len(mine) - len(theirs))]
    shared = min(len(mine), len(theirs))
    if abs(len(mine) - len(theirs)) > PADDING or not shared:
        return False
    inner = max(1, shared - PADDING)
    return any(
        bool(np.allclose(a, b, atol=TOLERANCE))
        for a, b in ((mine[:inner], theirs[:inner]), (mine[-inner:], theirs[-inner:]))
    )


def _filled(samples: np.ndarray, count: int) -> np.ndarray:
    """Where samples are that are no part of the longest silences, which have about `count` samples together."""
    kept = np.ones(len(samples), bool)
    edges = np.flatnonzero(np.diff(samples == 0, prepend=False, append=False)).reshape(-1, 2)
    for start, end in sorted(edges, key=lambda edge: edge[0] - edge[1]):
        if count - (end - start) < -PADDING:
            continue
        kept[start:end] = False
        count -= end - start
        if count < PADDING:
            break
    return kept


def _verdict(case: Case, decoded: Decoded, equal: bool | None) -> Outcome:
    error, remarks = decoded.error, remarks_of(str(decoded.remarks))
    if error is not None:
        absent = error.code in ("no_audio", "no_video_stream")
        if absent or case.harm:
            return Outcome("none" if absent else f"failed: {error.code}")
        return Outcome("good file fails", str(error))
    doubt = {"end_not_verifiable", "decoder_errors", "unequal_span"} & set(remarks)
    lost = SECONDS - decoded.remarks.span[1] > LOST_SECONDS
    if case.harm == "cut" and lost:
        return Outcome("marked" if doubt else "passes", ", ".join(sorted(doubt)))
    if equal:
        return Outcome("equal", ", ".join(remarks))
    if case.harm and doubt:
        return Outcome("marked", ", ".join(sorted(doubt)))
    if equal is None:
        return Outcome("ok, ffmpeg gives nothing")
    return Outcome("differs", str(decoded.remarks))


def table(names: list[str]) -> tuple[str, Counter[str]]:
    """The table of some cases, and how often each verdict was given."""
    lines, counts = [], Counter[str]()
    with tempfile.TemporaryDirectory(prefix="mcn-matrix-") as folder:
        for name in names:
            outcomes = judge(CASES[name], make_case(CASES[name], Path(folder)))
            counts.update(one.verdict for one in outcomes.values() if one.verdict != "none")
            cells = [
                f"{one.verdict} {f'({one.words})' if one.words else ''}"
                for one in outcomes.values()
            ]
            lines.append(f"{name:34} {cells[0]:44} {cells[1]}".rstrip())
            print(lines[-1], flush=True)
    total = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    return "\n".join([*lines, f"{len(names)} files, streams: {total}"]), counts


def wrong_lines(text: str) -> list[str]:
    """The lines of a table that must not be."""
    return [line for line in text.splitlines()[:-1] if any(verdict in line for verdict in WRONG)]


def main() -> int:
    """Print the table of all cases, or of those whose names hold one of the given words."""
    wanted = sys.argv[1:]
    names = [name for name in CASES if not wanted or any(word in name for word in wanted)]
    text, counts = table(names)
    print(text.splitlines()[-1])
    return int(any(counts[verdict] for verdict in WRONG))


if __name__ == "__main__":
    sys.exit(main())
