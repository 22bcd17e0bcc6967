"""One planned video as files: H.264 and AAC in MP4, and its narration as SubRip.

Equal plans give equal bytes: one encoder thread, no time stamps, fixed versions of the encoders, and a fresh process
(see `mcn.demo.speech`). The sound lasts as long as the pictures, to the sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image
from scipy.signal import resample_poly

from mcn.demo.narration import sound_track, speak, subtitles, transcribe
from mcn.demo.plan import VideoPlan
from mcn.demo.scene import frames
from mcn.demo.speech import SAMPLE_RATE

X264 = {"preset": "superfast", "crf": "25", "threads": "1"}
SOUND_BITS = 64_000  # bits/s
SOUND_BLOCK = 1024  # samples, one AAC frame


def render(plan: VideoPlan, video: Path, narration: Sequence[Path]) -> None:
    """Write one video (.mp4) and its narration (.srt): of the plan, then of the plans in other languages."""
    picture_rng, sound_rng = (np.random.default_rng([*plan.seed, stream]) for stream in (1, 2))
    said = speak(plan)
    track = sound_track(plan, said, sound_rng)
    for told, path in zip((plan, *plan.others), narration, strict=True):
        heard = said if told is plan else speak(told)
        text_rng = np.random.default_rng([*told.seed, 3])
        lines = transcribe(heard, text_rng, told.language)
        path.write_text(subtitles(lines), encoding="utf-8")
    _write_video(video, plan, frames(plan, picture_rng), track)


def _write_video(
    path: Path, plan: VideoPlan, images: Iterable[Image.Image], track: np.ndarray
) -> None:
    """Encode RGB frames and a 16 kHz track, which is resampled, in the sizes and rates of the plan."""
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        pictures = container.add_stream("libx264", rate=plan.rate, options=X264)
        pictures.width, pictures.height, pictures.pix_fmt = plan.width, plan.height, "yuv420p"
        sound = container.add_stream("aac", rate=plan.sound_rate, layout="mono")
        sound.bit_rate = SOUND_BITS
        for image in images:
            container.mux(pictures.encode(av.VideoFrame.from_image(image)))
        container.mux(pictures.encode())
        for block in _sound_blocks(track, plan.sound_rate):
            container.mux(sound.encode(block))
        container.mux(sound.encode())


def _sound_blocks(track: np.ndarray, rate: int) -> Iterable[av.AudioFrame]:
    ratio = Fraction(rate, SAMPLE_RATE)
    if ratio != 1:
        track = resample_poly(track, ratio.numerator, ratio.denominator)
    samples = (np.clip(track, -1, 1) * 32767).astype(np.int16)
    for start in range(0, len(samples), SOUND_BLOCK):
        block = np.ascontiguousarray(samples[None, start : start + SOUND_BLOCK])
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        yield frame
