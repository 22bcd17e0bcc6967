"""Errors that people read: what was got, what was wanted, what to do.

Conventions
-----------
- `UserError`: the run cannot go on (bad configuration, bad manifest, damaged shard); the command line prints it
  and exits 1.
- `VideoError`: one video, one stream cannot be used. It never stops a run: it becomes a row with status `failed` or
  `missing` and a stable code, and is counted in the ledger.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

ERROR_CODES: dict[str, str] = {
    "not_found": "the file or address named in the manifest does not exist",
    "empty_file": "the file has no bytes",
    "unreadable": "the container cannot be opened",
    "no_video_stream": "the file has no video stream",
    "no_audio": "the file has no audio stream",
    "no_frames": "the stream yields not a single frame or sample",
    "truncated": "the stream ends well before its declared duration, or a download was cut again and again",
    "decode_error": "the decoder gave up",
    "discontinuous": "the times of the stream jump",
    "timeout": "decoding took longer than its limit and was killed, or a server was too slow",
    "memory": "decoding took more memory than its limit and was killed",
    "crashed": "the decoding process died",
    "http_status": "the server of the address refuses the video",
    "unreachable": "the server of the address cannot be reached",
    "too_large": "the video at the address is larger than the cache of downloads",
    "checksum": "the file's sha256 is not the one in the manifest",
    "narration_unreadable": "the narration file does not parse",
    "no_narration": "the video has no narration",
    "no_speech": "nobody speaks in the video",
    "unknown_language": "what is said is in no language that the recogniser knows, or cannot be made out",
    "bad_shape": "a published feature is no matrix of the stream's shape",
    "bad_values": "a published feature holds NaN, infinity or values beyond float16",
}


# of rows that are ok; see mcn.media.remarks
REMARKS: dict[str, str] = {
    "end_not_verifiable": "nothing in the file tells whether it is all there",
    "decoder_errors": "the decoder reported errors, and pictures or sound may be damaged",
    "unequal_span": "picture and sound do not cover the same stretch of time",
    "late_stream": "a stream is announced too late in the file to be used",
}


class UserError(Exception):
    """A mistake that a person can mend; three sentences: got, wanted, do this."""

    def __init__(self, got: str, wanted: str, do: str) -> None:
        self.got, self.wanted, self.do = got, wanted, do
        super().__init__(f"got: {got}\nwanted: {wanted}\ndo this: {do}")

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str, str]]:
        return type(self), (self.got, self.wanted, self.do)


class DamagedShard(UserError):
    """A shard that fails its checksums, is cut short, or is not a shard of this kind."""

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path, self.reason = str(path), reason
        if Path(path).exists() and not os.access(path, os.R_OK):
            super().__init__(*_forbidden(path))
            return
        super().__init__(
            f"{path}: {reason}",
            "an intact shard written by this pipeline",
            f"delete it and run snakemake again: only its own chain is made anew (rm {path})",
        )

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return type(self), (self.path, self.reason)


def explained(error: UserError | PermissionError) -> UserError:
    """An error as it is told: a file that may not be read is not damaged, and what mends that is another thing.

    Errors that say so in words of their own, and not by the name of the exception, stay as they are.
    """
    cause = error if isinstance(error, PermissionError) else error.__cause__
    named = not isinstance(error, UserError) or PermissionError.__name__ in error.got
    if named and isinstance(cause, PermissionError) and cause.filename:
        return UserError(*_forbidden(cause.filename))
    if isinstance(error, UserError):
        return error
    return UserError(str(error), "the right to do so", "ask who owns it")


def _forbidden(path: Path | str) -> tuple[str, str, str]:
    """What is told of a file that may not be read or written."""
    wanted = "the right to read and write it"
    return f"{path}: permission denied", wanted, f"let its owner give it (chmod u+rw {path})"


def require_version(path: Path | str, found: int, known: int, again: str) -> None:
    """Raise `UserError` where a file is of another version than the `known` one; `again`: the command that remakes it.

    docs/files.md, "Versions", is the policy.
    """
    if found > known:
        raise UserError(
            f"{path} of version {found}, which a newer mcn wrote",
            f"version {known}, or an mcn that reads version {found}",
            f"install a newer mcn (pip install --upgrade mcn), or make the file again with this one: {again}",
        )
    if found < known:
        got = f"{path} of version {found}, which an older mcn wrote"
        raise UserError(got, f"version {known}", f"make it again: {again}")


class VideoError(Exception):
    """One stream of one video cannot be used; `code` is a key of `ERROR_CODES`."""

    def __init__(self, code: str, message: str = "") -> None:
        if code not in ERROR_CODES:
            raise ValueError(f"unknown error code {code!r}; known: {', '.join(ERROR_CODES)}")
        printable = message.encode(errors="backslashreplace").decode()  # names may hold any byte
        self.code, self.message = code, " ".join(printable.split())
        super().__init__(f"{code}: {self.message}" if self.message else code)

    def __reduce__(self) -> tuple[type[VideoError], tuple[str, str]]:
        return type(self), (self.code, self.message)


def several(problems: Sequence[str], wanted: str, do: str, limit: int = 20) -> UserError:
    """One `UserError` that lists every problem found (at most `limit`, then a count)."""
    shown = list(problems[:limit])
    if len(problems) > limit:
        shown.append(f"... and {len(problems) - limit} more")
    return UserError("\n  ".join([f"{len(problems)} problem(s)", *shown]), wanted, do)
