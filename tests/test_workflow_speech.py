"""The rules of what is said, on real files: subtitles, files beside them, and an index that follows both."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from mcn.search.words import WordsIndex
from tests.media_files import run_ffmpeg

ROOT = Path(__file__).parent.parent
SHARDS = 2
SAID = {"apple": "a red apple", "pear": "a green pear", "plum": "a blue plum"}
TARGETS = ("results/own/words.sqlite", "word2vec_shards")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spoken")
    for name, text in SAID.items():
        cue = folder / "cue.srt"
        cue.write_text(f"1\n00:00:00,500 --> 00:00:01,500\n{text}\n")
        picture = "-f lavfi -i testsrc=size=64x64:rate=5:duration=2"
        codec = "-map 0:v -map 1 -c:s mov_text"
        run_ffmpeg([*f"{picture} -i {cue} {codec} {folder}/{name}.mp4".split()])
        cue.unlink()
    write_manifest(folder, list(SAID))
    vectors = str(ROOT / "mcn/demo/assets/glove_demo.bin")
    configuration = {
        "datasets": {
            "own": {
                "manifest": "manifest.csv",
                "shards": SHARDS,
                "searchable": True,
                "transcribe": {"recognize": False},
            }
        },
        "features": {"word2vec": {"vectors": vectors, "case": "lower"}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration))
    return folder


def write_manifest(folder: Path, names: list[str]) -> None:
    rows = ["video_id,path", *(f"{name},{name}.mp4" for name in names)]
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")


def made(folder: Path) -> list[str]:
    """Run the workflow; the rules of the jobs that ran, with their shards."""
    command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    done = subprocess.run(
        [*command, "--configfile", str(folder / "config.yaml"), "--cores", "1", "--", *TARGETS],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = done.stdout + done.stderr
    return [
        line.split()[-1].rstrip(":")
        for line in text.splitlines()
        if line.startswith(("rule ", "localrule "))
    ]


def found(folder: Path, query: str) -> list[str]:
    index = WordsIndex(folder / "results/own/words.sqlite")
    return [hit.video_id for hit in index.search(query)]


@pytest.mark.slow
@pytest.mark.workflow
def test_the_index_of_words_follows_videos_and_files_beside_them(project: Path) -> None:
    rules = made(project)
    assert rules.count("transcribe") == SHARDS
    assert [found(project, name) for name in SAID] == [[name] for name in SAID]
    assert made(project) == []

    cue = "1\n00:00:00,500 --> 00:00:01,500\nnow it is a yellow lemon\n"
    (project / "apple.en.srt").write_text(cue)
    rules = made(project)
    assert rules.count("transcribe") == 1, "the shard of the video that it lies beside"
    assert rules.count("words") == rules.count("vocabulary") == 1
    assert not {"list_videos", "decode_audio"} & set(rules)
    assert (found(project, "lemon"), found(project, "apple")) == (["apple"], [])

    write_manifest(project, ["apple", "plum"])
    assert made(project).count("transcribe") == 1
    assert found(project, "pear") == []
    assert found(project, "plum") == ["plum"]


@pytest.mark.slow
@pytest.mark.workflow
def test_an_option_of_recognition_remakes_what_is_said_and_a_limit_does_not(project: Path) -> None:
    path = project / "config.yaml"
    before = yaml.safe_load(path.read_text())
    made(project)
    for key, value, wanted in (("memory_limit_mb", 5000, 0), ("beam_size", 2, SHARDS)):
        values = yaml.safe_load(yaml.safe_dump(before))
        values["datasets"]["own"]["transcribe"][key] = value
        path.write_text(yaml.safe_dump(values))
        assert made(project).count("transcribe") == wanted, key
    path.write_text(yaml.safe_dump(before))
