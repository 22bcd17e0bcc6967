"""What a network can be told: which features it reads, and its sizes. Defaults are the published values."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import field_validator

from mcn.options.base import Options, field, nearest


class ModelFeatures(NamedTuple):
    """Names of the features that a model reads, video in the order of the clip vector; None or empty: no branch."""

    video: tuple[str, ...]
    audio: str | None
    text: str | None

    @property
    def by_modality(self) -> dict[str, tuple[str, ...]]:
        """Modality -> the names of its features."""
        audio, text = ((name,) if name else () for name in (self.audio, self.text))
        return {"video": self.video, "audio": audio, "text": text}

    @property
    def names(self) -> tuple[str, ...]:
        """All names: video, audio, text."""
        return tuple(itertools.chain(*self.by_modality.values()))

    def problems(self, kinds: Mapping[str, str]) -> list[str]:
        """Names of no feature, or of one of another modality, a line each. kinds: that of every feature, by name."""
        wanted = {"video": ("frame", "clip"), "audio": ("audio",), "text": ("text",)}
        problems = []
        for modality, names in self.by_modality.items():
            of_modality = [name for name, kind in kinds.items() if kind in wanted[modality]]
            for name in names:
                if name not in kinds:
                    near = nearest(name, of_modality)
                    problems.append(f"model.{modality}: no feature {name!r}{near}")
                elif name not in of_modality:
                    words = f"{name} is a feature of kind {kinds[name]}; wanted {' or '.join(wanted[modality])}"
                    problems.append(f"model.{modality}: {words}")
        return problems


class ModelOptions(Options):
    """The features that a network reads and its sizes; widths of the inputs come from the shards."""

    video: tuple[str, ...] = field(
        ("resnet152", "resnext101"),
        "frame and clip features of the video vector, in this order; []: no video",
        "",
        "MCN youtube_dataloader.py:172-191",
    )
    audio: str | None = field(
        "logmel",
        "audio feature: log-mels go through a ResDAVEnet that is trained, any other one is averaged over the clip "
        "(davenet: the frozen audio network of the paper's text); null: no audio",
        "",
        "logmel: MCN train_tri_kmeans.py:207",
    )
    text: str | None = field(
        "word2vec", "text feature; null: no text", "", "MCN youtube_dataloader.py"
    )

    embedding_width: int = field(
        6144, "width of the common space", "numbers", "MCN README --embd_dim", ge=1
    )
    davenet_widths: tuple[int, ...] = field(
        (128, 256, 512, 1024),
        "channels of the four stages of the ResDAVEnet, each half as long as the one before; or of six, of which two "
        "have two blocks and four have one",
        "channels",
        "AVLnet; six, to 4096: Everything at Once davenet.py",
    )
    audio_weights: str | None = field(
        None,
        "checkpoint that the trainable audio network starts from (DAVEnet, AVLnet or MCN); null: drawn from the seed",
        "",
        "null: MCN model_davenet.py:103",
    )
    residual_on: str | None = field(
        None,
        "an experiment of kind frozen: the network is its pair with residual maps that start at zero, so that training "
        "starts from the pair's scores; video, audio and text are then those of the pair, and the width is its own",
        "",
        "CLIP-Adapter's residual adapters; zero at the start: ours",
    )
    residual_width: int = field(512, "hidden width of each residual map", "numbers", "ours", ge=1)
    reconstruction_width: int = field(
        1024, "hidden width of the reconstruction heads", "numbers", "MCN README --recon_size", ge=1
    )
    normalize: Literal[False, True, "at_test"] = field(
        False,
        "L2-normalise the embeddings; at_test: not while training, as MIL-NCE* of MCN's tables",
        "",
        "MCN: false; Miech et al.: true; at_test: MCN model.py:72",
    )
    mask_padding_words: bool = field(
        False, "leave padded words out of the maximum over words", "", "MCN: false", strict=True
    )
    mask_padding_audio: bool = field(
        False,
        "leave padded audio frames (0 dB, the loudest level) out of the mean over time while training",
        "",
        "MCN: false; evaluation always leaves them out",
        strict=True,
    )

    @property
    def features(self) -> ModelFeatures:
        """All features that are named."""
        return ModelFeatures(self.video, self.audio, self.text)

    @field_validator("davenet_widths")
    @classmethod
    def _four_or_six(cls, widths: tuple[int, ...]) -> tuple[int, ...]:
        if len(widths) not in (4, 6) or min(widths) < 1:
            raise ValueError("four or six stages of at least one channel")
        return widths

    @field_validator("video")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("a feature is named twice")
        return names
