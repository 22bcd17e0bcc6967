"""Options of `transcribe`: which words of a video are read, and what a recogniser must show before it is believed.

Sources: Whisper = openai/whisper transcribe.py (Radford et al., 2022), Silero = snakers4/silero-vad, WhisperX = Bain et
al., Interspeech 2023. Defaults that are measured here have their figures in docs/speech.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from mcn.options.base import Options, field
from mcn.options.row import Sha256

_ENGLISH_MODELS = (".en", "_en")  # endings of the names of Whisper's models of English

Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]


class TranscribeOptions(Options):
    """Words of each video: its narration file, else its subtitle stream, else speech recognition."""

    language: Language | None = Field(
        None,
        description="code of the language that is said (en, nl): files and streams that name another one are passed "
        "over, and a recogniser of several languages is told; null: any",
    )
    recognize: bool = Field(
        True,
        description="recognise speech where there is neither a narration file nor a subtitle stream",
    )
    model: str = Field(
        "embedded:whisper_tiny_en",
        min_length=1,
        description="model of faster-whisper: `embedded:whisper_tiny_en` (English, from PyPI), a folder with "
        "model.bin, or a name that faster-whisper fetches (small, large-v3, Systran/faster-whisper-small)",
    )
    model_sha256: Sha256 | None = Field(
        None, description="stop unless model.bin has this sha256; null: any"
    )
    compute_type: Literal["int8", "int8_float32", "float32"] = Field(
        "int8", description="number type of the matrix products on the processor (CTranslate2)"
    )
    beam_size: int = field(5, "hypotheses of the decoder", source="Whisper", ge=1, le=20)
    voice_threshold: float = field(
        0.5, "probability of a voice above which sound is listened to", source="Silero", gt=0, lt=1
    )
    min_log_probability: float = field(
        -1.0,
        "average log-probability of the tokens of a stretch of up to 30 s",
        source="Whisper",
        le=0,
    )
    min_log_probability_one_language: float = field(
        -0.65,
        "the same of a model of one language (`.en`), which puts words of it into the mouth of every other",
        source="measured",
        le=0,
    )
    min_understood: float = field(
        0.5,
        "share of the seconds with a voice that a model of one language must understand; below, the video counts as "
        "one in another language",
        source="measured",
        ge=0,
        le=1,
    )
    max_compression_ratio: float = field(
        2.4, "gzip ratio of a stretch, above which it repeats itself", source="Whisper", gt=1
    )
    time_limit_seconds: float = field(
        120, "wall-clock time granted to every video", "s", role="runtime", gt=0
    )
    time_limit_per_second: float = field(
        10, "wall-clock seconds granted on top for each second of video", "s", role="runtime", ge=0
    )
    memory_limit_mb: int = field(
        6144,
        "resident memory of the recognising process; above it, it is killed",
        "MiB",
        role="runtime",
        ge=512,
    )

    @model_validator(mode="after")
    def _model_knows_the_language(self) -> TranscribeOptions:
        english = self.model.endswith(_ENGLISH_MODELS)
        if self.recognize and english and self.language not in (None, "en", "eng"):
            raise ValueError(
                f"the model {self.model} knows English alone, the language is {self.language}; name a model of several "
                "languages, such as small, or set recognize to false"
            )
        return self
