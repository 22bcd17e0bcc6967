"""The released network of Everything at Once: its recorded outputs, its tokens, its checkpoints, and its evaluation.

tests/recorded/everything_at_once.json holds what the released module and loss gave (`ninatu/everything_at_once` at
4daeab6, run in an environment of its own, not part of the project) for the weights and inputs of `rows` and `inputs`.
"""

from __future__ import annotations

import json
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mcn.errors import UserError
from mcn.evaluation.retrieval.pairs import ClipEmbeddings
from mcn.networks import EverythingAtOnceNetwork
from mcn.networks.checkpoints import load_model, load_published, save_model
from mcn.objectives.objective import Setting, StepInputs, make_objective
from mcn.options.evaluation import LocalizationOptions, RetrievalOptions
from mcn.options.objectives import EverythingAtOnceOptions
from mcn.published.import_checkpoint import kind_of
from mcn.shards import FeatureStore
from mcn.shards.clips import accurate_rows, row_tokens
from tests.evaluation_set import WIDTH, WORD_WIDTH, EvaluationSet, evaluated, make_set

RECORDED = Path(__file__).parent / "recorded" / "everything_at_once.json"
CLIPS, TOKENS, WORDS, FRAMES = 6, 5, 4, 256
SIDES = {"t": "text", "v": "video", "a": "audio"}


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
