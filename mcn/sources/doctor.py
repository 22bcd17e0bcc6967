"""Look at every file of a manifest before a run, and say what will happen to each.

Conventions
-----------
- Each file is probed, and decoded at its start, in its middle and from shortly before its end, in a child process under
  the limits of the decode options. Decoding the last seconds is enough to find a file that was cut short.
- A video at an address is fetched first (`mcn.media.remote`).
- The verdict is `failed` where a stream of the file cannot be used, or the file has no stream at all; `warning` where
  one kind of feature will be missing or the timing is unusual; `ok` otherwise. The codes of faults are those of
  `mcn.errors.ERROR_CODES`, the codes of what is unusual but no fault those of `NOTES` below and `mcn.errors.REMARKS`.
- The outcome ends with how sure it is that the file is all there: `verified end`, `end not verifiable` or `truncated`.
- Damage in a part of the file that was not decoded here is found only when the whole file is decoded.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from mcn.errors import VideoError
from mcn.media.address import Place
from mcn.media.files import require_sha256
from mcn.media.isolation import Worker
from mcn.media.probe import MediaFacts, probe, spot_check
from mcn.media.remarks import remarks_of
from mcn.media.remote import Downloads
from mcn.options.decode import DecodeOptions
from mcn.sources.manifest import ManifestRow

log = logging.getLogger(__name__)

Verdict = Literal["ok", "warning", "failed"]

# code -> what it means for the run
NOTES: dict[str, str] = {
    "variable_rate": "variable frame rate; frames are taken by their time, so nothing is lost",
    "turned": "the display matrix turns the picture; it is decoded upright",
    "late_video": "the picture starts late; its first frame fills the time before",
    "late_audio": "the sound starts late; silence fills the time before",
    "unequal_ends": "picture and sound end at different times",
    "short": "shorter than one second",
}
_HARMLESS = ("variable_rate", "turned", "end_not_verifiable")
_LATE_SECONDS = 1.0  # less is usual, and less than one row of the slowest feature
_UNEQUAL_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """One thing to know about a file; `stream` is "file", "video" or "audio"."""

    stream: str
    code: str
    words: str


@dataclass(frozen=True)
class Diagnosis:
    """What was found in one file, and what will happen to it."""

    video_id: str
    path: Place
    verdict: Verdict
    seconds: float | None
    streams: str
    findings: tuple[Finding, ...]
    outcome: str


@dataclass(frozen=True)
class DoctorReport:
    """All diagnoses in the manifest's order."""

    diagnoses: tuple[Diagnosis, ...]

    @property
    def any_failed(self) -> bool:
        return any(diagnosis.verdict == "failed" for diagnosis in self.diagnoses)

    @property
    def counts(self) -> Counter[str]:
        """Verdict -> number of files."""
        return Counter(diagnosis.verdict for diagnosis in self.diagnoses)


def examine(
    rows: Sequence[ManifestRow], options: DecodeOptions, downloads: Downloads | None = None
) -> DoctorReport:
    """Diagnose every file; a file that hangs or crashes its decoder fails under its code, and the next one follows."""
    diagnoses = []
    cache = downloads or Downloads()
    with Worker(options.memory_limit_mb) as worker:
        for row in tqdm(rows, desc="doctor", unit="video", disable=None):
            diagnoses.append(_diagnose(worker, row, options, cache))
    return DoctorReport(tuple(diagnoses))


def look(
    path: Path, sha256: str, tolerated_errors: int
) -> tuple[MediaFacts, list[Finding], list[Finding]]:
    """Probe and spot-check one file; faults of single streams come as findings, and remarks on those that are usable.

    Errors: `VideoError` of the file.
    """
    require_sha256(path, sha256)
    facts = probe(path)
    faults, remarks = [], []
    for kind, stream in (("video", facts.video), ("audio", facts.audio)):
        try:
            if stream is not None:
                found = spot_check(path, kind, tolerated_errors)  # type: ignore[arg-type]
                remarks += [Finding(kind, *one) for one in remarks_of(str(found)).items()]
        except VideoError as error:
            faults.append(Finding(kind, error.code, error.message))
    return facts, faults, remarks


def _diagnose(
    worker: Worker, row: ManifestRow, options: DecodeOptions, downloads: Downloads
) -> Diagnosis:
    sha256 = row.sha256 or ""
    try:
        with downloads.at_hand(row.path, sha256) as path:
            arguments = (path, sha256, options.tolerated_errors)
            seconds = options.time_limit_seconds
            facts, faults, remarks = worker.run(look, *arguments, seconds=seconds)
    except VideoError as error:
        finding = Finding("file", error.code, error.message)
        outcome = "no features; counted as failed"
        return Diagnosis(row.video_id, row.path, "failed", None, "", (finding,), outcome)
    absent = _absent(facts)
    failed = bool(faults) or len(absent) == 2
    notes = [*remarks, *_notes(facts)]
    harmless = all(note.code in _HARMLESS for note in notes)
    verdict: Verdict = "failed" if failed else "ok" if harmless and not absent else "warning"
    findings = (*faults, *absent, *notes)
    outcome = _outcome({f.stream: f for f in (*absent, *faults)}, bool(row.narration))
    outcome += _ends(faults, remarks) if len(absent) < 2 else ""
    return Diagnosis(
        row.video_id, row.path, verdict, facts.seconds, _streams(facts), findings, outcome
    )


def _absent(facts: MediaFacts) -> list[Finding]:
    absent = []
    if facts.video is None:
        absent.append(Finding("video", "no_video_stream", "the file has no video stream"))
    if facts.audio is None:
        absent.append(Finding("audio", "no_audio", "the file has no audio stream"))
    return absent


def _notes(facts: MediaFacts) -> list[Finding]:
    """What is unusual about a file, but no fault."""
    video, audio = facts.video, facts.audio
    ends = [s.end_seconds for s in (video, audio) if s is not None and s.end_seconds is not None]
    found = {
        "variable_rate": video is not None and video.variable_rate,
        "turned": video is not None and video.turned,
        "late_video": video is not None and video.start_seconds > _LATE_SECONDS,
        "late_audio": audio is not None and audio.start_seconds > _LATE_SECONDS,
        "unequal_ends": len(ends) == 2 and abs(ends[0] - ends[1]) > _UNEQUAL_SECONDS,
        "short": facts.seconds is not None and facts.seconds < 1,
    }
    return [Finding("file", code, NOTES[code]) for code, present in found.items() if present]


def _outcome(unusable: dict[str, Finding], narrated: bool) -> str:
    """What a run will make of the file."""
    made = [kind for kind in ("video", "audio") if kind not in unusable]
    parts = [f"{' and '.join(made)} features" if made else "no features"]
    for kind, finding in unusable.items():
        absent = finding.code in ("no_video_stream", "no_audio")
        parts.append(f"{kind} counted as {'missing' if absent else 'failed'}")
    if made and not narrated:
        parts.append("no narration: for search and evaluation, not for training")
    return "; ".join(parts)


def _ends(faults: Sequence[Finding], remarks: Sequence[Finding]) -> str:
    """How sure it is that the file is all there."""
    if any(fault.code == "truncated" for fault in faults):
        return "; truncated"
    if faults:
        return ""
    unsure = any(remark.code == "end_not_verifiable" for remark in remarks)
    return "; end not verifiable" if unsure else "; verified end"


def _streams(facts: MediaFacts) -> str:
    parts = []
    if facts.video is not None:
        rate = facts.video.frames_per_second
        speed = f" {rate:.4g}/s" if rate else ""
        parts.append(f"{facts.video.codec} {facts.video.width}x{facts.video.height}{speed}")
    if facts.audio is not None:
        channels = facts.audio.channels
        parts.append(f"{facts.audio.codec} {facts.audio.sample_rate} Hz {channels} ch")
    return ", ".join(parts)


def _sentence(finding: Finding) -> str:
    stream = "" if finding.stream == "file" else f"{finding.stream} "
    return f"{stream}{finding.code}: {finding.words}"


def format_report(report: DoctorReport) -> str:
    """The report as text: a line a file, what was found below it, and the counts."""
    width = max((len(diagnosis.video_id) for diagnosis in report.diagnoses), default=0)
    lines = []
    for diagnosis in report.diagnoses:
        seconds = "" if diagnosis.seconds is None else f"{diagnosis.seconds:.1f} s"
        head = f"{diagnosis.verdict:<8}{diagnosis.video_id:<{width}}  {seconds:>9}"
        lines.append(f"{head}  {diagnosis.streams}".rstrip())
        lines += [f"{'':8}{_sentence(finding)}" for finding in diagnosis.findings]
        lines.append(f"{'':8}-> {diagnosis.outcome}")
    counts = report.counts
    tally = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("ok", "warning", "failed"))
    return "\n".join([*lines, "", f"{len(report.diagnoses)} videos: {tally}"])
