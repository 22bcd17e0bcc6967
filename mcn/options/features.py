"""Options of the feature extractors; every default is the published value where one is published.

Sources: VFE = antoine77340/video_feature_extractor, AVLnet = roudimit/AVLnet, MCN =
brian7685/Multimodal-Clustering-Network.

Conventions
-----------
- `weights` of a network: `seeded` (random weights from the configured seed, for runs that cannot download), a timm
  model name `timm:resnet152.tv_in1k`, or the path of a `.safetensors`, `.pth`, `.pt` or `.tar` file.
- `weights_sha256`: what the weights must hash to; of a file its bytes, of a timm model its tensors
  (`mcn.features.weights.rows_sha256`). The hash of the weights used is in every shard's recipe.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from mcn.options.base import Options, field

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Triple = tuple[float, float, float]


class WeightsOptions(Options):
    """Where a network's weights come from."""

    weights: str = Field(
        "seeded",
        min_length=1,
        description="`seeded`, a timm model `timm:resnet152.tv_in1k` (for resnet152 any other too), or the path "
        "of a .safetensors or .pth file",
    )
    weights_sha256: Sha256 | None = Field(
        None, description="stop unless the weights have this sha256; null: any"
    )


class AppearanceOptions(WeightsOptions):
    """ResNet-152, one vector a frame (VFE model.py, preprocessing.py)."""

    mean: Triple = Field(
        (0.485, 0.456, 0.406), description="subtracted from RGB in 0-1 (ImageNet, VFE)"
    )
    std: Annotated[Triple, Field(description="divides RGB in 0-1 after `mean` (ImageNet, VFE)")] = (
        0.229,
        0.224,
        0.225,
    )
    normalize: bool = Field(
        True, description="L2-normalise each frame's vector (VFE l2_normalize=1)"
    )


class MotionOptions(WeightsOptions):
    """3D ResNeXt-101, one vector a chunk of frames (VFE model.py, preprocessing.py), or another video network."""

    network: Literal["resnext101", "r3d_18", "mc3_18", "r2plus1d_18", "s3d"] = Field(
        "resnext101",
        description="resnext101: the published one; the others are torchvision's, with weights "
        "`torchvision:KINETICS400_V1` or a file; S3D wants decode.motion short_side 256, crop 224",
    )

    frames_per_chunk: int = Field(
        16, ge=1, le=256, description="frames a chunk, chunks do not overlap (VFE sample_duration)"
    )
    mean: Triple = Field(
        (110.6, 103.2, 96.3),
        description="subtracted from RGB in 0-255 (Kinetics, VFE); torchvision's networks have their own",
    )
    normalize: bool = Field(
        True, description="L2-normalise each chunk's vector (VFE l2_normalize=1)"
    )

    @model_validator(mode="after")
    def _has_weights(self) -> MotionOptions:
        if self.network != "resnext101" and self.weights == "seeded":
            raise ValueError(
                f"{self.network} has no seeded weights; give torchvision:KINETICS400_V1"
            )
        return self


class LogMelOptions(Options):
    """Log-mel spectrogram, 25 ms windows every 10 ms, 40 bands (AVLnet audio_to_spectrograms.py)."""

    padding: Literal["constant", "reflect"] = Field(
        "constant",
        description="what lies beyond both ends for centred windows: zeros (librosa >= 0.10) or the signal mirrored "
        "(older librosa, as when AVLnet was released); the first and last 2 rows differ",
    )


class DavenetOptions(WeightsOptions):
    """ResDAVEnet, one vector every 0.16 s; read by experiments whose audio network is frozen (MCN model_davenet.py)."""

    chunk_rows: int = Field(
        8192,
        ge=1024,
        description="log-mel rows (0.01 s) a forward pass; bounds the memory, changes no row that a pass yields",
    )


class TextOptions(Options):
    """Word vectors (MCN youtube_dataloader.py: case-sensitive GoogleNews word2vec)."""

    vectors: str = Field(
        min_length=1,
        description="word2vec .bin, word2vec or GloVe text (.txt, .vec, also .gz), or gensim's own file; any width",
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


class RuntimeOptions(Options):
    """Where and how exactly the networks run."""

    device: str = field(
        "auto",
        "auto (CUDA where there is one), cpu, cuda or cuda:N",
        role="runtime",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16", "native_bf16"] = Field(
        "auto",
        description="auto: bf16 on CUDA, fp32 on a CPU; native_bf16: bf16 where the device computes it in "
        "hardware (CUDA, CPUs with avx512_bf16 or amx_bf16), fp32 elsewhere; bf16 on other CPUs is emulated and many "
        "times slower than fp32; fp16: CUDA only",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="frames or clips a forward pass; null: 4 on a CPU; 128 frames, 64 clips on CUDA",
    )
