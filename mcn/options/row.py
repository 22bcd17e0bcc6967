"""What the rows of `features` share, whatever their encoder.

Conventions
-----------
- `reads` is a stream of frames, a stream of sound, another feature, or nothing for texts.
- `weights` of a network: `seeded` (random weights from the configured seed, for runs that cannot download), a timm
  model name `timm:resnet152.tv_in1k`, weights that a package carries `embedded:efficientnet_lite2`
  (`mcn.features.embedded`), or the path of a `.safetensors`, `.pth`, `.pt` or `.tar` file.
- Paths are relative to the working directory. A file of the package, such as the demo's word vectors
  `mcn/demo/assets/glove_demo.bin`, is found from any folder.
- `weights_sha256`: what the weights must hash to; of a file its bytes, of a timm model its tensors
  (`mcn.networks.rows.rows_sha256`). The hash of the weights used is in every shard's recipe.
- A feature of texts has vectors of words, or one vector of a text as a whole: `unit`.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag, field_validator, model_validator

from mcn.options.base import LanguageCode, Options, field
from mcn.options.decode import FrameOptions, SoundOptions

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+$", max_length=64)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Kind = Literal["frame", "clip", "audio", "text"]

EMBEDDED_PREFIX = "embedded:"  # weights that an installed package carries (mcn.features.embedded)
# weights that a library fetches or holds, by name
NAMED = ("timm:", "torchvision:", EMBEDDED_PREFIX)

# names of vectors and models of texts that were trained on English alone
ENGLISH = (
    *("GoogleNews-*", "glove*", "minilm", "all-*-v1", "all-*-v2", "multi-qa-*", "msmarco-*"),
    *("*-en", "*-en-v1.5", "clip-vit-*", "static-retrieval-mrl-en-v1"),
)

FRAMES_1FPS = FrameOptions(frames_per_second=1, short_side=224)


def path_of(path: str) -> str:
    """Where a file of weights or vectors lies: as written, or in this package where it is a file of the package."""
    own = Path(__file__).parents[2] / path
    is_own = path.startswith("mcn/") and not Path(path).exists() and own.exists()
    return str(own) if is_own else path


def is_hub_name(model: str) -> bool:
    """Whether a name has the form OWNER/NAME of the hub, and is no file or folder here."""
    written = model.count("/") == 1 and not model.startswith((".", "/", "~"))
    return written and all(model.split("/")) and not Path(model).exists()


class FeatureReads(Options):
    """Another feature, whose shards an encoder reads instead of decoded video."""

    feature: Name = Field(description="name of the feature that is read")

    @property
    def folder(self) -> str:
        """Folder of the feature's shards below that of a data set."""
        return f"features/{self.feature}"


def reads_of(values: Any) -> str:
    """Which class of `reads` a section of the configuration, or its parsed form, belongs to."""
    if isinstance(values, dict):
        return next(
            (name for name in READS if set(values) & set(READS[name].model_fields)), "FrameOptions"
        )
    return type(values).__name__


READS: dict[str, type[FrameOptions] | type[SoundOptions] | type[FeatureReads]] = {
    "FrameOptions": FrameOptions,
    "SoundOptions": SoundOptions,
    "FeatureReads": FeatureReads,
}
READS_IN_WORDS: dict[type[Options] | None, str] = {
    FrameOptions: "frames {frames_per_second, short_side, crop}",
    SoundOptions: "sound {sample_rate}",
    FeatureReads: "another feature {feature}",
}
AnyReads = Annotated[
    Annotated[FrameOptions, Tag("FrameOptions")]
    | Annotated[SoundOptions, Tag("SoundOptions")]
    | Annotated[FeatureReads, Tag("FeatureReads")],
    Discriminator(reads_of),
]


class FeatureOptions(Options):
    """What the rows of all encoders share.

    wanted_reads: what encoders of this class read, to be named where a row gives something else.
    """

    wanted_reads: ClassVar[type[Options] | None] = None

    kind: Kind
    encoder: str
    reads: FrameOptions | SoundOptions | FeatureReads | None = None
    decode_pass: Name | None = field(
        None,
        "of features that read frames: streams of one pass are decoded together, once for each video; null: a pass "
        "of its own, so that a feature that is added later leaves alone what others decoded",
        role="runtime",
    )
    label: str | None = field(None, "name in tables; null: the feature's name", role="label")

    @property
    def stream(self) -> FrameOptions | SoundOptions | None:
        """The decoded stream that the encoder reads; None where it reads another feature or texts."""
        return None if isinstance(self.reads, FeatureReads) else self.reads

    @property
    def is_seeded(self) -> bool:
        """Whether the weights are drawn from a seed instead of trained."""
        return getattr(self, "weights", None) == "seeded"

    @property
    def file(self) -> str | None:
        """The file that holds what was trained (weights, word vectors); None where there is none to read."""
        path = getattr(self, "vectors", None) or getattr(self, "weights", None)
        if path is None or self.is_seeded or path.startswith(NAMED):
            return None
        return path_of(path)

    @property
    def is_embedded(self) -> bool:
        """Whether the weights are those of an optional package (`mcn.features.embedded`)."""
        return getattr(self, "weights", "").startswith(EMBEDDED_PREFIX)

    @property
    def lacks(self) -> str:
        """The key without which the feature cannot be made; empty where nothing lacks."""
        return ""

    @field_validator("reads", mode="before")
    @classmethod
    def _reads_what_the_encoder_reads(cls, values: Any) -> Any:
        wanted = READS_IN_WORDS.get(cls.wanted_reads)
        if wanted and isinstance(values, dict) and READS[reads_of(values)] is not cls.wanted_reads:
            raise ValueError(f"this encoder reads {wanted}")
        return values

    @model_validator(mode="after")
    def _shares_frames_alone(self) -> FeatureOptions:
        if self.decode_pass and not isinstance(self.reads, FrameOptions):
            raise ValueError("decode_pass is for features that read frames")
        return self


class WeightsOptions(FeatureOptions):
    """Where a network's weights come from."""

    weights: str = Field(
        "seeded",
        min_length=1,
        description="`seeded`, a timm model `timm:resnet152.tv_in1k` (of picture networks any of timm's), "
        "`embedded:efficientnet_lite2`, or the path of a .safetensors or .pth file",
    )
    weights_sha256: Sha256 | None = Field(
        None, description="stop unless the weights have this sha256; null: any"
    )


class FramesOptions(WeightsOptions):
    """What networks that see frames share."""

    wanted_reads = FrameOptions

    reads: FrameOptions = Field(FRAMES_1FPS, description="frames that the network sees")
    normalize: bool = Field(True, description="L2-normalise each vector (VFE l2_normalize=1)")


class TextsOptions(FeatureOptions):
    """What features of texts share. unit: what of a text has a vector of its own."""

    unit: ClassVar[Literal["word", "text"]] = "word"

    kind: Literal["text"] = "text"
    reads: None = Field(None, description="nothing: texts are read from the narration")
    languages: tuple[LanguageCode, ...] = field(
        (),
        "languages that the vectors or the encoder know, such as [en, de]; texts in another one are warned of. []: "
        "English of GoogleNews and GloVe vectors, MiniLM and others that are English by their name; else not known",
        role="runtime",
    )

    @property
    def knows(self) -> tuple[str, ...]:
        """The languages that the row knows; () where that is not known."""
        made_of = (getattr(self, key, None) for key in ("vectors", "weights", "model"))
        names = [Path(one.removeprefix(EMBEDDED_PREFIX)).name for one in made_of if one]
        english = any(fnmatch(name, pattern) for name in names for pattern in ENGLISH)
        return self.languages or (("en",) if english else ())

    def not_known(self, languages: Iterable[str]) -> list[str]:
        """Those of some languages that the row does not know, where it is known what it knows."""
        return sorted(set(languages) - {"", *self.knows}) if self.knows else []

    def prompted(self, text: str) -> str:
        """A text with the `prompt` of the row before it, or in the place of its `{}`."""
        prompt = str(getattr(self, "prompt", ""))
        return prompt.replace("{}", text) if "{}" in prompt else prompt + text
