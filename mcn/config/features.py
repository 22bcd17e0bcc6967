"""What the features of a configuration mean for a run: which are used, what is decoded together, what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mcn.options.base import nearest
from mcn.options.decode import FrameOptions, SoundOptions
from mcn.options.encoders import AUDIO_16KHZ, LogMelOptions
from mcn.options.row import FeatureOptions, FeatureReads

Rows = Mapping[str, FeatureOptions]
Stream = FrameOptions | SoundOptions


def with_sources(rows: Rows, names: Iterable[str]) -> list[str]:
    """The features of these names and those that they are made of, in the order of the rows."""
    found = set()
    for name in names:
        while name in rows and name not in found:
            found.add(name)
            reads = rows[name].reads
            name = reads.feature if isinstance(reads, FeatureReads) else name
    return [name for name in rows if name in found]


def decoded_stream(rows: Rows, name: str) -> Stream | None:
    """The stream of frames or sound that a feature, or the feature that it reads, is computed from; None for texts."""
    reads = rows[name].reads
    return decoded_stream(rows, reads.feature) if isinstance(reads, FeatureReads) else reads


def decode_passes(rows: Rows, used: Iterable[str]) -> dict[str, list[Stream]]:
    """Name of a decoding pass (its rule is `decode_{name}`) -> the streams that it decodes.

    A stream belongs to the shared pass that a used feature names; the streams of features that nobody uses have
    passes of their own, so that the others do not decode them too.
    """
    chosen = set(used)
    streams = list(dict.fromkeys(row.stream for row in rows.values() if row.stream is not None))
    passes: dict[str, list[Stream]] = {}
    for stream in streams:
        readers = [row for name, row in rows.items() if name in chosen and row.stream == stream]
        shared = next((row.decode_pass for row in readers if row.decode_pass), None)
        own = "audio" if stream == AUDIO_16KHZ else stream.stream
        passes.setdefault(shared or own, []).append(stream)
    return passes


def feature_problems(rows: Rows, users: Mapping[str, str]) -> list[str]:
    """What does not fit together in the rows of features, a line each. users: feature -> who uses it, in words."""
    problems = []
    for name, row in rows.items():
        problems += _source_problems(rows, name)
        user = users.get(name)
        source = rows.get(row.reads.feature) if isinstance(row.reads, FeatureReads) else None
        if user and isinstance(source, LogMelOptions) and source.reference == "clip":
            words = "has reference: clip, and this feature hears whole videos"
            problems.append(f"features.{name}.reads.feature: {words}; name log-mels of the video")
        if row.lacks and user:
            problems.append(f"features.{name}.{row.lacks}: missing; {user} reads this feature")
    return problems + list(_pass_problems(rows))


def _source_problems(rows: Rows, name: str) -> list[str]:
    """A feature that reads one that is not there or holds no numbers, or that reads itself in a circle."""
    reads, key = rows[name].reads, f"features.{name}.reads.feature"
    if not isinstance(reads, FeatureReads):
        return []
    if reads.feature not in rows:
        return [f"{key}: no feature {reads.feature!r}{nearest(reads.feature, rows)}"]
    if rows[reads.feature].kind == "text":
        return [f"{key}: {reads.feature} is a text feature; wanted one of frames or sound"]
    way = [name]
    while isinstance(reads, FeatureReads) and reads.feature in rows:
        way.append(reads.feature)
        if reads.feature == name:
            return [f"{key}: a circle, {' reads '.join(way)}"]
        if way.count(reads.feature) > 1:
            return []  # a circle further on, which is named there
        reads = rows[reads.feature].reads
    return []


def _pass_problems(rows: Rows) -> Iterator[str]:
    """Streams that stand in two shared passes, and shared passes with the name that a stream's own pass has."""
    passes: dict[Stream, tuple[str, str]] = {}
    streams = {row.stream.stream for row in rows.values() if row.stream is not None} | {"audio"}
    for name, row in rows.items():
        if row.stream is None or not row.decode_pass:
            continue
        other, shared = passes.setdefault(row.stream, (name, row.decode_pass))
        if shared != row.decode_pass:
            yield (
                f"features.{name}.decode_pass: got {row.decode_pass!r}; {other} reads the same frames in "
                f"the pass {shared!r}"
            )
        if row.decode_pass in streams:
            yield f"features.{name}.decode_pass: {row.decode_pass!r} is the name of a stream"
