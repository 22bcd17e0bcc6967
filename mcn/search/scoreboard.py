"""Any model folder as a model of mteb, the library behind the field's scoreboard (MTEB, and MVEB for videos).

Conventions
-----------
- `ScoreboardModel` keeps mteb's encoder protocol: `encode` of a loader of rows with `text`, `video`, `audio` or
  `image`, and cosines as similarities. A row with several modalities is the sum of their unit vectors, brought to unit
  length, as video and sound are added in every evaluation here.
- Videos and sounds are decoded by this package from the files of the task, as those of a data set are, at the rates and
  sizes of the model's own features; what mteb's loader would decode is not used. A whole file is one clip.
- A file that cannot be read has a zero vector, so that every similarity to it is 0; the log names it.
- Prompts of tasks are not used: a model's own stand in its row (`prompt`).
- An experiment of this package, trained or frozen, is a model there under the name `mcn/NAME`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mcn.errors import UserError
from mcn.evaluation.basis import model_config
from mcn.options.base import nearest
from mcn.search.model import LoadedModel, load
from mcn.shards.clips import unit_length

if TYPE_CHECKING:
    from mteb.models.model_meta import ModelMeta

FILES = 64  # videos or sounds that are decoded together
PIP = "pip install 'mcn[scoreboard]'"
HEARD = {"video": False, "audio": True}


class ScoreboardModel:
    """A model folder under mteb's encoder protocol."""

    def __init__(self, directory: Path | str) -> None:
        """Errors: `UserError` where there is no model, or it embeds no text, or mteb is not installed."""
        self.model: LoadedModel = load(directory)
        self.mteb_model_meta = model_meta(self.model)

    def encode(
        self, inputs: Any, *, task_metadata: Any, prompt_type: Any = None, **_: Any
    ) -> np.ndarray:
        """Vectors (n, D) float32 of unit length of the rows of a loader (a `torch.utils.data.DataLoader`).

        Errors: `UserError` for rows of which the model embeds no modality.
        """
        rows = inputs.dataset
        wanted = task_metadata.get_modalities(prompt_type)
        named = [one for one in ("text", "video", "audio", "image") if one in rows.column_names]
        found = [
            self._column(rows, one)
            for one in named
            if one in wanted and one in self.mteb_model_meta.modalities
        ]
        if not found:
            got = f"rows of {', '.join(named) or 'nothing'} of {task_metadata.name}"
            has = ", ".join(self.mteb_model_meta.modalities)
            raise UserError(
                got, f"rows of {has}, which {self.model.directory} embeds", "leave the task out"
            )
        return unit_length(np.sum(found, axis=0))

    def similarity(self, embeddings1: Any, embeddings2: Any) -> torch.Tensor:
        """Cosines (n, m)."""
        return _unit(embeddings1) @ _unit(embeddings2).T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> torch.Tensor:
        """Cosines (n,) of rows."""
        return (_unit(embeddings1) * _unit(embeddings2)).sum(dim=-1)

    def _column(self, rows: Any, name: str) -> np.ndarray:
        if name == "text":
            return self.model.encode_text([str(one) for one in rows["text"]])
        if name == "image":
            pictures = (np.asarray(one.convert("RGB")) for one in rows["image"])
            return np.concatenate([self.model.encode_pictures([one]) for one in pictures])
        files = undecoded(rows, name)
        parts = range(0, len(files), FILES)
        return np.concatenate([self._files(files[first : first + FILES], name) for first in parts])

    def _files(self, items: Any, name: str) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            paths = list(written(items[name], Path(folder)))
            return self.model.encode_files(paths, heard=HEARD[name])


def undecoded(rows: Any, name: str) -> Any:
    """The rows with the files of a column as they are, instead of what mteb's loader would decode."""
    from datasets import Audio, Video

    kind = Video if name == "video" else Audio
    if not isinstance(rows.features[name], kind):
        got = f"a column {name} of {type(rows.features[name]).__name__}"
        raise UserError(got, f"one of datasets.{kind.__name__}", "leave the task out")
    return rows.cast_column(name, kind(decode=False))


def written(items: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[Path]:
    """The file of each item, its bytes written to `folder` where it holds them itself."""
    for number, item in enumerate(items):
        path = Path(item.get("path") or "file")
        if item.get("bytes") is not None:
            path = folder / f"{number}{path.suffix}"
            path.write_bytes(item["bytes"])
        yield path


def model_meta(model: LoadedModel) -> ModelMeta:
    """What mteb wants to know of a model. Errors: `UserError` where mteb is not installed."""
    try:
        from mteb.models.model_meta import ModelMeta, ScoringFunction
    except ImportError as error:
        raise UserError("no package mteb", "mteb, whose tasks are run", PIP) from error
    config = model_config(model.directory)
    reads = model.features
    modalities = [
        *(["text"] if reads.text else []),
        *(["video"] if reads.video else []),
        *(["audio"] if reads.audio else []),
        *(["image"] if model.takes_pictures else []),
    ]
    return ModelMeta.create_empty(
        {
            "name": f"mcn/{model.directory.name}",
            "revision": str(config["weights_sha256"])[:12],
            "modalities": modalities,
            "similarity_fn_name": ScoringFunction.COSINE,
            "framework": ["PyTorch"],
        }
    )


def run_tasks(
    directory: Path, names: Sequence[str], benchmarks: Sequence[str], output: Path
) -> dict[str, float]:
    """Run tasks and benchmarks of mteb on a model; task -> main score. Results are written to `output` as mteb does.

    Tasks of a benchmark whose modalities the model lacks are named and left out by mteb. Errors: `UserError` for a name
    that mteb does not know, with its nearest.
    """
    model = ScoreboardModel(directory)
    import mteb
    from mteb.cache import ResultCache

    tasks = [*_tasks(names)]
    for name in benchmarks:
        known = [alias for one in mteb.get_benchmarks() for alias in (one.name, *one.aliases)]
        if name not in known:
            got = f"no benchmark {name!r}{nearest(name, known)}"
            raise UserError(got, "a benchmark of mteb", "correct the name")
        tasks += mteb.get_benchmark(name).tasks
    found = mteb.evaluate(model, tasks, cache=ResultCache(output))
    return {one.task_name: float(one.get_score()) for one in found.task_results}


def _tasks(names: Sequence[str]) -> Iterator[Any]:
    import mteb

    known = {one.metadata.name for one in mteb.get_tasks()} if names else set()
    for name in names:
        if name not in known:
            got = f"no task {name!r}{nearest(name, sorted(known))}"
            raise UserError(got, "a task of mteb", "correct the name")
        yield mteb.get_task(name)


def _unit(vectors: Any) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.as_tensor(vectors).float(), dim=-1)
