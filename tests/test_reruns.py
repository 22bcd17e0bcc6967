"""What is remade when a key, a module or a file changes: the table, and dry runs of a finished project that agree.

The project is finished without any work: its outputs are empty files, which `snakemake --touch` records as made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from mcn.config.code import GROUND, PACKAGE, modules_of
from mcn.config.configuration import configure
from mcn.config.jobs import parts, told
from mcn.config.reruns import FILES, LEAVES, STAGES, fits, remade
from mcn.features.registry import OWN_ENCODER

ROOT = Path(__file__).parent.parent
PAGES = {name for name, stage in STAGES.items() if stage.section == ""}

# Modules that compute nothing that a rule makes, and why.
APART = {
    "mcn.commands": "argument parsing",
    "mcn.config": "puts the configuration together, which is what stages are told",
    "mcn.options": "declares the configuration",
    "mcn.evaluation.alignment.files": "mcn align",
    "mcn.evaluation.basis": "says what answers rest on",
    "mcn.sources.doctor": "looks at files for a person",
    "mcn.sources.folders": "mcn run: finds files",
    "mcn.media.cutting": "mcn search --clip",
    "mcn.search": "answers queries",
    "mcn.upkeep": "looks after what was made; retry writes by the stages themselves",
    "mcn.published": "what others released: read and compared on request",
    "mcn.report.feature_comparison": "a page of mcn compare features",
    "mcn.study.run": "starts the workflow",
    "mcn.sources.action_folders": "mcn import actions",
    "mcn.distributed": "starts processes",
    "mcn.report.table_files": "writes tables that are built elsewhere",
}


FRAMES, SOUND = {"frames_per_second": 2, "short_side": 64}, {"sample_rate": 16000}
LIBRARIES = {
    **{
        f"{library}_{kind}": {"reads": FRAMES}
        for library, kind in (
            ("timm", "picture"),
            ("open_clip", "picture"),
            ("transformers", "picture"),
            ("transformers", "video"),
            ("torchvision", "picture"),
            ("torchvision", "video"),
        )
    },
    "transformers_audio": {"reads": SOUND},
    "open_clip_text": {},
    "transformers_text": {},
}


@pytest.fixture(scope="module")
def settings():
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["features"] |= {
        name: {"encoder": name, "model": "someone/model", **row} for name, row in LIBRARIES.items()
    }
    comparison = yaml.safe_load((ROOT / "config/comparison.yaml").read_text())
    values["study"] = comparison["study"]
    values["experiments"] |= {
        name: one for name, one in comparison["experiments"].items() if one and name != "mcn"
    }
    values["datasets"]["demo_train"] |= {"tasks": "tasks.csv", "steps": "steps.csv"}
    values["experiments"]["supervised"] = {"base": "mcn", "objective": {"kind": "supervised"}}
    trained = {"vectors": "results/weights/own_words.bin", "train": {"dataset": "demo_train"}}
    values["features"]["own_words"] = {"kind": "text", "encoder": "word2vec", **trained}
    values["rendered"] = {"more": {"videos": 1, "tasks": [[0, 1]]}}
    return configure(values)


def jobs(settings):
    """Every stage with the wildcards that its section has."""
    for name, stage in STAGES.items():
        section = stage.section or ""
        if "{evaluation}" in section:
            continue  # no evaluation of one's own in these settings
        for dataset in settings.datasets if "{dataset}" in section else ["demo_test"]:
            for experiment in settings.experiments if "{experiment}" in section else ["mcn"]:
                for feature in settings.features if "{feature}" in section else ["logmel"]:
                    found = {"dataset": dataset, "experiment": experiment, "feature": feature}
                    yield name, {**found, "set": "more"}


def all_told(settings):
    """What every job is told; pages are told the same, so that one stands for all of them."""
    return {
        (name, *wildcards.values()): told(settings, name, wildcards)
        for name, wildcards in jobs(settings)
        if name not in PAGES or name == min(PAGES)
    }


def instances(value, keys):
    """The sections of a configuration that a dotted key with stars names, and the last part of the key."""
    *path, last = keys
    sections = [value]
    for key in path:
        found = []
        for one in sections:
            if isinstance(one, Mapping):
                found += one.values() if key == "*" else [one[key]] if key in one else []
            elif getattr(one, key, None) is not None:
                found.append(getattr(one, key))
        sections = found
    return [one for one in sections if last in getattr(type(one), "model_fields", {})], last


@pytest.mark.parametrize("section", sorted({leaf.split(".")[0] for leaf in LEAVES}))
def test_the_table_says_what_the_parameters_of_the_rules_do(settings, section):
    """Every leaf is changed in turn; the stages that are told something else are those of the table."""
    before = all_told(settings)
    for leaf in [one for one in LEAVES if one.split(".")[0] == section]:
        found, last = instances(settings, leaf.split("."))
        values = [one.__dict__[last] for one in found]
        for one in found:
            one.__dict__[last] = "changed"
        after = all_told(settings)
        for one, value in zip(found, values, strict=True):
            one.__dict__[last] = value
        changed = {key[0] for key in before if before[key] != after[key]}
        if changed & PAGES:
            changed |= PAGES
        if found:
            assert changed <= set(remade(leaf)), leaf
            assert set(remade(leaf)) - changed <= _of_files(leaf), leaf


def _of_files(leaf):
    """Rules whose inputs a leaf changes, by the patterns of the table."""
    return {rule for pattern, rules in FILES.items() if fits(leaf, pattern) for rule in rules}


def test_every_leaf_that_changes_numbers_remakes_more_than_pages():
    silent = [
        leaf for leaf, role in LEAVES.items() if role == "recipe" and not set(remade(leaf)) - PAGES
    ]
    assert silent == [], "name the stage that reads it in mcn/config/reruns.py"
    loud = [leaf for leaf, role in LEAVES.items() if role == "runtime" and remade(leaf)]
    assert loud == []
    labels = [leaf for leaf, role in LEAVES.items() if role == "label"]
    assert all(set(remade(leaf)) == PAGES for leaf in labels)


def test_every_module_that_computes_is_counted_by_a_stage(settings):
    """A new module is imported by some stage, or stands in the list of those that compute nothing."""
    counted = set()
    for name, wildcards in jobs(settings):
        counted |= set(modules_of(parts(settings, name, wildcards)))
    for kind in ("howto100m", "youcook2", "msrvtt", "crosstask", "mining_youtube"):
        counted |= set(modules_of((f"mcn.sources.{kind}",)))
    counted |= set(modules_of((OWN_ENCODER.make,)))
    counted |= set(modules_of(("mcn.evaluation.recognition.probe",)))  # named by import path
    modules = {
        ".".join(("mcn", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        for path in PACKAGE.rglob("*.py")
    }
    rooms = {one for one in modules if any(other.startswith(f"{one}.") for other in modules)}
    left = [
        one
        for one in sorted(modules - rooms - counted - GROUND - {"mcn.__main__"})
        if not any(f"{one}.".startswith(f"{apart}.") for apart in APART)
    ]
    assert left == []


class Project:
    """A finished project of empty files, and a copy of the workflow and the package that may be edited."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tree = folder, folder / "tree"
        ignored = shutil.ignore_patterns("__pycache__", "assets")
        for name in ("mcn", "workflow", "profiles", "envs"):
            shutil.copytree(ROOT / name, self.tree / name, ignore=ignored)
        shutil.copy(ROOT / "Snakefile", self.tree)
        videos = folder / "videos"
        videos.mkdir()
        rows = ["video_id,path,narration"]
        for name in "abcdefgh":
            (videos / f"{name}.mp4").write_text(name)
            (videos / f"{name}.srt").write_text(f"1\n00:00:00,000 --> 00:00:01,000\n{name}\n")
            rows.append(f"{name},{name}.mp4,{name}.srt")
        (videos / "manifest.csv").write_text("\n".join(rows) + "\n")
        for name in ("captions.csv", "tasks.csv", "steps.csv"):
            (videos / name).write_text("x\n")
        (folder / "vectors.bin").write_text("x")
        (folder / "audio.pth").write_text("x")
        self.write({})
        summary = self.snakemake("--summary")
        for line in summary.splitlines():
            name = line.split("\t")[0]
            if name.startswith("results/"):
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.mkdir() if path.name == "tensorboard" else path.touch()
        self.snakemake("--touch", "--forceall", "--cores", "1")

    def write(self, changes: dict) -> None:
        """The configuration with dotted keys changed."""
        values = yaml.safe_load((ROOT / "config.yaml").read_text())
        del values["demo"]
        values["datasets"] = {
            "own": {
                "manifest": "videos/manifest.csv",
                "captions": "videos/captions.csv",
                "tasks": "videos/tasks.csv",
                "steps": "videos/steps.csv",
                "shards": 2,
            }
        }
        values["features"]["word2vec"]["vectors"] = "vectors.bin"
        values["experiments"]["mcn"].setdefault("model", {})["audio_weights"] = "audio.pth"
        text = yaml.safe_dump(values).replace("demo_train", "own").replace("demo_test", "own")
        values = yaml.safe_load(text)
        for key, value in changes.items():
            section = values
            *path, last = key.split(".")
            for part in path:
                section = section.setdefault(part, {})
            section[last] = value
        (self.folder / "config.yaml").write_text(yaml.safe_dump(values))

    def snakemake(self, *arguments: str) -> str:
        command = [
            "snakemake",
            "--snakefile",
            str(self.tree / "Snakefile"),
            "--directory",
            str(self.folder),
        ]
        done = subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(self.tree)},
            cwd=self.folder,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def planned(self) -> dict[str, int]:
        """Rule -> number of jobs of a dry run."""
        output = self.snakemake("--dry-run", "--cores", "1")
        if "Job stats:" not in output:
            assert "Nothing to be done" in output
            return {}
        table = output[output.index("Job stats:") :].split("\n\n")[0].splitlines()[3:]
        return {line.split()[0]: int(line.split()[1]) for line in table if "total" not in line}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    return Project(tmp_path_factory.mktemp("finished"))


AFTER = {"report": 1, "all": 1}
SCORES = {"evaluate_retrieval": 1, "evaluate_localization": 1, "evaluate_alignment": 1, **AFTER}


def test_a_dry_run_after_a_run_and_with_other_limits_plans_nothing(project):
    assert project.planned() == {}
    project.write(
        {
            "decode.time_limit_seconds": 90,
            "decode.memory_limit_mb": 4096,
            "runtime.device": "cpu",
            "features.word2vec.cache": "elsewhere",
            "experiments.mcn.training.loader_workers": 1,
            "experiments.mcn.training.checkpoint_every_steps": 7,
            "keep_decoded": True,
        }
    )
    assert project.planned() == {}


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (
            {"datasets.own.benchmark": "youcook2", "title": "x", "datasets.own.synthetic": True},
            AFTER,
        ),
        ({"datasets.own.localization.timelines": 9}, {"evaluate_localization": 1, **AFTER}),
        ({"experiments.mcn.training.epochs": 3}, {"train": 1, **SCORES}),
    ],
)
def test_a_changed_key_remakes_what_reads_it(project, changes, wanted):
    project.write(changes)
    assert project.planned() == wanted
    project.write({})


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("objectives/mcn.py", {"train": 1, **SCORES}),
        ("objectives/xdc.py", {}),
        ("evaluation/localization/stage.py", {"evaluate_localization": 1, **AFTER}),
    ],
)
def test_an_edited_module_remakes_what_it_computes(project, file, wanted):
    path = project.tree / "mcn" / file
    before = path.read_text()
    path.write_text(before + "\nEDITED = True\n")
    planned = project.planned()
    path.write_text(before + "\n# a comment\n")
    after = project.planned() if file == "objectives/mcn.py" else {}
    path.write_text(before)
    assert planned == wanted
    assert after == {}


def test_other_weights_of_the_audio_network_with_an_old_time_train_anew(project):
    weights = project.folder / "audio.pth"
    time = weights.stat()
    weights.write_text("y")
    os.utime(weights, ns=(time.st_atime_ns, time.st_mtime_ns))
    assert project.planned() == {"train": 1, **SCORES}
    weights.write_text("x")
    os.utime(weights, ns=(time.st_atime_ns, time.st_mtime_ns))


def test_a_replaced_video_and_an_edited_narration_remake_their_shard(project):
    video = project.folder / "videos/d.mp4"
    shutil.copy2(video, project.folder / "videos/new")
    (project.folder / "videos/new").replace(video)
    planned = project.planned()
    assert planned["decode_frames"] == planned["decode_audio"] == planned["resnet152"] == 1
    assert not {"prepare", "list_videos", "word2vec"} & set(planned)
    narration = project.folder / "videos/a.srt"
    time = narration.stat()
    narration.write_text(narration.read_text().replace("a", "onion"))
    os.utime(narration, ns=(time.st_atime_ns, time.st_mtime_ns))
    both = project.planned()
    assert both["prepare"] == both["list_narration"] == both["vocabulary"] == 1
    assert both["word2vec"] == 2, "the vocabulary has changed"
    assert both["decode_frames"] == 1
    assert "list_videos" not in both


def test_a_new_row_with_an_old_time_remakes_its_shard(project):
    manifest = project.folder / "videos/manifest.csv"
    time = manifest.stat()
    (project.folder / "videos/i.mp4").write_text("i")
    manifest.write_text(manifest.read_text() + "i,i.mp4,\n")
    os.utime(manifest, ns=(time.st_atime_ns, time.st_mtime_ns))
    planned = project.planned()
    assert planned["prepare"] == planned["list_videos"] == 1
