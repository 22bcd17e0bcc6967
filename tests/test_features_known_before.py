"""What is wrong with the encoders of a configuration is said before any job starts, as far as it can be known.

Every case is fed as a row of the configuration; models are small, with random weights, in their library's own format.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.features.hub import hub_error
from mcn.features.registry import derive_reads, model_problems
from mcn.options.features import parse_row
from tests import library_models as models

transformers = pytest.importorskip("transformers")

ROOT = Path(__file__).parent.parent
PICTURE, VIDEO, AUDIO = "transformers_picture", "transformers_video", "transformers_audio"
TEXT, TIMM = "transformers_text", "timm_picture"
FRAMES, SOUND = {"frames_per_second": 4, "short_side": 36}, {"sample_rate": 16000}
NO_PROCESSOR = r"has no processor \(no preprocessor_config\.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models as they are, without their processors (`bare_`), and without their weights (`light_`)."""
    root = tmp_path_factory.mktemp("known")
    for kind in ("clip", "dinov2", "siglip", "videomae", "wav2vec2", "clap", "whisper"):
        models.save_transformers(root / kind, kind)
        for name, lacks in (("bare", "processor"), ("light", "safetensors")):
            ignored = shutil.ignore_patterns(f"*{lacks}*")
            shutil.copytree(root / kind, root / f"{name}_{kind}", ignore=ignored)
    models.save_timm(root / "vit", "test_vit")
    models.save_timm(root / "conv", "test_convnext")
    return root


def told(row: dict[str, Any], folder: Path) -> list[str]:
    """What a run says of a row before its first job, as workflow/rules/common.smk asks."""
    values = {
        key: one.replace("@", f"{folder}/") if key in ("model", "weights") else one
        for key, one in row.items()
    }
    try:
        parsed = derive_reads(parse_row("seen", json.dumps(values)))
    except UserError as error:
        return [f"{error.got}; wanted {error.wanted}; {error.do}"]
    return model_problems({"seen": parsed}, ["seen"])


NAMES = [
    ({"encoder": TIMM, "model": "resnet500"}, "did you mean 'resnet50'"),
    ({"encoder": TIMM, "model": "resnet50.tv_in1kk", "reads": FRAMES}, "mean 'resnet50.tv_in1k'"),
    ({"encoder": "timm", "weights": "timm:resnet1522.tv_in1k"}, "did you mean 'resnet152'"),
    ({"encoder": "timm", "weights": "timm:resnet152.tv_in1kk"}, "mean 'resnet152.tv_in1k'"),
    ({"encoder": "torchvision_picture", "model": "resnet155"}, "did you mean 'resnet15"),
    ({"encoder": "torchvision_picture", "model": "s3d"}, "of the encoder torchvision_video"),
    ({"encoder": "torchvision_video", "model": "swin3d_tt", "reads": FRAMES}, "mean 'swin3d_t'"),
    ({"encoder": "torchvision_video", "model": "s3d", "weights": "KINETICS_V1"}, "KINETICS400_V1"),
    (
        {"encoder": "video_network", "network": "r3d_18", "weights": "torchvision:KINETICS400_V9"},
        "did you mean 'KINETICS400_V1'",
    ),
    ({"encoder": PICTURE, "model": "/nowhere/model"}, "/nowhere/model, which is no folder here"),
    ({"encoder": TEXT, "model": "/nowhere/model"}, "which is no folder here"),
    ({"encoder": "sentence", "weights": "@nowhere"}, "nowhere/model.safetensors"),
]
LACKING = [
    ({"encoder": PICTURE, "model": "@bare_clip"}, NO_PROCESSOR),
    ({"encoder": PICTURE, "model": "@bare_clip", "reads": FRAMES}, NO_PROCESSOR),
    ({"encoder": VIDEO, "model": "@bare_videomae", "reads": FRAMES}, NO_PROCESSOR),
    ({"encoder": AUDIO, "model": "@bare_wav2vec2", "window_seconds": 1}, NO_PROCESSOR),
    ({"encoder": AUDIO, "model": "@bare_clap", "reads": SOUND}, NO_PROCESSOR),
    ({"encoder": PICTURE, "model": "@light_clip"}, "light_clip, which has no weights"),
    ({"encoder": TEXT, "model": "@light_clip"}, "light_clip, which has no weights"),
    ({"encoder": TEXT, "model": "@whisper"}, "no text tower with a joint space"),
    ({"encoder": PICTURE, "model": "@clap"}, "a processor that AutoImageProcessor"),
    ({"encoder": AUDIO, "model": "@clip", "reads": SOUND}, "a processor that AutoFeatureExtractor"),
    (
        {"encoder": PICTURE, "model": "@dinov2", "pooling": "projected", "reads": FRAMES},
        "no image tower with a joint space",
    ),
    (
        {"encoder": VIDEO, "model": "@videomae", "pooling": "projected", "reads": FRAMES},
        "no video tower with a joint space",
    ),
    (
        {"encoder": AUDIO, "model": "@wav2vec2", "pooling": "projected", "window_seconds": 1},
        "no audio tower with a joint space",
    ),
    ({"encoder": AUDIO, "model": "@clap", "reads": {"sample_rate": 8000}}, "16000 Hz, for which"),
    ({"encoder": PICTURE, "model": "@siglip", "pooling": "cls"}, "has no class token"),
    ({"encoder": TIMM, "model": "@conv", "pooling": "cls"}, "has no class token"),
    ({"encoder": PICTURE, "model": "@clip", "layer": 1}, "layer 1 of .* with pooling projected"),
    ({"encoder": PICTURE, "model": "@clip", "layer": 3, "pooling": "mean"}, "wanted 0 to 2"),
    (
        {
            "encoder": AUDIO,
            "model": "@wav2vec2",
            "layer": -4,
            "pooling": "mean",
            "window_seconds": 1,
        },
        "layer -4 of .*wav2vec2; wanted 0 to 2, or -3 to -1",
    ),
    ({"encoder": TIMM, "model": "@vit", "layer": 6, "pooling": "mean"}, "one of its 6 blocks"),
    ({"encoder": TIMM, "model": "@vit", "layer": 1}, "layer is for pooling cls or mean"),
    ({"encoder": "open_clip_picture", "model": "@clip"}, r"with its open_clip_config\.json"),
]


@pytest.mark.parametrize(("row", "words"), NAMES + LACKING, ids=lambda one: str(one)[:60])
def test_it_is_said_before_any_job(row: dict[str, Any], words: str, folder: Path) -> None:
    if row["encoder"].startswith("open_clip"):
        pytest.importorskip("open_clip")
    (line,) = told(row, folder)
    assert re.search(words, line), line


@pytest.mark.parametrize(
    "row",
    [
        {"encoder": PICTURE, "model": "@clip", "reads": FRAMES},
        {"encoder": PICTURE, "model": "@dinov2", "pooling": "mean", "layer": -3},
        {"encoder": PICTURE, "model": "@dinov2", "pooling": "cls", "layer": 2},
        {"encoder": AUDIO, "model": "@whisper", "layer": 1, "pooling": "mean"},
        {"encoder": TIMM, "model": "@vit", "layer": -6, "pooling": "cls"},
        {"encoder": TIMM, "model": "resnet50.tv_in1k"},
        {"encoder": "torchvision_video", "model": "s3d", "reads": FRAMES},
        {"encoder": TEXT, "model": "@clap"},
    ],
    ids=str,
)
def test_nothing_is_said_of_what_fits(row: dict[str, Any], folder: Path) -> None:
    assert told(row, folder) == []


def test_a_hub_that_cannot_be_reached_is_told_at_once_and_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library alone tries every file for half a minute, and then says that a processor is missing."""
    from huggingface_hub import constants

    (tmp_path / "models--someone--clip-base/snapshots/0123").mkdir(parents=True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    begun = time.monotonic()
    row = parse_row("seen", json.dumps({"encoder": PICTURE, "model": "someone/clip-bas"}))
    with pytest.raises(UserError) as error:
        derive_reads(row)
    assert time.monotonic() - begun < 60
    assert error.value.got.startswith("someone/clip-bas: ")
    assert "the cache has someone/clip-base" in error.value.got
    assert "mcn fetch hf:someone/clip-bas" in error.value.do
    assert "the cache has" not in hub_error("other/name", ValueError("no")).got


def test_all_of_a_configuration_is_told_together(folder: Path) -> None:
    values: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["features"] |= {
        "light": {"encoder": PICTURE, "model": f"{folder}/light_clip", "reads": FRAMES},
        "deep": {"encoder": PICTURE, "model": f"{folder}/clip", "layer": 9, "pooling": "mean"},
        "unused": {"encoder": PICTURE, "model": f"{folder}/light_clip"},
    }
    values["experiments"]["mcn"]["model"]["video"] = ["light", "deep"]
    settings = configure(values)
    lines = model_problems(settings.features, settings.used_features())
    assert [line.partition(":")[0] for line in lines] == ["features.light", "features.deep"]
