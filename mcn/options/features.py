"""The features of a configuration: a row each, laid over the rows that are there already.

Conventions
-----------
- A feature is one row: its kind, its encoder, what the encoder reads, and the encoder's own options
  (`mcn.options.encoders`).
- `features.{name}` of the configuration is a row; `DEFAULT_ROWS` are those of the published features and of the
  weights that packages carry. What a configuration gives is laid over the default row of that name; a row of another
  `encoder` replaces it, and a row set to null goes away. A row that no experiment reads costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from mcn.options.base import Options, field, parsed, read_values
from mcn.options.decode import FrameOptions
from mcn.options.encoders import (
    DavenetOptions,
    LogMelOptions,
    OwnOptions,
    OwnTextOptions,
    PublishedOptions,
    SentenceOptions,
    TextOptions,
    TimmOptions,
    VideoNetworkOptions,
)
from mcn.options.libraries import (
    JoinedTextOptions,
    OpenClipPictureOptions,
    OpenClipTextOptions,
    TimmPictureOptions,
    TorchvisionPictureOptions,
    TorchvisionVideoOptions,
    TransformersAudioOptions,
    TransformersPictureOptions,
    TransformersTextOptions,
    TransformersVideoOptions,
)
from mcn.options.row import FeatureOptions, Name, reads_of

# what stands for an encoder of one's own among the names of encoders
OWN, OWN_TEXT = "module:Class", "module:Class of texts"


def encoder_of(values: Any) -> str:
    """The encoder that a row of the configuration, or its parsed options, names; `module:Class` for one's own."""
    given = values if isinstance(values, dict) else getattr(values, "__dict__", {})
    name = given.get("encoder")
    if not isinstance(name, str) or ":" not in name:
        return str(name or "")
    return OWN_TEXT if given.get("kind") == "text" else OWN


AnyFeature = Annotated[
    Annotated[TimmOptions, Tag("timm")]
    | Annotated[VideoNetworkOptions, Tag("video_network")]
    | Annotated[LogMelOptions, Tag("logmel")]
    | Annotated[DavenetOptions, Tag("davenet")]
    | Annotated[TextOptions, Tag("word2vec")]
    | Annotated[SentenceOptions, Tag("sentence")]
    | Annotated[TimmPictureOptions, Tag("timm_picture")]
    | Annotated[OpenClipPictureOptions, Tag("open_clip_picture")]
    | Annotated[OpenClipTextOptions, Tag("open_clip_text")]
    | Annotated[TransformersPictureOptions, Tag("transformers_picture")]
    | Annotated[TransformersVideoOptions, Tag("transformers_video")]
    | Annotated[TransformersAudioOptions, Tag("transformers_audio")]
    | Annotated[TransformersTextOptions, Tag("transformers_text")]
    | Annotated[JoinedTextOptions, Tag("joined_text")]
    | Annotated[TorchvisionPictureOptions, Tag("torchvision_picture")]
    | Annotated[TorchvisionVideoOptions, Tag("torchvision_video")]
    | Annotated[PublishedOptions, Tag("published")]
    | Annotated[OwnOptions, Tag(OWN)]
    | Annotated[OwnTextOptions, Tag(OWN_TEXT)],
    Discriminator(encoder_of),
]

DEFAULT_ROWS: dict[str, FeatureOptions] = {
    "resnet152": TimmOptions(label="R152", decode_pass="frames"),
    "resnext101": VideoNetworkOptions(label="RX101", decode_pass="frames"),
    "logmel": LogMelOptions(),
    "davenet": DavenetOptions(),
    "word2vec": TextOptions(),
    # weights that packages carry: size, crop and statistics of pixels as timm says for this network
    "efficientnet_lite2": TimmOptions(
        network="tf_efficientnet_lite2",
        weights="embedded:efficientnet_lite2",
        reads=FrameOptions(frames_per_second=1, short_side=292, crop=260),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        normalize=False,
        label="EfficientNet-Lite2",
    ),
    "minilm": SentenceOptions(label="MiniLM"),
    # of CrossTask's arrays of 3,200 columns
    "i3d": PublishedOptions(kind="clip", label="I3D"),
    "vggish": PublishedOptions(kind="audio", label="VGGish"),
}

# Keys of older configurations, and where they are now
MOVED = {
    "decode.appearance": "features.resnet152.reads",
    "decode.motion": "features.resnext101.reads",
    "decode.sample_rate": "features.logmel.reads.sample_rate",
    "features.seed": "seeding.seed",
    "features.calibration_dataset": "seeding.dataset",
    "features.calibration_shards": "seeding.shards",
}


def _check_names(rows: dict[str, FeatureOptions]) -> dict[str, FeatureOptions]:
    """ValueError for names that are no names of folders, or that are one folder where case does not count."""
    seen: dict[str, str] = {}
    for name in rows:
        if not re.fullmatch(r"[A-Za-z0-9_]{1,64}", name):
            raise ValueError(f"feature {name!r}: a name has letters, digits and _ alone")
        if name.lower() in seen:
            raise ValueError(f"features {seen[name.lower()]!r} and {name!r} have one folder")
        seen[name.lower()] = name
    return rows


def with_default_rows(values: Any) -> Any:
    """Rows as a configuration gives them, laid over the default rows; those that are null go away."""
    if not isinstance(values, Mapping):
        return values
    rows: dict[str, Any] = {name: row.model_dump() for name, row in DEFAULT_ROWS.items()}
    for name, given in values.items():
        below = rows.get(name)
        both = isinstance(given, Mapping) and isinstance(below, Mapping)
        rows[name] = _laid_over(rows[name], given) if both else given
    return {name: row for name, row in rows.items() if row is not None}


def _laid_over(below: Mapping[str, Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row over the default row of its name: key by key, also of `reads`, unless the encoder is another."""
    if given.get("encoder", below["encoder"]) != below["encoder"]:
        return given
    reads, under = given.get("reads"), below["reads"]
    if isinstance(reads, dict) and under and reads_of(reads) == reads_of(under):
        return {**below, **given, "reads": {**under, **reads}}
    return {**below, **given}


Features = Annotated[
    dict[str, AnyFeature],
    BeforeValidator(with_default_rows),
    AfterValidator(_check_names),
    Field(default_factory=lambda: dict(DEFAULT_ROWS)),
]


def allow_partial_rows(section: dict[str, Any]) -> None:
    """Let a JSON schema of `features` have the default rows as they are written: in part, or null."""
    classes = {name: (type(row).__name__, "OwnOptions") for name, row in DEFAULT_ROWS.items()}
    section["properties"] = {
        name: {"anyOf": [*({"$ref": f"#/$defs/{one}"} for one in either), {"type": "null"}]}
        for name, either in classes.items()
    }


class FeatureRows(Options):
    """The section `features`, alone."""

    features: Features


def parse_row(name: str, text: str) -> FeatureOptions:
    """The row of a feature from JSON or YAML text, as `mcn.options.base.parse_options`; `UserError`."""
    values = {"features": {name: read_values(text)}}
    return parsed(FeatureRows, values).features[name]


class SeedingOptions(Options):
    """Random weights for runs that cannot download, and what their batch norms are calibrated on."""

    seed: int = Field(0, ge=0, description="every random number of the weights follows from it")
    dataset: Name | None = Field(
        None, description="data set that the batch norms are calibrated on; null: the first"
    )
    shards: int = Field(1, ge=1, description="how many of its first shards are read")


class RuntimeOptions(Options):
    """Where and how exactly the networks run."""

    device: str = field(
        "auto",
        "auto (CUDA where there is one), cpu, cuda or cuda:N",
        role="runtime",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
    )
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16", "native_bf16"] = Field(
        "auto",
        description="auto: bf16 on CUDA, fp32 on a CPU; native_bf16: bf16 where the device computes it in "
        "hardware (CUDA, CPUs with avx512_bf16 or amx_bf16), fp32 elsewhere; bf16 on other CPUs is emulated and many "
        "times slower than fp32; tf32: fp32 whose products keep 10 bits on CUDA, fp32 elsewhere; fp16: CUDA only",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="frames or clips a forward pass; null: 4 on a CPU; 128 frames, 64 clips on CUDA",
    )
    repeatable: bool = Field(
        True,
        strict=True,
        description="equal runs give equal bytes; false: on CUDA cuDNN times its algorithms and torch.compile fuses "
        "layers of networks of frames, which pays in jobs of hours, and the last bits vary; on a CPU nothing changes",
    )
