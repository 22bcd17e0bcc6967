"""Published features and checkpoints through the workflow: no video, no training, scores and ledger all the same."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.test_checkpoints import mcn_rows, miech_rows, saved
from tests.test_networks_everything_at_once import network, rows
from tests.test_networks_fused import published_rows as fused_rows

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.workflow, pytest.mark.slow]
WORDS = ("cut", "the", "apple", "wash", "stir", "pan")


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["snakemake", "--configfile", str(folder / "config.yaml"), "--directory", str(folder)]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--cores", str(os.cpu_count()), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A finished run on a pickle of clips and on a folder of feature files, with two published checkpoints."""
    folder = tmp_path_factory.mktemp("published")
    generator = np.random.default_rng(0)
    clips = [
        {
            "id": f"clip{n // 2}",
            "2d": generator.random(5, np.float32),
            "3d": generator.random(5, np.float32),
            "audio": (generator.random((40, 150)) * -80).astype(np.float32) if n else None,
            "caption": f"{WORDS[n]} the {WORDS[-1 - n]}",
        }
        for n in range(6)
    ]
    (folder / "clips.pkl").write_bytes(pickle.dumps(clips, 4))
    files = folder / "feature files"
    files.mkdir()
    for stream, width in (("2d", 5), ("3d", 5)):
        np.savez(files / f"one_{stream}.npz", features=generator.random((8, width), np.float32))
    pd.DataFrame({"video_id": ["one", "two"], "path": ["one.mp4", "two.mp4"]}).to_csv(
        folder / "manifest.csv", index=False
    )
    whole_rows(folder, generator)
    steps_of_crosstask(folder, generator)
    vectors = "\n".join(f"{word} {' '.join(map(str, generator.random(5)))}" for word in WORDS)
    (folder / "vectors.txt").write_text(vectors + "\n")
    saved(folder, mcn_rows(), "e16.pth")
    saved(folder, miech_rows(), "howto100m_pt_model.pth")
    saved(folder, fused_rows(), "AVLnet_Text_Fused_release.pth")
    values = {
        "datasets": {
            "clips": {"published_features": {"clips": "clips.pkl"}, "shards": 2},
            "tuning": {
                "published_features": {"clips": "clips.pkl"},
                "narration_table": "captions",
                "shards": 1,
            },
            "rows": {"published_features": {"clips": "rows.pkl", "rows": "full"}, "shards": 1},
            "rows_tuning": {
                "published_features": {"clips": "rows.pkl", "rows": "full"},
                "narration_table": "captions",
                "shards": 1,
            },
            "steps": {
                "manifest": "steps/manifest.csv",
                "tasks": "steps/tasks.csv",
                "steps": "steps/steps.csv",
                "published_features": {"directory": "steps/features", "layout": "crosstask"},
                "shards": 1,
            },
            "files": {
                "manifest": "manifest.csv",
                "published_features": {"directory": "feature files"},
                "shards": 1,
            },
        },
        "features": {
            "word2vec": {"vectors": "vectors.txt"},
        },
        "seeding": {"shards": 2},
        "experiments": {
            "mcn": {"checkpoint": "e16.pth"},
            "miech": {"checkpoint": "howto100m_pt_model.pth"},
            "tuned": {
                "dataset": "tuning",
                "model": {"embedding_width": 7, "davenet_widths": [3, 4, 5, 6]},
                "objective": {"kind": "avlnet", "text": "summed"},
                "training": {
                    "start_from": "e16.pth",
                    "keep_state": True,
                    "keep_epochs": 1,
                    "schedule": "epochs",
                    "epochs": 2,
                    "warmup_steps": 0,
                    "videos_per_batch": 2,
                    "clips_per_video": 1,
                    "min_clip_seconds": 0,
                    "audio_frames": 160,
                    "empty_clips": "keep",
                },
            },
            "eao": {
                "checkpoint": "latest_model.pth",
                "objective": {"kind": "everything_at_once", "variant": "released"},
            },
            "eao_tuned": {
                "base": "tuned",
                "dataset": "rows_tuning",
                "model": {"embedding_width": 4, "davenet_widths": [4, 4, 6, 6, 8, 8]},
                "objective": {
                    "kind": "everything_at_once",
                    "variant": "released",
                    "visual_tokens": 5,
                    "fusion_width": 12,
                    "fusion_heads": 1,
                    "fusion_layers": 2,
                },
                "training": {
                    "start_from": "latest_model.pth",
                    "keep_epochs": None,
                    "batch_norm": "frozen",
                    "empty_clips": "mask",
                },
            },
            "fused": {
                "checkpoint": "AVLnet_Text_Fused_release.pth",
                "objective": {"kind": "avlnet", "text": "fused", "variant": "released"},
            },
            "fused_tuned": {
                "base": "tuned",
                "model": {"embedding_width": 8},
                "objective": {"kind": "avlnet", "text": "fused", "variant": "released"},
                "training": {
                    "start_from": "AVLnet_Text_Fused_release.pth",
                    "keep_epochs": None,
                    "schedule": "constant",
                },
            },
            "of_steps": {
                "base": "tuned",
                "dataset": "steps",
                "model": {"video": ["i3d", "resnet152"], "audio": "vggish"},
                "objective": {"kind": "norm_softmax"},
                "training": {"start_from": None, "keep_epochs": None},
            },
            "further": {
                "base": "tuned",
                "training": {"start_from": "results/models/tuned", "start_state": "all"},
            },
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    done = snakemake(folder)
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    return folder


def whole_rows(folder: Path, generator: np.random.Generator) -> None:
    """A pickle of clips with all their rows, and a released checkpoint of the network that reads them."""
    clips = [
        {
            "id": f"clip{n}",
            "2d_full": generator.random((4, 5), np.float32),
            "3d_full": generator.random((6, 5), np.float32),
            "audio": (generator.random((40, 250)) * -80).astype(np.float32),
            "caption": f"{WORDS[n]} the {WORDS[-1 - n]}",
        }
        for n in range(6)
    ]
    (folder / "rows.pkl").write_bytes(pickle.dumps(clips, 4))
    made = network(fusion_heads=1)
    named = {name.replace("DAVEnet", "davenet"): row for name, row in rows(made).items()}
    torch.save({"state_dict": named}, folder / "latest_model.pth")


def steps_of_crosstask(folder: Path, generator: np.random.Generator) -> None:
    """Two narrated videos of one task with arrays of 3,200 columns, annotated over one second more than they have."""
    (folder / "steps/features").mkdir(parents=True)
    manifest, steps = (
        ["video_id,path,narration"],
        ["video_id,task,step,start_seconds,end_seconds,video_seconds"],
    )
    for name in ("one", "two"):
        np.save(folder / f"steps/features/{name}.npy", generator.random((12, 3200), np.float32))
        lines = "start,end,text\n0,4,cut the apple\n5,9,stir the pan\n"
        (folder / f"steps/{name}.csv").write_text(lines)
        manifest.append(f"{name},{name}.mp4,{name}.csv")
        steps += [f"{name},7,0,1,3,13", f"{name},7,1,6,8,13"]
    (folder / "steps/manifest.csv").write_text("\n".join(manifest) + "\n")
    (folder / "steps/steps.csv").write_text("\n".join(steps) + "\n")
    (folder / "steps/tasks.csv").write_text("task,step,text\n7,0,cut apple\n7,1,stir pan\n")


def test_all_rows_of_clips_are_read_by_a_network_of_rows(project):
    """Everything at Once: a released checkpoint, and one that was tuned from it with its batch norms as they were."""
    scored = project / "results/evaluation"
    assert sorted(path.parent.name for path in scored.glob("*/rows.retrieval.json")) == [
        "eao",
        "eao_tuned",
    ]
    assert not list(scored.glob("eao*/clips.*"))
    for experiment in ("eao", "eao_tuned"):
        scores = json.loads((scored / experiment / "rows.retrieval.json").read_text())
        assert (scores["n"], scores["total"]) == (6, 6)
    weights = [
        load_file(project / f"results/models/{one}/model.safetensors")
        for one in ("eao", "eao_tuned")
    ]
    kept, moved = "DAVEnet.bn1.running_mean", "video_proj.fc.weight"
    assert torch.equal(weights[0][kept], weights[1][kept])
    assert not torch.equal(weights[0][moved], weights[1][moved])


def test_sound_with_text_is_searched_and_fine_tuned_as_one(project):
    for name in ("fused", "fused_tuned"):
        result = json.loads(
            (project / f"results/evaluation/{name}/clips.retrieval.json").read_text()
        )
        assert set(result["scores"]) == {"ta->v", "v->ta"}
        assert (result["n"], result["total"]) == (5, 6)  # one clip has no sound
        assert not (project / f"results/evaluation/{name}/steps.localization.json").exists()
    config = yaml.safe_load((project / "results/models/fused/config.yaml").read_text())
    assert config["imported"]["kind"] == "AVLnet-Text-Fused"
    released = load_file(project / "results/models/fused/model.safetensors")
    tuned = load_file(project / "results/models/fused_tuned/model.safetensors")
    name = "GU_audio_text.fc_audio.weight"
    assert 0 < (released[name] - tuned[name]).abs().max() < 0.1


def test_arrays_of_crosstask_are_trained_on_and_scored(project):
    config = yaml.safe_load((project / "results/models/of_steps/config.yaml").read_text())
    assert config["features"] == {
        "audio": "vggish",
        "text": "word2vec",
        "video": ["i3d", "resnet152"],
    }
    assert config["network"]["video_width"] == 1024 + 2048
    found = json.loads(
        (project / "results/evaluation/of_steps/steps.localization.json").read_text()
    )
    assert (found["n"], found["total"]) == (2, 2)
    assert [line["seconds"] for line in found["timelines"]] == [13, 13]
    assert not list((project / "results/evaluation").glob("mcn/steps.*"))  # no motion features here


def test_published_clips_are_scored_by_published_models(project):
    for experiment, pairs in (("mcn", {"t->va", "v->a"}), ("miech", {"t->v", "v->t"})):
        path = project / f"results/evaluation/{experiment}/clips.retrieval.json"
        scores = json.loads(path.read_text())
        assert pairs <= scores["scores"].keys()
        assert scores["total"] == 6
    assert (project / "results/report.html").stat().st_size > 0


def test_models_are_fine_tuned_on_the_captions_of_clips(project):
    """From a published checkpoint, and further from the model and the state that this made."""
    for experiment, start in (("tuned", "e16.pth"), ("further", "results/models/tuned")):
        folder = project / "results/models" / experiment
        config = yaml.safe_load((folder / "config.yaml").read_text())
        assert config["options"]["training"]["start_from"] == start
        assert config["training_set"]["videos"] == 5  # one is silent
        assert (folder / "state.pt").exists()
        scores = project / f"results/evaluation/{experiment}/clips.retrieval.json"
        assert json.loads(scores.read_text())["total"] == 6
    assert not list((project / "results/evaluation").glob("*/tuning.*"))  # trained on, not scored


def test_every_epoch_is_scored_in_one_target(project):
    done = snakemake(project, "sweep")
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    table = pd.read_csv(project / "results/sweep.csv")
    assert {("tuned", 1), ("tuned", 2)} <= set(zip(table.experiment, table.epoch, strict=True))
    last = table[(table.experiment == "tuned") & (table.epoch == 2)].set_index("measure").value
    scores = json.loads((project / "results/evaluation/tuned/clips.retrieval.json").read_text())
    assert last["t->va R@5"] == scores["scores"]["t->va"]["R@5"]
    assert "tuned" in (project / "results/sweep.html").read_text()


def test_the_ledger_accounts_for_what_was_not_published(project):
    ledger = pd.read_parquet(project / "results/files/ledger.parquet").set_index(
        ["video_id", "stream"]
    )
    assert ledger.loc[("one", "resnet152"), "status"] == "ok"
    assert ledger.loc[("two", "resnet152"), "code"] == "not_found"
    assert ledger.loc[("one", "logmel"), "code"] == "no_audio"
    clips = pd.read_parquet(project / "results/clips/ledger.parquet")
    silent = clips[(clips.stream == "logmel") & (clips.status == "missing")]
    assert silent.video_id.tolist() == ["clip0"]


def test_a_second_run_has_nothing_to_do(project):
    assert "Nothing to be done" in snakemake(project).stderr


def test_another_file_than_the_pinned_one_stops(project):
    values = yaml.safe_load((project / "config.yaml").read_text())
    values["experiments"]["mcn"]["checkpoint_sha256"] = "0" * 64
    other = project / "pinned"
    other.mkdir()
    for name in ("e16.pth", "howto100m_pt_model.pth", "clips.pkl", "vectors.txt", "manifest.csv"):
        (other / name).symlink_to(project / name)
    (other / "config.yaml").write_text(yaml.safe_dump(values))
    target = "results/models/mcn/model.safetensors"
    assert snakemake(other, target).returncode != 0
    log = (other / "results/logs/import_checkpoint/mcn.log").read_text()
    assert "checkpoint_sha256" in log
