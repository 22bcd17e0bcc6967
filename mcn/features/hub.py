"""Models of the Hugging Face hub: fetched into its cache, where their commit names their folder.

Conventions: HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and proxies mean what they mean to its library. Weights
of other frameworks, which lie beside PyTorch's in many repositories, are left out.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from mcn.errors import UserError
from mcn.features.hub_cache import cached_names

FOREIGN = ("*.h5", "*.msgpack", "*.ot", "*.onnx*", "onnx/*", "openvino/*", "*.mlmodel*", "*.tflite")


def hub_folder(
    model: str,
    revision: str | None = None,
    wanted: Sequence[str] | None = None,
    ignored: Sequence[str] = FOREIGN,
    to: Path | None = None,
) -> Path:
    """The folder of the model OWNER/NAME at a revision, fetched where it is not there yet.

    wanted, ignored: patterns of file names. to: a folder instead of the cache. Errors: `UserError`.
    """
    import huggingface_hub  # takes half a second

    try:
        return Path(
            huggingface_hub.snapshot_download(
                model,
                revision=revision,
                local_dir=to,
                allow_patterns=list(wanted) if wanted else None,
                ignore_patterns=list(ignored),
            )
        )
    except Exception as error:  # whatever the library or the connection raises
        raise hub_error(model, error) from error


def require_in_reach(model: str, revision: str | None) -> None:
    """`UserError` at once for a model that is neither in the cache nor in reach.

    The libraries would try each of its files for minutes, and then speak of the file.
    """
    if hub_commit(model, revision):
        return
    import huggingface_hub

    try:
        huggingface_hub.HfApi().model_info(model, revision=revision, timeout=10)
    except Exception as error:  # whatever the library or the connection raises
        raise hub_error(model, error) from error


def hub_error(model: str, error: BaseException) -> UserError:
    """The error for whatever the hub's library raises."""
    words = (str(error).strip() or type(error).__name__).splitlines()[0]
    near = difflib.get_close_matches(model, cached_names(), 1)
    words += f"; the cache has {near[0]}" if near else ""
    cure = (
        f"check the name and the revision, the connection (HTTPS_PROXY, HF_ENDPOINT), HF_HUB_OFFLINE and, of a gated "
        f"model, HF_TOKEN; fetch it where there is a connection (mcn fetch hf:{model}), or copy the model's folder "
        "from a machine that has it and name its path"
    )
    return UserError(f"{model}: {words}", "a model of the hub", cure)


def hub_commit(model: str, revision: str | None, file: str = "config.json") -> str | None:
    """The commit of a model in the hub's cache; None where it is not there."""
    import huggingface_hub

    path = huggingface_hub.try_to_load_from_cache(model, file, revision=revision)
    parts = Path(path).parts if isinstance(path, str) else ()
    return parts[parts.index("snapshots") + 1] if "snapshots" in parts else None
