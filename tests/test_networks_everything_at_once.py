"""The released network of Everything at Once: its recorded outputs, its tokens, its checkpoints, and its evaluation.

everything_at_once.json and everything_at_once_ablations.json in tests/recorded hold what the released modules and loss
gave (`ninatu/everything_at_once` at 4daeab6, run in an environment of its own, not part of the project) for the weights
and inputs of `rows` and `inputs`.
"""

from __future__ import annotations

import json
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mcn.errors import UserError
from mcn.evaluation.retrieval.pairs import PAIRS, SUM_PAIRS, ClipEmbeddings
from mcn.networks import EverythingAtOnceNetwork
from mcn.networks.checkpoints import load_model, load_published, save_model
from mcn.networks.everything_at_once import LongSound
from mcn.objectives.objective import Setting, StepInputs, make_objective
from mcn.options.clip_parts import EverythingAtOnceOptions
from mcn.options.evaluation import LocalizationOptions, RetrievalOptions
from mcn.published.import_checkpoint import kind_of
from mcn.shards import FeatureStore
from mcn.shards.clips import accurate_rows, row_tokens
from tests.evaluation_set import WIDTH, WORD_WIDTH, EvaluationSet, evaluated, make_set

RECORDED = Path(__file__).parent / "recorded" / "everything_at_once.json"
CLIPS, TOKENS, WORDS, FRAMES = 6, 5, 4, 256
SIDES = {"t": "text", "v": "video", "a": "audio"}
ABLATIONS_RECORDED = RECORDED.with_name("everything_at_once_ablations.json")
ABLATIONS: dict[str, dict[str, Any]] = {
    "shared_projection": {"shared_projection": True},
    "class_token": {"shared_projection": True, "class_token": True},
    "positions": {"positions": (TOKENS, WORDS, FRAMES // 64)},
    "transformer_per_modality": {"transformer_per_modality": True},
    "no_transformer": {"fusion_layers": 0},
    "all": {"shared_projection": True, "class_token": True, "positions": (TOKENS, WORDS, 4)},
}


def network(video: int = 10, word: int = 5, out: int = 4, **settings) -> EverythingAtOnceNetwork:
    sizes = {"fusion_width": 12, "fusion_heads": 3, "fusion_mlp_ratio": 1.0, "fusion_layers": 2}
    widths = (4, 4, 6, 6, 8, 8)
    return EverythingAtOnceNetwork(video, word, out, widths, None, TOKENS, **{**sizes, **settings})


def numbers(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The same normal numbers wherever they are drawn."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    return torch.from_numpy(generator.standard_normal(shape).astype(np.float32))


def rows(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A weight for every row of a network, drawn by its name."""
    found = {}
    for name, row in model.state_dict().items():
        values = numbers(name, tuple(row.shape)) * 0.3
        if name.endswith("running_var"):
            values = 0.5 + values.abs()
        elif row.dim() == 1 and name.endswith("weight"):
            values = 1 + values
        found[name] = values if row.is_floating_point() else row
    return found


def inputs() -> dict[str, torch.Tensor]:
    """Clips of different lengths: one without pictures, one without words, one without sound, two at the edge."""
    video = F.normalize(numbers("video", (CLIPS, TOKENS, 10)).abs(), dim=-1)
    words, audio = numbers("words", (CLIPS, WORDS, 5)), -numbers("audio", (CLIPS, 40, FRAMES)).abs()
    frames = torch.tensor([FRAMES, 200, 130, 0, 64, 65])
    for clip, (shown, said) in enumerate(zip((5, 0, 3, 2, 1, 4), (4, 3, 0, 1, 2, 4), strict=True)):
        video[clip, shown:], words[clip, said:] = 0, 0
        audio[clip, :, frames[clip] :] = 0
    return {"video": video, "words": words, "audio": 30 * audio, "frames": frames}


def made() -> EverythingAtOnceNetwork:
    model = network()
    model.load_state_dict(rows(model))
    return model.eval()


@torch.no_grad()
def test_embeddings_and_loss_are_those_of_the_released_module() -> None:
    recorded = json.loads(RECORDED.read_text())
    model, given = made(), inputs()
    tokens = {
        "t": model.word_tokens(given["words"]),
        "v": model.video_tokens(given["video"]),
        "a": model.audio_tokens(given["audio"], given["frames"]),
    }
    for side in ("t", "v", "a", "tv", "ta", "va"):
        found = model.fuse({SIDES[letter]: tokens[letter] for letter in side})
        wanted = torch.tensor(recorded[side])
        torch.testing.assert_close(F.normalize(found, dim=-1), wanted, rtol=0, atol=1e-5)
    options = EverythingAtOnceOptions(kind="everything_at_once", variant="released")
    setting = Setting(CLIPS, 1, model.embedding_width, torch.zeros(1, 5))
    present = {
        "video": (given["video"] != 0).any(dim=-1).any(dim=-1),
        "text": (given["words"] != 0).any(dim=-1).any(dim=-1),
        "audio": given["frames"] > 0,
    }
    step = StepInputs(
        given["video"][:, 0],
        given["audio"],
        given["words"],
        torch.zeros(CLIPS, WORDS, dtype=torch.long),
        1,
        given["frames"],
        present,
        units=given["video"],
    )
    loss = make_objective(options, setting)(model, step)["total"].item()
    assert loss == pytest.approx(recorded["loss"], abs=1e-5)


@pytest.mark.parametrize("name", ABLATIONS)
@torch.no_grad()
def test_ablations_are_those_of_the_released_module(name: str, tmp_path: Path) -> None:
    recorded = json.loads(ABLATIONS_RECORDED.read_text())[name]
    model = network(**ABLATIONS[name])
    model.load_state_dict(rows(model))
    model.eval()
    given = inputs()
    tokens = {
        "t": model.word_tokens(given["words"]),
        "v": model.video_tokens(given["video"]),
        "a": model.audio_tokens(given["audio"], given["frames"]),
    }
    for side in recorded.keys() - {"v+a"}:
        found = model.fuse({SIDES[letter]: tokens[letter] for letter in side})
        wanted = torch.tensor(recorded[side])
        torch.testing.assert_close(F.normalize(found, dim=-1), wanted, rtol=0, atol=1e-5)
    single = {letter: model.fuse({SIDES[letter]: tokens[letter]}) for letter in "va"}
    mean, wanted = (single["v"] + single["a"]) / 2, torch.tensor(recorded["v+a"])
    torch.testing.assert_close(mean, wanted, rtol=0, atol=1e-5)
    if name == "transformer_per_modality":
        joined = model.fuse({SIDES[letter]: tokens[letter] for letter in "va"})
        torch.testing.assert_close(joined, mean)
    save_model(tmp_path / "model", model, {})
    again = load_model(tmp_path / "model")[0]
    torch.testing.assert_close(again.embed_text(given["words"]), model.embed_text(given["words"]))


@pytest.mark.parametrize("name", ABLATIONS)
@torch.no_grad()
def test_checkpoints_of_the_ablations_are_read(name: str, tmp_path: Path) -> None:
    own = network(fusion_heads=1, **ABLATIONS[name])
    named = {key.replace("DAVEnet", "davenet"): row for key, row in rows(own).items()}
    if name == "transformer_per_modality":  # the released module has `fusion` under two names
        text = {key: row for key, row in named.items() if key.startswith("fusion.")}
        named |= {key.replace("fusion.", "fusion_text.", 1): row for key, row in text.items()}
    torch.save({"state_dict": named}, tmp_path / "latest_model.pth")
    read = load_published(tmp_path / "latest_model.pth")
    own.load_state_dict(rows(own))
    given = inputs()
    torch.testing.assert_close(
        read.embed_video(given["video"]), own.eval().embed_video(given["video"])
    )


def test_ablations_that_exclude_each_other_are_refused() -> None:
    released = {"kind": "everything_at_once", "variant": "released"}
    for odd, message in (
        ({"class_token": True}, "class_token without shared_projection"),
        ({"transformer_per_modality": True}, "joined modalities above 0"),
        ({"positions": (12, 20, 0)}, "positions of less than one token"),
        ({"variant": "ours", "shared_projection": True}, "for variant released alone"),
    ):
        with pytest.raises(ValueError, match=message):
            EverythingAtOnceOptions.model_validate({**released, **odd})
    with pytest.raises(UserError, match="5 tokens of video, and learned positions for 4"):
        network(positions=(4, 4, 4)).video_tokens(inputs()["video"])


@torch.no_grad()
def test_a_released_checkpoint_is_read(tmp_path: Path) -> None:
    own = network(fusion_heads=1)
    own.load_state_dict(rows(own))
    named = {f"module.{name.replace('DAVEnet', 'davenet')}": row for name, row in rows(own).items()}
    path = tmp_path / "latest_model.pth"
    torch.save({"arch": "EverythingAtOnceModel", "epoch": 15, "state_dict": named}, path)
    read = load_published(path)
    assert isinstance(read, EverythingAtOnceNetwork)
    assert kind_of(read) == "Everything at Once"
    given = inputs()
    wanted = own.eval().embed_audio(given["audio"], given["frames"])
    torch.testing.assert_close(read.embed_audio(given["audio"], given["frames"]), wanted)
    save_model(tmp_path / "model", read, {})
    again = load_model(tmp_path / "model")[0]
    torch.testing.assert_close(again.embed_video(given["video"]), read.embed_video(given["video"]))
    del named["module.video_proj.fc.weight"]
    torch.save({"state_dict": named}, path)
    with pytest.raises(UserError, match=r"has no video_proj\.fc\.weight"):
        load_published(path)


def test_a_clip_of_many_lengths_has_the_rows_of_its_fastest_feature() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        lengths = generator.integers(1, 30, 2).tolist()
        slow, fast = (np.arange(length)[:, None] for length in lengths)
        found = row_tokens([slow, fast], [1.0, 1.5], 12)
        wanted = [int(Fraction(row * lengths[0], lengths[1])) for row in range(lengths[1])]
        assert np.abs(found[0][:, 0] - wanted[:12]).max() <= 1  # float32, as the released code
        assert found[1][:, 0].tolist() == list(range(min(12, lengths[1])))
    exact = row_tokens([np.arange(8)[:, None], np.arange(12)[:, None]], [1.0, 1.5], 12)
    assert exact[0][:, 0].tolist() == [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7]
    assert [len(one) for one in row_tokens([slow[:0], fast], [1.0, 1.5], 12)] == [0, 0]


def test_long_clips_keep_as_many_rows_as_a_network_takes() -> None:
    """Against torch's interpolation and pooling, as create_video_features of the released code calls them."""
    generator = np.random.default_rng(1)
    for _ in range(200):
        count = int(generator.integers(1, 8))
        slow = generator.random((int(generator.integers(count + 1, 40)), 3), np.float32)
        fast = generator.random((int(generator.integers(count + 1, 60)), 2), np.float32)
        given = [torch.from_numpy(one).T[None] for one in (slow, fast)]
        wanted = [F.interpolate(one, size=count, mode="nearest")[0].T for one in given]
        found = row_tokens([slow, fast], [1.0, 1.5], count, "nearest")
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
        kernels = [one.shape[2] // count for one in given]
        if min(kernels) > 1:
            given = [F.max_pool1d(one, size) for one, size in zip(given, kernels, strict=True)]
            slow_pooled, fast_pooled = given
            if fast_pooled.shape[2] <= count:
                slow_pooled = F.interpolate(slow_pooled, size=fast_pooled.shape[2], mode="nearest")
                wanted = [slow_pooled[0].T, fast_pooled[0].T]
            else:
                wanted = [F.interpolate(one, size=count, mode="nearest")[0].T for one in given]
        found = row_tokens([slow, fast], [1.0, 1.5], count, "maximum")
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
    short = [slow[:count], fast[:count]]
    for kind in ("nearest", "maximum"):
        assert [len(one) for one in row_tokens(short, [1.0, 1.5], count, kind)] == [count, count]


@torch.no_grad()
def test_the_columns_of_long_sound_are_chosen_among_those_that_are_heard(
    small: EvaluationSet,
) -> None:
    torch.manual_seed(0)
    model = network(2 * WIDTH, WORD_WIDTH, 16).eval()
    columns, there = torch.rand(3, 10, 4), torch.ones(3, 10, dtype=torch.bool)
    there[1, 7:], there[2, 3:] = False, False
    frames = torch.tensor([640, 64 * 6 + 1, 64 * 2 + 5])
    for kind in ("nearest", "maximum"):
        found = LongSound(kind, 4).choose(columns, there, frames, 64)
        assert found.there.tolist() == [[True] * 4, [True] * 4, [True, True, True, False]]
        assert torch.equal(found.values[2], columns[2, :4])
        six = columns[1, :6].T[None]
        wanted = (
            F.interpolate(six, size=4, mode="nearest")
            if kind == "nearest"
            else F.adaptive_max_pool1d(six, 4)
        )
        assert torch.equal(found.values[1], wanted[0].T)
    vectors = {}
    for kind in ("first", "nearest", "maximum"):
        options = RetrievalOptions(visual_tokens=2, audio_frames=1000, long_clips=kind)
        scored = ClipEmbeddings.of(evaluated(small, options, model))
        clip = next(n for n, one in enumerate(scored.captions.clips) if one.video_id == "toast")
        vectors[kind] = [scored.modalities[letter].vectors[clip] for letter in "va"]
    for one in ("nearest", "maximum"):
        assert not np.allclose(vectors["first"], vectors[one], atol=1e-4)


@pytest.mark.parametrize(
    ("start", "end", "rate", "rows"),
    [(0, 1, 1.0, (0, 1)), (0, 1, 1.5, (0, 2)), (3, 4, 1.5, (4, 6)), (9, 12, 1.5, (13, 15))],
)
def test_accurate_borders(start: float, end: float, rate: float, rows: tuple[int, int]) -> None:
    found = accurate_rows(start, end, rate, 15)
    assert (found.start, found.stop) == rows


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> EvaluationSet:
    return make_set(tmp_path_factory.mktemp("set"))


@torch.no_grad()
def test_pictures_and_sound_are_searched_as_one(small: EvaluationSet) -> None:
    torch.manual_seed(0)
    model = network(2 * WIDTH, WORD_WIDTH, 16).eval()
    options = RetrievalOptions(visual_tokens=4, audio_frames=1000)
    given = evaluated(small, options, model)
    found = ClipEmbeddings.of(given)
    clip = next(n for n, one in enumerate(found.captions.clips) if one.video_id == "toast")
    moment = found.captions.clips[clip]
    assert (moment.start, moment.end) == (0.0, 5.0)
    stores = [FeatureStore(small.shards[name])["toast"].values for name in given.inputs.video]
    pictures = [stores[0][:6], stores[1][:8]]  # int(5 * rate) + 1 rows
    slow, fast = (torch.from_numpy(one.astype(np.float32)) for one in pictures)
    slow = F.interpolate(slow.T[None], size=8, mode="nearest")[0].T
    video = torch.cat([F.normalize(slow[:4]), F.normalize(fast[:4])], dim=1)[None]
    sound = FeatureStore(small.shards["logmel"])["toast"].values[: 4 * 64]
    audio = torch.from_numpy(sound.astype(np.float32)).T[None]
    wanted = model.embed_joined({"video": [video], "audio": [audio, torch.tensor([4 * 64])]})
    np.testing.assert_allclose(found.side("va").vectors[clip], wanted[0], atol=1e-5)
    parts = found.modalities["v"].vectors[clip] + found.modalities["a"].vectors[clip]
    assert (
        np.abs(F.normalize(torch.from_numpy(parts), dim=0).numpy() - wanted[0].numpy()).max() > 1e-3
    )
    mute = next(n for n, one in enumerate(found.captions.clips) if one.video_id == "mute")
    assert not found.side("va").usable[mute]
    assert set(found.joined) == {"va", "ta", "tv"}
    alone = F.normalize(torch.from_numpy(parts), dim=0).numpy()
    np.testing.assert_allclose(found.side("v+a").vectors[clip], alone, atol=1e-6)
    assert set(found.pairs) == {*PAIRS, *SUM_PAIRS}


@torch.no_grad()
def test_a_second_is_seen_and_heard_with_those_beside_it(small: EvaluationSet) -> None:
    from mcn.evaluation.seconds import SecondScorer

    torch.manual_seed(0)
    model = network(2 * WIDTH, WORD_WIDTH, 16).eval()
    for radius, rows in ((0, slice(4, 6)), (1, slice(3, 8))):
        given = evaluated(small, LocalizationOptions(token_radius_seconds=radius), model)
        found = SecondScorer(given).embed("toast")
        assert not isinstance(found, str)
        fast = FeatureStore(small.shards["resnext101"])["toast"].values[rows].astype(np.float32)
        slow = FeatureStore(small.shards["resnet152"])["toast"].values.astype(np.float32)
        slow = torch.from_numpy(slow[3 - radius : 4 + radius])
        slow = F.interpolate(slow.T[None], size=len(fast), mode="nearest")[0].T
        video = torch.cat([F.normalize(slow), F.normalize(torch.from_numpy(fast))], dim=1)[:TOKENS]
        np.testing.assert_allclose(
            found.modes["v"][3], model.embed_video(video[None])[0], atol=1e-5
        )
        assert not np.allclose(found.modes["va"], found.modes["v"] + found.modes["a"], atol=1e-3)
