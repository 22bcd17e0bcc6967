"""The encoders that a row of `features` can name: what each reads, and its own options.

Sources: VFE = antoine77340/video_feature_extractor, AVLnet = roudimit/AVLnet, MCN =
brian7685/Multimodal-Clustering-Network. Every default is the published value where one is published.

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

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from mcn.options.base import Options, field
from mcn.options.decode import FrameOptions, SoundOptions

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+$", max_length=64)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Triple = tuple[float, float, float]
Kind = Literal["frame", "clip", "audio", "text"]

SEEDED_PICTURES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
EMBEDDED_PREFIX = "embedded:"  # weights that an installed package carries (mcn.features.embedded)
NAMED = (
    "timm:",
    "torchvision:",
    EMBEDDED_PREFIX,
)  # weights that a library fetches or holds, by name

FRAMES_1FPS = FrameOptions(frames_per_second=1, short_side=224)
FRAMES_24FPS = FrameOptions(frames_per_second=24, short_side=112, crop=112)
AUDIO_16KHZ = SoundOptions(sample_rate=16000)


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


class TimmOptions(FramesOptions):
    """A picture network of timm, one vector a frame; ResNet-152 as published (VFE model.py, preprocessing.py)."""

    kind: Literal["frame"] = "frame"
    encoder: Literal["timm"] = "timm"
    network: str = Field(
        "resnet152",
        description="timm's name of the network, where `weights` is a file or `seeded`; seeded weights are there for "
        f"{', '.join(SEEDED_PICTURES)}",
    )
    mean: Triple = Field(
        (0.485, 0.456, 0.406), description="subtracted from RGB in 0-1 (ImageNet, VFE)"
    )
    std: Triple = Field(
        (0.229, 0.224, 0.225), description="divides RGB in 0-1 after `mean` (ImageNet, VFE)"
    )

    @model_validator(mode="after")
    def _has_weights(self) -> TimmOptions:
        if self.is_seeded and self.network not in SEEDED_PICTURES:
            raise ValueError(
                f"{self.network} has no seeded weights; give timm:{self.network} or a file, or one of "
                f"{', '.join(SEEDED_PICTURES)}"
            )
        return self


class VideoNetworkOptions(FramesOptions):
    """3D ResNeXt-101, one vector a chunk of frames (VFE model.py, preprocessing.py), or a network of torchvision."""

    kind: Literal["clip"] = "clip"
    encoder: Literal["video_network"] = "video_network"
    reads: FrameOptions = Field(FRAMES_24FPS, description="frames that the network sees")
    network: Literal["resnext101", "r3d_18", "mc3_18", "r2plus1d_18", "s3d"] = Field(
        "resnext101",
        description="resnext101: the published one; the others are torchvision's, with weights "
        "`torchvision:KINETICS400_V1` or a file; S3D wants reads with short_side 256, crop 224",
    )
    frames_per_chunk: int = Field(
        16, ge=1, le=256, description="frames a chunk, chunks do not overlap (VFE sample_duration)"
    )
    mean: Triple = Field(
        (110.6, 103.2, 96.3),
        description="subtracted from RGB in 0-255 (Kinetics, VFE); torchvision's networks have their own",
    )

    @model_validator(mode="after")
    def _has_weights(self) -> VideoNetworkOptions:
        if self.network != "resnext101" and self.is_seeded:
            raise ValueError(
                f"{self.network} has no seeded weights; give torchvision:KINETICS400_V1"
            )
        return self


class LogMelOptions(FeatureOptions):
    """Log-mel spectrogram, 25 ms windows every 10 ms, 40 bands (AVLnet audio_to_spectrograms.py)."""

    wanted_reads = SoundOptions

    kind: Literal["audio"] = "audio"
    encoder: Literal["logmel"] = "logmel"
    reads: SoundOptions = Field(AUDIO_16KHZ, description="sound that the spectrogram is made of")
    padding: Literal["constant", "reflect"] = Field(
        "constant",
        description="what lies beyond both ends for centred windows: zeros (librosa >= 0.10) or the signal mirrored "
        "(older librosa, as when AVLnet was released); the first and last 2 rows differ",
    )
    reference: Literal["video", "clip"] = Field(
        "video",
        description="what is 0 dB: the loudest value of the whole video, as HowTo100M's spectrograms have it, or of "
        "each clip, as where clips are cut before extraction (AVLnet README); the shards hold absolute levels then",
    )


class DavenetOptions(WeightsOptions):
    """ResDAVEnet, one vector every 0.16 s of log-mel; its weights stay as they are (MCN model_davenet.py)."""

    wanted_reads = FeatureReads

    kind: Literal["audio"] = "audio"
    encoder: Literal["davenet"] = "davenet"
    reads: FeatureReads = Field(
        FeatureReads(feature="logmel"), description="log-mel feature that the network hears"
    )
    chunk_rows: int = Field(
        8192,
        ge=1024,
        description="log-mel rows (0.01 s) a forward pass; bounds the memory, changes no row that a pass yields",
    )


class TextsOptions(FeatureOptions):
    """What features of texts share. unit: what of a text has a vector of its own."""

    unit: ClassVar[Literal["word", "text"]] = "word"

    kind: Literal["text"] = "text"
    reads: None = Field(None, description="nothing: texts are read from the narration")


class TextOptions(TextsOptions):
    """Word vectors (MCN youtube_dataloader.py: case-sensitive GoogleNews word2vec)."""

    encoder: Literal["word2vec"] = "word2vec"
    vectors: str | None = Field(
        None,
        min_length=1,
        description="word2vec .bin, word2vec or GloVe text (.txt, .vec, also .gz), or gensim's own file; any width; "
        "null: none, for runs of which no experiment reads this feature",
    )
    vectors_sha256: Sha256 | None = Field(
        None, description="stop unless the vectors' file has this sha256; null: any"
    )
    case: Literal["as_is", "lower"] = Field(
        "as_is", description="look words up as written (MCN, GoogleNews) or in lower case (GloVe)"
    )
    cache: str = field(
        "results/vectors",
        "folder of vectors converted once for memory-mapped reading",
        role="runtime",
    )

    @property
    def lacks(self) -> str:
        return "" if self.vectors else "vectors"


class SentenceOptions(TextsOptions):
    """A sentence encoder: one vector of a whole line, caption or step text, through sentence-transformers."""

    unit: ClassVar[Literal["word", "text"]] = "text"

    encoder: Literal["sentence"] = "sentence"
    weights: str = Field(
        "embedded:minilm",
        min_length=1,
        description="`embedded:minilm` (English, 384 numbers), OWNER/NAME of the hub, or a folder in the layout of "
        "sentence-transformers with a model.safetensors",
    )
    revision: str | None = Field(
        None, min_length=1, description="commit, tag or branch of the hub's model; null: its main"
    )
    weights_sha256: Sha256 | None = Field(
        None, description="stop unless model.safetensors has this sha256; null: any"
    )
    prompt: str = Field(
        "", description="words that stand before every text, as the model was trained with"
    )
    normalize: bool = Field(True, description="L2-normalise each vector")

    @property
    def file(self) -> str | None:
        folder = None if is_hub_name(self.weights) else super().file
        return f"{folder}/model.safetensors" if folder else None


OwnPart = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]


class OwnTextOptions(TextsOptions):
    """An encoder of texts of one's own: a class of a Python file (contract: mcn.features.registry)."""

    unit: ClassVar[Literal["word", "text"]] = "text"

    encoder: OwnPart = Field(
        description="module:Class; the module is looked for beside the configuration first"
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="options of the encoder, handed to its constructor"
    )


class OwnOptions(FeatureOptions):
    """An encoder of one's own: a class of a Python file beside the configuration (contract: mcn.features.registry)."""

    kind: Literal["frame", "clip", "audio"] = Field(
        description="what one vector stands for: a frame, a clip, or sound"
    )
    encoder: OwnPart = Field(
        description="module:Class; the module is looked for beside the configuration first"
    )
    reads: AnyReads = Field(description="frames, sound or another feature")
    options: dict[str, Any] = Field(
        default_factory=dict, description="options of the encoder, handed to its constructor"
    )

    @model_validator(mode="after")
    def _reads_fit_the_kind(self) -> OwnOptions:
        wanted: dict[str, tuple[type[Options], ...]] = {
            "frame": (FrameOptions,),
            "clip": (FrameOptions,),
            "audio": (SoundOptions, FeatureReads),
        }
        if type(self.reads) not in wanted[self.kind]:
            words = [READS_IN_WORDS[one] for one in wanted[self.kind]]
            raise ValueError(f"a feature of kind {self.kind} reads {' or '.join(words)}")
        return self
