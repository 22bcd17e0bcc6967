"""What is worth knowing of a stream that was decoded whole: how sure its end is, damage, and what it covers.

Conventions
-----------
- An `ok` row of a decoded shard, and of every feature that is made of it, keeps its remarks in the column `error`, as
  `code: words` joined by `; `; it is empty where the end is verified and nothing is odd.
- The codes are those of `mcn.errors.REMARKS`. Picture and sound of a video may differ by `UNEQUAL_SECONDS` at either
  end without a remark.
"""

from __future__ import annotations

from dataclasses import dataclass

UNEQUAL_SECONDS = 1.0  # less than a row of the slowest feature


@dataclass
class Remarks:
    """Filled in while a stream is decoded. Spans are (start, end), seconds from container start."""

    unverifiable: str = ""  # why nothing verifies the end
    errors: int = 0
    first_error: str = ""
    late_streams: int = 0  # that the file announces too late to be used
    kind: str = ""  # video or audio
    span: tuple[float, float] = (0.0, 0.0)
    other: tuple[float, float] | None = None

    def count(self, errors: int, what: str) -> None:
        """Add damage that did not end the stream."""
        self.first_error = self.first_error or what
        self.errors += errors

    def __str__(self) -> str:
        found = {
            "end_not_verifiable": self.unverifiable,
            "decoder_errors": self._damage(),
            "unequal_span": self._difference(),
            "late_stream": f"{self.late_streams} left out" if self.late_streams else "",
        }
        return "; ".join(
            f"{code}: {' '.join(words.replace(';', ',').split())}"
            for code, words in found.items()
            if words
        )

    def _damage(self) -> str:
        return f"{self.errors}, the first: {self.first_error}" if self.errors else ""

    def _difference(self) -> str:
        if self.other is None:
            return ""
        pairs = zip(self.span, self.other, strict=True)
        if max(abs(own - other) for own, other in pairs) <= UNEQUAL_SECONDS:
            return ""
        names = ("picture", "sound") if self.kind == "video" else ("sound", "picture")
        spans = [f"{start:.2f} to {end:.2f} s" for start, end in (self.span, self.other)]
        return f"{names[0]} from {spans[0]}, {names[1]} from {spans[1]}"


def remarks_of(error: str) -> dict[str, str]:
    """Code -> words of the remarks of an `ok` row."""
    parts = [part.partition(": ") for part in error.split("; ") if part]
    return {code: words for code, _, words in parts}
