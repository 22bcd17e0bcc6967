"""The encoders that a row of `features` can name, and the options of each.

Sources: VFE = antoine77340/video_feature_extractor, AVLnet = roudimit/AVLnet, MCN =
brian7685/Multimodal-Clustering-Network. Every default is the published value where one is published.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from mcn.options.base import Options, field
from mcn.options.decode import FrameOptions, SoundOptions
from mcn.options.row import (
    READS_IN_WORDS,
    AnyReads,
    FeatureOptions,
    FeatureReads,
    FramesOptions,
    Name,
    Sha256,
    TextsOptions,
    WeightsOptions,
    is_hub_name,
)

Triple = tuple[float, float, float]
SEEDED_PICTURES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
FRAMES_24FPS = FrameOptions(frames_per_second=24, short_side=112, crop=112)
AUDIO_16KHZ = SoundOptions(sample_rate=16000)


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


class TrainVectorsOptions(Options):
    """Word vectors that gensim trains on narration (mcn.features.train_vectors)."""

    dataset: Name = Field(description="data set whose narration the vectors are trained on")
    algorithm: Literal["skip_gram", "cbow"] = Field(
        "skip_gram",
        description="predict the words around a word, or a word from those around it (word2vec)",
    )
    width: int = field(100, "numbers of a vector", "numbers", "gensim", ge=2, le=4096)
    window: int = field(5, "words to each side that count", "words", "gensim", ge=1)
    min_count: int = field(2, "words said less often have no vector", "times", "5: gensim", ge=1)
    negative: int = field(5, "wrong words for each right one", "words", "gensim", ge=1)
    epochs: int = field(
        50,
        "passes over the narration; 5 are enough for millions of words",
        "epochs",
        "5: gensim",
        ge=1,
    )
    seed: int = field(1, "of the random numbers", "", "gensim", ge=0)


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
    train: TrainVectorsOptions | None = Field(
        None,
        description="train the vectors on narration, and write them to `vectors`, a path such as "
        "results/weights/words.bin; null: `vectors` is there already",
    )
    cache: str = field(
        "results/vectors",
        "folder of vectors converted once for memory-mapped reading",
        role="runtime",
    )

    @model_validator(mode="after")
    def _trains_into_a_file_of_the_run(self) -> TextOptions:
        path = Path(self.vectors or "")
        if self.train and (path.parts[:2] != ("results", "weights") or path.suffix != ".bin"):
            raise ValueError(
                f"vectors: {self.vectors}; with `train`, a path results/weights/NAME.bin"
            )
        return self

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
        "",
        description="words before every text, as the model was trained with, or around it: `a video of {}.`",
    )
    normalize: bool = Field(True, description="L2-normalise each vector")

    @property
    def file(self) -> str | None:
        folder = None if is_hub_name(self.weights) else super().file
        return f"{folder}/model.safetensors" if folder else None


class PublishedOptions(FeatureOptions):
    """A feature that is only read from published files (`datasets.NAME.published_features`), never computed here."""

    kind: Literal["frame", "clip", "audio"] = Field(
        description="what one vector stands for: a frame, a clip, or sound"
    )
    encoder: Literal["published"] = "published"
    reads: None = Field(None, description="nothing: nobody computes it here")


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
