"""Model files: our own format, and the checkpoints that others published.

Conventions
-----------
- Our format is a directory: `model.safetensors` (names as in the network) and `config.yaml`, the caller's dictionary
  with four keys added: `schema_version` (absent in older files, which are of version 1), `network_class` (one of
  `NETWORKS`; absent in older files: `MultimodalClusteringNetwork`), `network` (the constructor's arguments) and
  `weights_sha256`. The configuration is written last and atomically, so a directory whose digest agrees is complete.
- Published files are PyTorch state dicts, read with `weights_only=True`: tensors and plain containers only, no code.
- Loaded networks are on the CPU, in float32 and in eval mode.
- Sources of the names: `brian7685/Multimodal-Clustering-Network`, `roudimit/AVLnet`, `antoine77340/howto100m`,
  `ninatu/everything_at_once`.
- A row is a pair (parameter or buffer name, tensor). Published files wrap their rows in a dictionary (`state_dict`,
  `net`, `model`) and, when saved under `DataParallel`, prefix every name with `module.`. No row is skipped silently:
  `load_rows` fails with every missing, unexpected and misshapen row named.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor, nn

from mcn.errors import UserError, require_version, several
from mcn.files import atomic_path, file_sha256, write_text
from mcn.networks import (
    NETWORKS,
    EmbeddingNetwork,
    EverythingAtOnceNetwork,
    FusedSoundTextNetwork,
    MultimodalClusteringNetwork,
    ResDavenet,
    ResNeXt3D,
    resnext101_3d,
)
from mcn.networks.everything_at_once import settings_of_rows
from mcn.networks.published_rows import (
    AUDIO_PREFIX,
    UNUSED_SOUND_GATE,
    davenet_widths,
    infer_settings,
    renamed,
    unreadable,
    without_unused,
)
from mcn.networks.resnext3d import CLASSIFIER_ROWS, unwrap
from mcn.networks.rows import load_rows_file
from mcn.sources.first_bytes import what_it_is


def below(rows: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The rows whose names start with `prefix`, that prefix removed."""
    return {name.removeprefix(prefix): row for name, row in rows.items() if name.startswith(prefix)}


def load_rows(module: nn.Module, rows: Mapping[str, Tensor], source: str) -> None:
    """Copy `rows` into `module`, each cast to the module's dtype; one that was made on the meta device takes them.

    `source` names the file in the error. `num_batches_tracked` may be absent, as in files older than PyTorch 0.4.1;
    it counts training steps and changes no output. Any other difference: `UserError` that lists all of them.
    """
    expected = module.state_dict()
    problems = []
    for name, row in expected.items():
        if name not in rows:
            if not name.endswith("num_batches_tracked"):
                problems.append(f"missing {name} {_shape(row)}")
        elif rows[name].shape != row.shape:
            problems.append(f"{name} is {_shape(rows[name])}, should be {_shape(row)}")
    problems += [f"unexpected {name} {_shape(rows[name])}" for name in rows.keys() - expected]
    if problems:
        report = several(
            sorted(problems),
            f"a file whose names and shapes are those of {type(module).__name__}",
            "check that it is the checkpoint of this network, whole, and of these sizes",
        )
        raise UserError(f"{source}: {report.got}", report.wanted, report.do)
    if not any(row.is_meta for row in expected.values()):
        module.load_state_dict({**expected, **rows})
        return
    counts = {
        name: torch.zeros_like(row, device="cpu") for name, row in expected.items() if not row.dim()
    }
    taken = {name: row.to(expected[name].dtype).contiguous() for name, row in rows.items()}
    module.load_state_dict({**counts, **taken}, assign=True)


def _shape(row: Tensor) -> str:
    return "x".join(map(str, row.shape)) if isinstance(row, torch.Tensor) and row.dim() else "()"


WEIGHTS, CONFIG = "model.safetensors", "config.yaml"
SCHEMA_VERSION = 1  # raised where older code would misread the folder (docs/files.md, Versions)


def save_model(directory: Path | str, model: EmbeddingNetwork, config: Mapping[str, Any]) -> None:
    """Write `model` and `config` (plain values) to `directory`, each file atomically.

    The same model gives the same bytes.
    """
    rows = {name: row.detach().cpu().contiguous() for name, row in model.state_dict().items()}
    weights = Path(directory) / WEIGHTS
    with atomic_path(weights) as temporary:
        save_file(rows, temporary)
    described = {
        **config,
        "schema_version": SCHEMA_VERSION,
        "network_class": type(model).__name__,
        "network": model.settings,
        "weights_sha256": file_sha256(weights),
    }
    write_text(Path(directory) / CONFIG, yaml.safe_dump(described, sort_keys=False))


def load_model(directory: Path | str) -> tuple[EmbeddingNetwork, dict[str, Any]]:
    """The network in eval mode and the configuration that `save_model` wrote.

    Absent, unreadable, damaged or mismatched files: `UserError`.
    """
    config_path, weights = Path(directory) / CONFIG, Path(directory) / WEIGHTS
    try:
        config = yaml.safe_load(config_path.read_text(encoding="utf-8"))
        again = f"rm -r {directory}, and train or import it again"
        require_version(directory, int(config.get("schema_version", 1)), SCHEMA_VERSION, again)
        kind = config.get("network_class", MultimodalClusteringNetwork.__name__)
        network = NETWORKS[kind](**config["network"])
        digest = config["weights_sha256"]
    except FileNotFoundError:
        raise _not_a_model(config_path, "does not exist") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise _not_a_model(config_path, f"is not a model's configuration ({error!r})") from error
    rows = read_state_dict(weights)
    if file_sha256(weights) != digest:
        raise _not_a_model(weights, f"does not have the sha256 that {CONFIG} names ({digest})")
    load_rows(network, rows, str(weights))
    return network.eval(), config


def load_published(path: Path | str) -> EmbeddingNetwork:
    """The network, in eval mode, of a released MCN, AVLnet(-Text-*), HowTo100M or Everything at Once state dict.

    Sizes come from the tensors; reconstruction heads are there if the file has them. A Miech network has no audio
    branch and normalises its embeddings; an AVLnet without text has no text branch: `embed_audio` / `embed_text` then
    raise `UserError`. Rows that no embedding depends on (see `mcn.networks.published_rows`) are dropped and logged. Any
    other missing, unexpected or misshapen row: `UserError` naming all of them. AVLnet-Text-Fused embeds sound and text
    together alone.
    """
    rows = read_state_dict(path)
    if any(name.startswith("GU_audio_text.") for name in rows):
        rows = without_unused(rows, str(path), (UNUSED_SOUND_GATE,))
        settings = infer_settings(rows, str(path))
        settings.pop("reconstruction_width")
        return _filled(FusedSoundTextNetwork, settings, rows, str(path))
    if "fusion.masking_token" in rows:
        return _everything_at_once(rows, str(path))
    miech = "GU_text.fc.weight" in rows
    rows = without_unused(rows, str(path))
    if miech:
        rows = {renamed(name): row for name, row in rows.items()}
    settings = infer_settings(rows, str(path)) | {"normalize": miech}
    return _filled(MultimodalClusteringNetwork, settings, rows, str(path))


def widths_of_checkpoint(path: Path | str) -> tuple[int | None, int | None]:
    """Numbers of a clip and of a word that a published state dict wants; None where it has no such branch.

    Shapes alone are read. (None, None) of what cannot be looked into so: files of before PyTorch 1.6, other networks.
    """
    try:
        if Path(path).suffix == ".safetensors":
            return None, None
        loaded = torch.load(path, map_location="meta", weights_only=True, mmap=True)
        rows = {renamed(name): row for name, row in unwrap(loaded).items()}
        settings = infer_settings(rows, str(path))
    except Exception:  # a damaged file raises many kinds; the job that imports it says which
        return None, None
    return settings["video_width"], settings["word_width"]


def _everything_at_once(rows: Mapping[str, Tensor], source: str) -> EmbeddingNetwork:
    rows = {renamed(name): row for name, row in rows.items()}
    if "fusion_text.masking_token" in rows:  # a second name of `fusion`
        rows = {name: row for name, row in rows.items() if not name.startswith("fusion_text.")}
    try:
        settings = settings_of_rows(rows)
    except KeyError as error:
        raise unreadable(source, f"has no {error.args[0]}") from None
    return _filled(EverythingAtOnceNetwork, settings, rows, source)


def _filled(
    kind: type[EmbeddingNetwork],
    settings: Mapping[str, Any],
    rows: Mapping[str, Tensor],
    source: str,
) -> EmbeddingNetwork:
    with torch.device("meta"):  # nothing is initialised that the file replaces
        network = kind(**settings)
    odd = [name for name, row in rows.items() if not torch.isfinite(row).all()]
    if odd:
        raise unreadable(source, f"holds NaN or infinity in {', '.join(odd[:5])}")
    network.to_empty(device="cpu")
    for name, buffer in network.named_buffers():
        if name.endswith("num_batches_tracked"):
            buffer.zero_()
    load_rows(network, rows, source)
    return network.eval()


def load_davenet(path: Path | str) -> ResDavenet:
    """A ResDAVEnet in eval mode from its own file, or from inside an MCN or AVLnet checkpoint (`DAVEnet.` prefix)."""
    rows = read_state_dict(path)
    rows = below(rows, AUDIO_PREFIX) or rows
    widths = davenet_widths(rows, "", str(path))
    with torch.device("meta"):  # numbers that are drawn would be replaced
        network = ResDavenet(widths)
    load_rows(network, rows, str(path))
    return network.eval()


def load_resnext101(path: Path | str) -> ResNeXt3D:
    """The 3D ResNeXt-101 in eval mode from a Kinetics checkpoint; its classifier (`fc`) rows are dropped."""
    rows = read_state_dict(path)
    with torch.device("meta"):
        network = resnext101_3d()
    kept = {name: row for name, row in rows.items() if name not in CLASSIFIER_ROWS}
    load_rows(network, kept, str(path))
    return network.eval()


def read_state_dict(path: Path | str) -> dict[str, Tensor]:
    """The rows of a .safetensors file or a PyTorch file, unwrapped (see `unwrap`), on the CPU.

    A file that does not exist, does not parse, holds anything but tensors, or would run code: `UserError`.
    """
    try:
        if Path(path).suffix == ".safetensors":
            return unwrap(load_rows_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(
            f"{path}, which does not exist", "a file of weights", "correct the path"
        ) from None
    except UserError:
        raise
    except Exception as error:  # a damaged file raises many kinds
        raise unreadable(path, _not_read(path, error)) from error
    rows = unwrap(state) if isinstance(state, Mapping) else {}
    others = [name for name, row in rows.items() if not isinstance(row, Tensor)]
    if not rows or others:
        raise unreadable(path, f"is no state dict (not tensors: {', '.join(others[:5]) or 'all'})")
    return rows


def _not_read(path: Path | str, error: Exception) -> str:
    """Why a file of weights cannot be read, in the words of `unreadable`."""
    kind = what_it_is(path)
    if kind and kind not in ("a PyTorch file", "a pickle"):
        return f"is {kind}"
    if isinstance(error, pickle.UnpicklingError):
        return "holds more than tensors, or is cut short"
    reason = (str(error).splitlines() or [type(error).__name__])[0].partition(". ")[0]
    return f"cannot be read ({reason})"


def _not_a_model(path: Path, problem: str) -> UserError:
    return UserError(
        f"{path}, which {problem}",
        f"a directory that training or import finished: {CONFIG} and {WEIGHTS}",
        "train or import the model again",
    )
