"""Which encoders answer about a folder: what lies complete in the hub's cache, the embedded set, the words alone."""

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.features import hub_cache
from mcn.features.registry import derive_reads, make_extractor, make_text_encoder
from mcn.features.runtime import resolve
from mcn.options.features import RuntimeOptions
from mcn.search import encoders
from mcn.search.encoders import choose
from mcn.search.planning import make_plan
from tests import library_models as models

COMMITS = {"clip": "c" * 40, "siglip": "5" * 40, "open_clip": "0" * 40}
NAMES = {"clip": "some-one/Tiny-CLIP.v1", "siglip": "other/siglip2-tiny", "open_clip": "pairs/oc"}


def into_cache(folder: Path, kind: str) -> Path:
    """A small model with random weights, laid into the hub's cache as the hub's library lays models."""
    saved = folder / "saved" / kind
    if kind == "open_clip":
        pytest.importorskip("open_clip")
        models.save_open_clip(saved)
    else:
        pytest.importorskip("transformers")
        models.save_transformers(saved, kind)
    repository = folder / "hub" / f"models--{NAMES[kind].replace('/', '--')}"
    snapshot = repository / "snapshots" / COMMITS[kind]
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMITS[kind])
    (repository / "blobs").mkdir()
    for file in saved.iterdir():
        blob = repository / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    return snapshot


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of an empty hub's cache; with the embedded set installed."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(encoders, "can_embed", lambda: True)
    return tmp_path


def test_the_best_complete_pair_of_the_cache_comes_first_and_is_named(cache):
    assert choose("auto", "").name == "embedded"
    assert "mcn fetch hf:" in choose("auto", "").sentences[0]
    into_cache(cache, "clip")
    found = choose("auto", "")
    assert found.name == f"hub:some-one/Tiny-CLIP.v1@{'c' * 40}"
    assert found.experiments == {
        "tiny_clip_v1": {
            "kind": "frozen",
            "model": {"video": ["tiny_clip_v1"], "text": "tiny_clip_v1_text"},
        }
    }
    assert f"some-one/Tiny-CLIP.v1, revision {'c' * 40}" in found.sentences[0]
    into_cache(cache, "siglip")
    assert choose("auto", "").name.startswith("hub:other/siglip2-tiny@")
    assert choose("embedded", "").experiments == encoders.CONSE, "the hub's cache can be declined"
    assert choose("words", "").experiments == {}


@pytest.mark.parametrize(
    "lacking", ["model.safetensors", "tokenizer.json", "preprocessor_config.json"]
)
def test_what_is_not_complete_is_not_chosen(cache, lacking):
    snapshot = into_cache(cache, "clip")
    (
        snapshot / lacking
    ).resolve().unlink()  # a link that leads nowhere, as a fetch that was cut leaves
    assert choose("auto", "").name == "embedded"
    with pytest.raises(UserError, match="no dual encoder in the hub's cache"):
        choose("hub", "")


def test_a_folder_keeps_its_encoder_while_it_is_there(cache, monkeypatch):
    into_cache(cache, "clip")
    kept = choose("auto", "embedded")
    assert kept.name == "embedded"
    assert "hub:some-one/Tiny-CLIP.v1" in kept.sentences[-1]
    assert "--encoder hub takes it" in kept.sentences[-1]
    hub = choose("hub", "embedded").name
    assert choose("auto", hub).name == hub
    assert len(choose("auto", hub).sentences) == 1
    assert choose("auto", "words").name == hub, "words alone are no choice to keep"
    shutil.rmtree(cache / "hub")
    assert choose("auto", hub).name == "embedded", "it has gone"
    monkeypatch.setattr(encoders, "can_embed", lambda: False)
    with pytest.raises(UserError, match="no embedded set"):
        choose("embedded", "")


@pytest.mark.parametrize("kind", ["clip", "open_clip"])
def test_both_towers_open_from_the_cache_without_the_hub(cache, kind, monkeypatch):
    into_cache(cache, kind)
    monkeypatch.setattr("socket.getaddrinfo", _no_network)
    plan = make_plan("x", 1, 0, [])
    settings = configure(plan.configuration)
    (experiment,) = plan.configuration["experiments"].values()
    seen, said = experiment["model"]["video"][0], experiment["model"]["text"]
    assert derive_reads(settings.features[seen]).reads.short_side in (32, 36)
    extractor = make_extractor(seen, settings.features[seen], "", RuntimeOptions(device="cpu"))
    assert extractor.recipe["weights"]["revision"] == COMMITS[kind]
    assert extractor.recipe["weights"]["source"] == NAMES[kind]
    vectors = extractor.encode(np.zeros((2, 1, 36, 36, 3), np.uint8))
    texts = make_text_encoder(settings.features[said], resolve(RuntimeOptions(device="cpu")))
    assert texts.encode(["a b"]).shape[1] == vectors.shape[1]


def _no_network(*arguments, **more):
    raise AssertionError("the hub was asked")


def test_the_newest_snapshot_counts_where_no_branch_is_known(cache):
    snapshot = into_cache(cache, "clip")
    shutil.rmtree(snapshot.parent.parent / "refs")
    assert [one.commit for one in hub_cache.cached_pairs()] == ["c" * 40]
    assert hub_cache.cached_snapshot(NAMES["clip"], "c" * 40) == snapshot
    assert hub_cache.cached_snapshot(NAMES["clip"], None) is None, "not pinned"
    assert hub_cache.cached_snapshot(NAMES["clip"], "../c") is None
