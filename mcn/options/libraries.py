"""Rows of models that libraries keep: timm, open_clip, transformers and torchvision, with their own transforms.

Conventions
-----------
- `model` is a name that the library knows, a model of the Hugging Face hub (`OWNER/NAME`, pinned by `revision`), or a
  folder in the library's own format. All three are opened by the same code; the commit of a hub's model and a sha256
  over all tensors of the network stand in every shard.
- Size, crop, interpolation, normalisation, clip length, sample rate and window are those of the model's own processor
  or configuration. `reads` left out follows from them (`mcn.features.registry.derive_reads`): frames whose short side
  is the one that the processor resizes to, not cropped, so that models of one size share a stream; or sound at its
  rate.
- What is in a vector is said by `pooling` and `layer`. `auto` takes the vector of the joint space where the model has
  one, otherwise the model's own pooled output, otherwise the mean of its tokens; the shard says what that came to.
- Token means leave out the class and register tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ValidationError, model_validator

from mcn.options.base import Options, field, nearest
from mcn.options.decode import FrameOptions, SoundOptions
from mcn.options.row import FeatureOptions, Sha256, TextsOptions

# Files of weights in the formats of the libraries, the preferred one first
WEIGHT_FILES = (
    "model.safetensors",
    "open_clip_model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "open_clip_pytorch_model.bin",
)
Pooling = Literal["auto", "projected", "pooler", "cls", "mean"]
POOLING = (
    "auto; projected: the vector of the joint space; pooler: the model's own pooled output (a map head, a class token "
    "behind its norm); cls: the class token; mean: the mean of the other tokens"
)
LAYER = "hidden states of a layer instead of the last (0: embeddings, -2: last but one), for pooling cls or mean"


class LibraryOptions(FeatureOptions):
    """What the models of all libraries share. packages: what pip installs for them."""

    packages: ClassVar[tuple[str, ...]] = ("transformers",)

    model: str = field(
        ...,
        "the library's name of it, OWNER/NAME of the hub, or a folder in the library's format",
        min_length=1,
    )
    revision: str | None = field(
        None, "commit, tag or branch of the hub's model; null: what the hub has now", min_length=1
    )
    weights_sha256: Sha256 | None = field(
        None, "stop unless the network's tensors have this sha256, which is in every shard"
    )
    precision: Literal["runtime", "fp32", "bf16", "fp16"] = field(
        "runtime", "runtime: that of the section `runtime`; otherwise of this feature alone"
    )
    normalize: bool = field(False, "L2-normalise each vector")

    @property
    def is_folder(self) -> bool:
        """Whether the model is a folder of one's own."""
        return Path(self.model).expanduser().is_dir()

    @property
    def file(self) -> str | None:
        if not self.is_folder:
            return None
        folder = Path(self.model).expanduser()
        return next((str(folder / one) for one in WEIGHT_FILES if (folder / one).exists()), None)


class LibraryPictureOptions(LibraryOptions):
    """What picture models of libraries share."""

    wanted_reads = FrameOptions

    kind: Literal["frame"] = "frame"
    reads: FrameOptions | None = field(None, "frames; null: as the model's processor says")
    frames_per_second: float = field(1, "frames a second, where reads is null", gt=0, le=240)


class TimmPictureOptions(LibraryPictureOptions):
    """Any picture model of timm with the transforms of its pretrained_cfg, one vector a frame."""

    packages = ("timm",)

    encoder: Literal["timm_picture"] = "timm_picture"
    pooling: Literal["auto", "cls", "mean"] = field(
        "auto",
        "auto: the model's own pooling before its classifier; cls, mean: of its last tokens or map",
    )
    layer: int | None = field(None, "a block's output instead of the last, for pooling cls or mean")

    @model_validator(mode="after")
    def _layers_have_tokens(self) -> TimmPictureOptions:
        if self.layer is not None and self.pooling == "auto":
            raise ValueError("layer is for pooling cls or mean; set pooling")
        return self


class OpenClipOptions(Options):
    """What both towers of a pair of open_clip share."""

    packages: ClassVar[tuple[str, ...]] = ("open_clip_torch",)

    pretrained: str | None = field(
        None, "open_clip's tag of the weights of a named model, as laion2b_s34b_b79k"
    )
    normalize: bool = field(True, "L2-normalise each vector, as the pair was trained")


class OpenClipPictureOptions(OpenClipOptions, LibraryPictureOptions):
    """The picture tower of a pair of open_clip, one vector of the joint space a frame."""

    encoder: Literal["open_clip_picture"] = "open_clip_picture"


class TransformersPictureOptions(LibraryPictureOptions):
    """A picture model of transformers (CLIP, SigLIP, SigLIP 2, DINOv2, DINOv3, ViT, ...), one vector a frame."""

    encoder: Literal["transformers_picture"] = "transformers_picture"
    pooling: Pooling = field("auto", POOLING)
    layer: int | None = field(None, LAYER)


class TorchvisionOptions(Options):
    """What networks of torchvision share; `model` is torchvision's name of the network."""

    packages: ClassVar[tuple[str, ...]] = ("torchvision",)

    weights: str = field(
        "DEFAULT",
        "torchvision's name of the weights, or the path of a state dict (.pth, .safetensors)",
    )
    preset: str = field(
        "DEFAULT", "the weights whose transforms are taken, where `weights` is a path"
    )

    @property
    def is_folder(self) -> bool:
        """Never: a network is a name, whatever lies in the working directory."""
        return False

    @property
    def file(self) -> str | None:
        return self.weights if Path(self.weights).suffix else None


class TorchvisionPictureOptions(TorchvisionOptions, LibraryPictureOptions):
    """A picture network of torchvision with the preset of its weights, without classifier, one vector a frame."""

    encoder: Literal["torchvision_picture"] = "torchvision_picture"


class LibraryVideoOptions(LibraryOptions):
    """What video models of libraries share."""

    wanted_reads = FrameOptions

    kind: Literal["clip"] = "clip"
    reads: FrameOptions | None = field(None, "frames; null: as the model's processor says")
    frames_per_second: float | None = field(
        None,
        "frames a second, where reads is null; null: as the model says, if it says",
        gt=0,
        le=240,
    )
    frames_per_clip: int | None = field(
        None, "frames a vector, clips do not overlap; null: as the model says", ge=1, le=1024
    )


class TransformersVideoOptions(LibraryVideoOptions):
    """A video model of transformers (VideoMAE, X-CLIP, V-JEPA 2, ViViT, TimeSformer, ...), one vector a clip."""

    encoder: Literal["transformers_video"] = "transformers_video"
    pooling: Pooling = field("auto", POOLING)
    layer: int | None = field(None, LAYER)


class TorchvisionVideoOptions(TorchvisionOptions, LibraryVideoOptions):
    """A video network of torchvision (r2plus1d, s3d, mvit, swin3d) with its preset, without classifier."""

    encoder: Literal["torchvision_video"] = "torchvision_video"


class TransformersAudioOptions(LibraryOptions):
    """A model of sound of transformers (CLAP, AST, Whisper's encoder, wav2vec 2.0, HuBERT, ...)."""

    wanted_reads = SoundOptions

    kind: Literal["audio"] = "audio"
    encoder: Literal["transformers_audio"] = "transformers_audio"
    reads: SoundOptions | None = field(None, "sound; null: at the rate of the model's processor")
    pooling: Pooling = field("auto", POOLING)
    layer: int | None = field(None, LAYER)
    window_seconds: float | None = field(
        None,
        "sound that the model hears at once; null: the window of its processor, if it has one",
        "s",
        gt=0,
        le=600,
    )
    step_seconds: float | None = field(
        None,
        "time between vectors, at most a window; null: a window. Means of models whose tokens follow time are taken "
        "inside the window, over a step each; of other models the windows overlap",
        "s",
        gt=0,
        le=600,
    )

    @model_validator(mode="after")
    def _steps_fit_windows(self) -> TransformersAudioOptions:
        window, step = self.window_seconds, self.step_seconds
        if window is not None and step is not None and step > window:
            raise ValueError(
                f"step_seconds {step} is longer than window_seconds {window}: sound between them would be left out"
            )
        return self


class TowerOptions(TextsOptions, LibraryOptions):
    """What text towers of dual encoders share: a vector of the joint space for a whole text."""

    unit: ClassVar[Literal["word", "text"]] = "text"

    prompt: str = field(
        "", "words before every text, as `a photo of `, or around it, as `a video of {}.`"
    )
    normalize: bool = field(True, "L2-normalise each vector, as the pair was trained")


class OpenClipTextOptions(OpenClipOptions, TowerOptions):
    """The text tower of a pair of open_clip."""

    encoder: Literal["open_clip_text"] = "open_clip_text"


class TransformersTextOptions(TowerOptions):
    """The text tower of a dual encoder of transformers (CLIP, SigLIP, SigLIP 2, X-CLIP, CLAP, ...)."""

    encoder: Literal["transformers_text"] = "transformers_text"


TOWERS: dict[str, type[TowerOptions]] = {
    "open_clip_text": OpenClipTextOptions,
    "transformers_text": TransformersTextOptions,
}


class JoinedTextOptions(TextsOptions):
    """The text towers of several dual encoders side by side: a pair with all their picture towers takes the mean of
    their cosines."""

    unit: ClassVar[Literal["word", "text"]] = "text"

    encoder: Literal["joined_text"] = "joined_text"
    of: list[dict[str, Any]] = field(
        ..., "rows of text towers, written out, in the order of the pictures", min_length=2
    )

    @property
    def towers(self) -> list[TowerOptions]:
        """The rows of `of`."""
        return [TOWERS[str(one["encoder"])].model_validate(one) for one in self.of]

    @model_validator(mode="after")
    def _of_towers(self) -> JoinedTextOptions:
        for number, one in enumerate(self.of):
            if one.get("encoder") not in TOWERS:
                near = nearest(str(one.get("encoder")), TOWERS)
                raise ValueError(f"of.{number}.encoder: got {one.get('encoder')!r}{near}")
            try:
                TOWERS[one["encoder"]].model_validate(one)
            except ValidationError as error:
                first = error.errors()[0]
                key = ".".join(map(str, first["loc"]))
                raise ValueError(f"of.{number}.{key}: {first['msg']}") from None
        return self
