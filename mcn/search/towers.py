"""The towers of a model as ONNX files, which run without PyTorch: `mcn export onnx`.

Conventions
-----------
- A file for each way into the space, and `towers.json`, which names the inputs of each with their shapes:
  `video.onnx` of clips that are pooled, `video_{feature}.onnx` of the single rows of a feature where the clip is the
  mean of its rows' vectors, `audio.onnx` or `audio_{feature}.onnx`, and `text.onnx` of padded vectors of words.
- Encoders whose networks allow it, with `encoders`: `encoder_{feature}.onnx` of a picture network of timm, from
  normalised pixels to the feature's rows, and of a sentence encoder that is a transformer, from tokens with their mask
  (1 where a token is, 0 where the row is filled up) to vectors; `tokenizer_{feature}.json` makes its tokens.
- The first dimension of every input is the batch, of any size; the words of a text and the frames of a sound are of any
  number as well. Outputs equal those of PyTorch to 1e-4. Numbers are float32.
- A sound branch with a DAVEnet of its own takes log-mels, padded with 0 dB to a multiple of the frames that a column of
  the DAVEnet stands for, and the number of valid frames of each.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mcn.errors import UserError
from mcn.evaluation.model import features_of
from mcn.files import atomic_path, write_json, write_text
from mcn.networks.checkpoints import load_model
from mcn.networks.embedding import EmbeddingNetwork
from mcn.networks.mcn import MultimodalClusteringNetwork
from mcn.options.base import parsed
from mcn.options.encoders import SentenceOptions, TimmOptions
from mcn.options.features import FeatureRows

log = logging.getLogger(__name__)

PACKAGES = ("onnx", "onnxscript")
MEL_BANDS = 40
BATCH, WORDS, FRAMES = 3, 5, 64  # of the example that a network is traced with


@dataclass(frozen=True)
class Tower:
    """One way into the space. inputs: name -> (example, names of the dimensions that may be of any size).

    about: more that towers.json says of it. files: name -> text of files that belong to it.
    """

    name: str
    call: Callable[..., Tensor]
    inputs: Mapping[str, tuple[Tensor, Mapping[int, str]]]
    about: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def export_onnx(model: Path, output: Path, settings: Mapping[str, Any], encoders: bool) -> int:
    """Write the towers of a model folder; the number of files of ONNX. settings: of its run, plain values.

    Errors: `UserError` where there is no model, a package is missing, or the output is not empty.
    """
    absent = [one for one in PACKAGES if importlib.util.find_spec(one) is None]
    if absent:
        cure = 'pip install "mcn[onnx]"'
        raise UserError(f"no package {absent[0]}", "what writes ONNX", cure)
    if output.exists() and any(output.iterdir()):
        raise UserError(f"{output} is not empty", "a new folder", "choose another")
    network, config = load_model(model)
    features = features_of(config, network)
    towers = list(_towers(network.eval(), features.video, features.audio))
    if encoders:
        rows = parsed(FeatureRows, {"features": settings.get("features") or {}}).features
        towers += [
            _encoder(name, row)
            for name in features.video
            if isinstance(row := rows.get(name), TimmOptions)
        ]
        text = rows.get(features.text or "")
        if isinstance(text, SentenceOptions):
            towers += _sentences(str(features.text), text)
    output.mkdir(parents=True, exist_ok=True)
    for tower in towers:
        _write(tower, output / f"{tower.name}.onnx")
        for name, content in tower.files.items():
            write_text(output / name, content)
    write_json(output / "towers.json", {one.name: _described(one) for one in towers})
    return len(towers)


def _towers(
    network: EmbeddingNetwork, video: tuple[str, ...], audio: str | None
) -> Iterator[Tower]:
    """The towers of a network, as many as it has."""
    settings = network.settings
    if network.has_video and network.takes_frames:
        for number, name in enumerate(video):
            width = network.video_widths[number]
            yield Tower(f"video_{name}", _frames(network, number), _rows("rows", width))
    elif network.has_video:
        units = (network.visual_units,) if network.visual_units else ()
        example = torch.rand(BATCH, *units, settings["video_width"])
        yield Tower("video", network.embed_video, {"features": (example, {0: "batch"})})
    if network.has_audio and network.takes_frames:
        yield Tower(f"audio_{audio}", network.embed_sounds, _rows("rows", network.sound_width or 0))
    elif network.has_audio and network.DAVEnet is None:
        yield Tower("audio", network.embed_audio, _rows("rows", settings["audio_width"]))
    elif network.has_audio and not _hears_as_mcn(network):
        log.warning("the sound branch of a %s is not written", type(network).__name__)
    elif network.has_audio:
        mel = torch.randn(BATCH, MEL_BANDS, FRAMES)
        valid = torch.full((BATCH,), FRAMES, dtype=torch.int64)
        dimensions = {"log_mel": (mel, {0: "batch", 2: "frames"}), "valid": (valid, {0: "batch"})}
        yield Tower("audio", _heard(network), dimensions)
    if network.has_text:
        words = torch.randn(BATCH, WORDS, settings["word_width"])
        yield Tower("text", network.embed_text, {"words": (words, {0: "batch", 1: "words"})})


def _hears_as_mcn(network: EmbeddingNetwork) -> bool:
    return type(network).embed_audio is MultimodalClusteringNetwork.embed_audio


def _frames(network: EmbeddingNetwork, number: int) -> Callable[[Tensor], Tensor]:
    return lambda rows: network.embed_frames(number, rows)


def _heard(network: EmbeddingNetwork) -> Callable[[Tensor, Tensor], Tensor]:
    """`embed_audio` of log-mels whose length is a multiple of the ratio, which is then a constant of the graph."""
    assert isinstance(network, MultimodalClusteringNetwork)
    assert network.DAVEnet is not None
    davenet, project = network.DAVEnet, network._project_audio

    def call(log_mel: Tensor, valid: Tensor) -> Tensor:
        columns = davenet(log_mel)
        steps = columns.shape[2]
        count = (valid // davenet.ratio).clamp(1, steps).unsqueeze(1)
        weights = (torch.arange(steps) < count) / count
        return project((columns * weights.unsqueeze(1)).sum(dim=2))

    return call


def _rows(name: str, width: int) -> dict[str, tuple[Tensor, Mapping[int, str]]]:
    return {name: (torch.rand(BATCH, width), {0: "batch"})}


def _encoder(name: str, row: TimmOptions) -> Tower:
    """The picture network of a row, without its classifier."""
    from mcn.features.classifiers import network_of

    network = network_of(row)
    network.reset_classifier(0)
    side = row.reads.crop or row.reads.short_side if row.reads else 224
    pixels = torch.randn(BATCH, 3, side, side)
    return Tower(f"encoder_{name}", network, {"pixels": (pixels, {0: "batch"})})


def _sentences(name: str, row: SentenceOptions) -> Iterator[Tower]:
    """The sentence encoder of a row; none, with a warning, where it reads no padded tokens (static embeddings)."""
    from mcn.features.sentences import open_model

    # written out, since the fused attention of PyTorch has no exporter for masks of any size
    model = open_model(row, torch.device("cpu"), model_kwargs={"attn_implementation": "eager"})
    if not hasattr(model[0], "auto_model"):
        log.warning("the encoder of texts %s is not written: it is no transformer", name)
        return

    def call(tokens: Tensor, mask: Tensor) -> Tensor:
        found = model({"input_ids": tokens, "attention_mask": mask})["sentence_embedding"]
        return nn.functional.normalize(found, dim=1) if row.normalize else found

    mask = torch.ones(BATCH, WORDS, dtype=torch.int64)
    mask[0, -1] = 0
    any_size = {0: "batch", 1: "tokens"}
    inputs = {"tokens": (mask.clone(), any_size), "mask": (mask, any_size)}
    file = f"tokenizer_{name}.json"
    about = {"tokenizer": file, "most_tokens": model.max_seq_length, "prompt": row.prompt}
    files = {file: model.tokenizer.backend_tokenizer.to_str()}
    yield Tower(f"encoder_{name}", call, inputs, about, files)


class _Called(nn.Module):
    """A method of a network as a network."""

    def __init__(self, call: Callable[..., Tensor]) -> None:
        super().__init__()
        self.call = call

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.call(*inputs)


def _write(tower: Tower, path: Path) -> None:
    """Trace a tower and write it."""
    examples = tuple(one for one, _ in tower.inputs.values())
    names = sorted({name for _, free in tower.inputs.values() for name in free.values()})
    dimensions = {name: torch.export.Dim(name, min=1) for name in names}
    shapes = tuple(
        {number: dimensions[name] for number, name in free.items()}
        for _, free in tower.inputs.values()
    )
    with _quiet():
        program = torch.onnx.export(
            _Called(tower.call).eval(),
            examples,
            input_names=list(tower.inputs),
            output_names=["vectors"],
            dynamic_shapes=(shapes,),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    with atomic_path(path) as temporary:
        program.save(str(temporary), external_data=False)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the reports of the exporter, which writes one for each step."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)


def _described(tower: Tower) -> dict[str, Any]:
    """The inputs of a tower with their shapes; numbers are fixed, words any size."""
    return {
        "inputs": {
            name: [free.get(number, size) for number, size in enumerate(example.shape)]
            for name, (example, free) in tower.inputs.items()
        },
        "output": "vectors",
        **tower.about,
    }
