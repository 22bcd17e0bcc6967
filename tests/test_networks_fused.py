"""AVLnet-Text-Fused: the formula by hand, its checkpoint, its loss, and what it is scored on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.evaluation.retrieval.stage import early_scores, evaluate
from mcn.networks import FusedSoundTextNetwork, ResDavenet
from mcn.networks.checkpoints import load_model, load_published, save_model
from mcn.networks.mcn import pool_audio
from mcn.objectives.mcn import masked_margin_softmax
from mcn.objectives.objective import StepInputs, make_objective
from mcn.options.contrast import AvlnetOptions
from mcn.options.evaluation import RetrievalOptions
from mcn.published.import_checkpoint import kind_of
from tests.evaluation_set import WIDTH, WORD_WIDTH, EvaluationSet, evaluated, make_set
from tests.objective_inputs import setting
from tests.test_checkpoints import audio_rows, gate, gated_rows, linear_rows

D = 8


def published_rows() -> dict[str, torch.Tensor]:
    """Rows named as the released model names its own (`tri_modal_fuse`), the gate that it does not use included."""
    torch.manual_seed(0)
    rows = audio_rows() | linear_rows("DAVEnet_projection", 6, D // 2)
    rows |= gated_rows("GU_video", 10, D) | gated_rows("GU_audio", 6, 6)
    rows |= linear_rows("text_pooling_caption.fc", 5, D // 2)
    for part in ("fc_audio", "fc_text"):
        rows |= linear_rows(f"GU_audio_text.{part}", D // 2, D)
    return rows | linear_rows("GU_audio_text.cg.fc", D, D)


def linear(rows: dict[str, torch.Tensor], name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, rows[f"{name}.weight"], rows[f"{name}.bias"])


@torch.no_grad()
def test_a_released_checkpoint_gives_the_formula(tmp_path: Path) -> None:
    rows = published_rows()
    torch.save(rows, tmp_path / "AVLnet_Text_Fused_release.pth")
    network = load_published(tmp_path / "AVLnet_Text_Fused_release.pth")
    assert isinstance(network, FusedSoundTextNetwork)
    assert kind_of(network) == "AVLnet-Text-Fused"
    sound, frames, words = (
        -40 * torch.rand(3, 40, 160),
        torch.tensor([160, 90, 3]),
        torch.randn(3, 4, 5),
    )
    davenet = ResDavenet((3, 4, 5, 6)).eval()
    davenet.load_state_dict(
        {n.removeprefix("DAVEnet."): r for n, r in rows.items() if "DAVEnet." in n}
    )
    heard = linear(rows, "DAVEnet_projection", pool_audio(davenet(sound), 160, frames))
    said = linear(rows, "text_pooling_caption.fc", words).relu().amax(dim=1)
    both = linear(rows, "GU_audio_text.fc_audio", heard) + linear(
        rows, "GU_audio_text.fc_text", said
    )
    wanted = both * linear(rows, "GU_audio_text.cg.fc", both).sigmoid()
    found = network.embed_joined({"audio": (sound, frames), "text": (words,)})
    torch.testing.assert_close(found, wanted)
    pictures = torch.randn(3, 10)
    torch.testing.assert_close(network.embed_video(pictures), gate(rows, "GU_video", pictures))
    save_model(tmp_path / "model", network, {})
    again = load_model(tmp_path / "model")[0]
    torch.testing.assert_close(
        again.embed_joined({"audio": (sound, frames), "text": (words,)}), wanted
    )
    for alone in (lambda: network.embed_text(words), lambda: network.embed_audio(sound)):
        with pytest.raises(UserError, match=r"without a branch for (sound|text) without"):
            alone()
    with pytest.raises(UserError, match="video and text"):
        network.embed_joined({"video": (pictures,), "text": (words,)})


def test_the_loss_is_that_of_sound_with_text_against_pictures() -> None:
    options = AvlnetOptions(kind="avlnet", text="fused", variant="released")
    given = StepInputs(
        torch.randn(6, 10),
        torch.randn(6, 4),
        torch.randn(6, 3, 5),
        torch.ones(6, 3, dtype=torch.long),
        2,
        present={"audio": torch.tensor([True, True, False, True, True, True])},
    )
    network = FusedSoundTextNetwork(10, 5, D, None, 4)
    found = make_objective(options, setting(3, 2))(network, given)["total"]
    there = [0, 1, 3, 4, 5]
    both = network.embed_joined({"audio": (given.audio,), "text": (given.words,)})[there]
    wanted = masked_margin_softmax(both @ network.embed_video(given.video)[there].T, 0.001)
    torch.testing.assert_close(found, wanted)
    found.backward()
    assert all(row.grad is not None for row in network.parameters())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> EvaluationSet:
    return make_set(tmp_path_factory.mktemp("set"))


def test_it_is_scored_by_sound_with_text_and_pictures_alone(small: EvaluationSet) -> None:
    torch.manual_seed(0)
    network = FusedSoundTextNetwork(2 * WIDTH, WORD_WIDTH, D, (4, 4, 6, 8)).eval()
    given = evaluated(small, RetrievalOptions(audio_frames=1000), network)
    result = evaluate(given)
    assert set(result["scores"]) == {"ta->v", "v->ta"}
    assert result["missing"]["audio: no_audio"] > 0
    assert 0 < result["n"] < result["total"]
    assert set(early_scores(given)) == {"ta->v"}


def test_it_is_not_scored_where_text_stands_alone() -> None:
    values = {
        "features": {"word2vec": {"vectors": "vectors.bin"}},
        "datasets": {
            "trained": {"manifest": "m.csv"},
            "scored": {
                "manifest": "n.csv",
                "captions": "c.csv",
                "tasks": "t.csv",
                "steps": "s.csv",
            },
        },
        "experiments": {
            "fused": {
                "dataset": "trained",
                "objective": {"kind": "avlnet", "text": "fused", "variant": "released"},
            },
            "added": {"dataset": "trained", "objective": {"kind": "avlnet", "text": "fused"}},
        },
    }
    found = {(name, task) for name, _, task in configure(values).evaluations()}
    assert ("fused", "retrieval") in found
    assert ("fused", "localization") not in found
    assert ("added", "localization") in found
