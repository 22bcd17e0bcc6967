"""A frozen experiment: encoders that others trained become the folder of a model, without any training.

Conventions
-----------
- Written: model.safetensors (the classifier and the vectors of its classes, for `conse`), config.yaml (kind, features,
  options, weights with their digests, `basis`: what answers rest on) and metrics.jsonl without a line.
- The network is `mcn.networks.frozen.FrozenPair`, which has the formulas. Class vectors are made by the same code and
  weights as the vectors of texts.
- Nothing is drawn at random: the same encoders give the same bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mcn.errors import UserError
from mcn.evaluation.text_vectors import TextVectors
from mcn.features.classifiers import Classifier, class_vectors, load_classifier, wordings
from mcn.features.embedded import locate
from mcn.features.runtime import Runtime, repeatable
from mcn.files import file_sha256, write_text
from mcn.networks.checkpoints import save_model
from mcn.networks.frozen import ClassVectors, FrozenPair, PictureSettings
from mcn.options.encoders import TimmOptions
from mcn.options.frozen import FrozenOptions
from mcn.options.libraries import LibraryOptions
from mcn.options.row import EMBEDDED_PREFIX, FeatureOptions
from mcn.options.sections import Experiment

log = logging.getLogger(__name__)

VERSION = 1  # raise when the code changes the numbers


def freeze(
    experiment: Experiment, rows: Mapping[str, FeatureOptions], output: Path, place: Runtime
) -> None:
    """Write the model of a frozen experiment. rows: of the features that it names.

    Errors: `UserError` for weights that are missing or have another sha256, and classifiers without named classes.
    """
    video, text = experiment.features.video, str(experiment.features.text)
    settled = experiment.frozen.settled(rows[name] for name in video)
    experiment = experiment.model_copy(update={"frozen": settled})
    with repeatable():
        texts = TextVectors(text, rows[text], place)
        classifiers = {
            name: load_classifier(name, row)
            for name in video
            if experiment.frozen.pairing == "conse" and isinstance(row := rows[name], TimmOptions)
        }
        network = _network(experiment, classifiers, texts)
    write_text(output / "metrics.jsonl", "")
    save_model(output, network, describe(experiment, rows, texts))
    log.info("%s: %s", output, basis_of(experiment))


def _network(
    experiment: Experiment, classifiers: Mapping[str, Classifier], texts: TextVectors
) -> FrozenPair:
    """The pair, its rows filled in."""
    options, video = experiment.frozen, experiment.features.video
    settings = [_settings(options, classifiers.get(name), texts.width) for name in video]
    for number, (one, width) in enumerate(zip(settings, texts.widths, strict=False)):
        one.update({"width": width, "first": sum(texts.widths[:number])})
    sound_width = texts.width if experiment.features.audio else None
    network = FrozenPair(settings, texts.width, sound_width, options.fusion == "late")
    for name, module in zip(video, network.pictures, strict=True):
        if isinstance(module, ClassVectors):
            found = classifiers[name]
            chosen = [text for one in found.names for text in wordings(one, options.wordings)]
            names = class_vectors(texts.means(chosen), len(options.wordings))
            module.weight.copy_(found.weight)
            module.bias.copy_(found.bias)
            module.names.copy_(torch.from_numpy(names))
    return network


def _settings(
    options: FrozenOptions, classifier: Classifier | None, text_width: int
) -> PictureSettings:
    classes, width = (0, text_width) if classifier is None else classifier.weight.shape
    return PictureSettings(
        pairing=options.pairing,
        width=width,
        classes=classes,
        temperature=options.temperature,
        top=options.top or classes,
        center=options.center,
    )


def describe(
    experiment: Experiment, rows: Mapping[str, FeatureOptions], texts: TextVectors
) -> dict[str, Any]:
    """config.yaml: what was put together, and how."""
    features = experiment.features
    encoders = [*features.video, *filter(None, [features.audio])]
    weights = {name: _weights(rows[name]) for name in encoders}
    return {
        "kind": "frozen",
        "version": VERSION,
        "basis": basis_of(experiment),
        "options": experiment.frozen.model_dump(mode="json"),
        "features": {**features._asdict(), "video": list(features.video)},
        "encoders": {**weights, str(features.text): texts.recipe},
        "torch": str(torch.__version__),
    }


def _weights(row: FeatureOptions) -> dict[str, Any]:
    """What config.yaml says of the weights of a picture encoder."""
    if isinstance(row, LibraryOptions):
        revision = {"revision": row.revision} if row.revision else {}
        found = {"sha256": file_sha256(row.file)} if row.file else {}
        return {"source": Path(row.model).name if row.is_folder else row.model, **revision, **found}
    source = str(getattr(row, "weights", row.encoder))
    if source.startswith(EMBEDDED_PREFIX):
        return locate(source).recipe
    if row.file:
        try:
            return {"source": Path(row.file).name, "sha256": file_sha256(row.file)}
        except OSError as error:
            got = f"{row.file}: {error.strerror}"
            raise UserError(got, "a file of weights", "correct the path") from None
    return {"source": source}


def basis_of(experiment: Experiment) -> str:
    """What answers of the pair rest on, in words."""
    features = experiment.features
    names = filter(None, (*features.video, features.audio, features.text))
    conse = features.video and experiment.frozen.pairing == "conse"
    how = "ConSE" if conse else "one space"
    return f"{' + '.join(names)}, trained by others ({how}), nothing trained here"
