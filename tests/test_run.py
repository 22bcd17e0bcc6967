"""`mcn run`: what is written before the workflow starts, who may write, and what is said of bad input."""

import fcntl
import json
import shutil
import textwrap
from pathlib import Path

import pytest
import yaml

from mcn.cli import main
from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.search import encoders, notes, run
from mcn.search.heads import Narrated
from mcn.search.planning import make_plan
from mcn.sources.manifest import read_manifest
from tests.media_files import make
from tests.mounts import filled, mounted


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of three videos; Snakemake is asked, but does nothing."""
    videos = tmp_path / "videos"
    (videos / "trips").mkdir(parents=True)
    shutil.copy(make("plain.mp4"), videos / "soup.mp4")
    shutil.copy(make("no_video.m4a"), videos / "trips" / "talk one.m4a")
    (videos / "broken.mp4").write_bytes(b"\0" * 99)
    (videos / "notes.txt").write_text("nothing to play")
    asked = []
    monkeypatch.setattr(encoders, "cached_pairs", list)
    monkeypatch.setattr(run, "follow", lambda command, *rest: asked.append(command) or 0)
    return tmp_path, asked


def start(root, *more):
    return main(["run", str(root / "videos"), "--output", str(root / "out"), "--cores", "2", *more])


def test_manifest_and_configuration_are_written_and_the_command_is_said(folder, capsys):
    root, asked = folder
    assert start(root) == 1, "nothing was made, so that nothing can be searched"
    said = capsys.readouterr()
    assert "3 files: 1 ok, 1 warning, 1 failed" in said.out
    assert "broken.mp4: unreadable" in said.out
    (line,) = [one for one in said.out.splitlines() if one.startswith("snakemake ")]
    assert line.endswith("-- answers")
    assert asked[0][-1] == "answers"
    assert "Nothing can be searched" in said.err
    rows = read_manifest(root / "out" / "manifest.csv")
    assert [one.video_id for one in rows][:2] == ["broken.mp4", "soup.mp4"]
    assert rows[2].path == root / "videos" / "trips" / "talk one.m4a"
    written = yaml.safe_load((root / "out" / "config.yaml").read_text())
    assert written["datasets"]["videos"]["shards"] == 2
    names = sorted(one.name for one in (root / "out").iterdir())
    assert names == [".lock", ".snakemake", "config.yaml", "manifest.csv", "results", "run.json"]
    settings = json.loads((root / "out" / "results" / "settings.json").read_text())
    assert settings == configure(written).model_dump(mode="json")
    assert list((root / "out" / ".snakemake").iterdir()) == [], "copies of rules would be believed"


def test_files_are_looked_at_again_only_when_they_change(folder, monkeypatch):
    root, _ = folder
    start(root)
    looked = []
    real = notes.examine

    def examine(rows, options):
        looked.extend(rows)
        return real(rows, options)

    monkeypatch.setattr(notes, "examine", examine)
    before = (root / "out" / "manifest.csv").stat().st_mtime_ns
    start(root)
    assert looked == []
    assert (root / "out" / "manifest.csv").stat().st_mtime_ns == before, "it was written again"
    shutil.copy(make("vp9.webm"), root / "videos" / "new.webm")
    (root / "videos" / "soup.mp4").unlink()
    start(root)
    assert [one.video_id for one in looked] == ["new.webm"]
    ids = [one.video_id for one in read_manifest(root / "out" / "manifest.csv")]
    assert ids == ["broken.mp4", "new.webm", *ids[2:]]
    assert len(ids) == 3


def test_a_manifest_is_taken_as_it_is(folder):
    root, _ = folder
    listed = root / "list.csv"
    listed.write_text("video_id,path,title\na,videos/soup.mp4,Soup\nb,videos/gone.mp4,\n")
    assert main(["run", str(listed), "--output", str(root / "out")]) == 1
    rows = read_manifest(root / "out" / "manifest.csv", check_files=False)
    assert [(one.video_id, one.path, one.title) for one in rows] == [
        ("a", root / "videos/soup.mp4", "Soup"),
        ("b", root / "videos/gone.mp4", None),
    ]


def test_two_runs_do_not_write_one_folder(folder, capsys):
    root, _ = folder
    (root / "out").mkdir()
    with open(root / "out" / ".lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert start(root) == 1
    assert "another `mcn run` is writing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({}, "no videos or sound below"),
        ({"a.txt": b"words", "b.srt": b"1\n"}, "no videos or sound below"),
        (None, "no folder"),
    ],
)
def test_a_folder_without_videos_is_one_clear_sentence(tmp_path, capsys, content, says):
    if content is not None:
        (tmp_path / "videos").mkdir()
        for name, data in content.items():
            (tmp_path / "videos" / name).write_bytes(data)
    assert start(tmp_path) == 1
    assert says in capsys.readouterr().err


def test_one_video_in_place_of_a_folder_is_told_of_and_leaves_nothing(tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    video = tmp_path / "videos" / "a.mp4"
    video.write_bytes(b"x")
    assert main(["run", str(video), "--output", str(tmp_path / "out")]) == 1
    assert f"do this: name its folder: {video.parent}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_peoples_folders_and_other_versions_are_refused(folder, capsys):
    root, _ = folder
    (root / "out").mkdir()
    (root / "out" / "thesis.doc").touch()
    assert start(root) == 1
    assert "holds other files (thesis.doc)" in capsys.readouterr().err
    (root / "out" / "run.json").write_text(json.dumps({"version": 0, "shards": 1, "files": {}}))
    assert start(root) == 1
    assert "of version 0" in capsys.readouterr().err
    (root / "out" / "run.json").write_text("{")
    assert start(root) == 1
    assert "run.json" in capsys.readouterr().err


def test_an_overlay_chooses_and_its_paths_are_its_own(folder, capsys):
    root, _ = folder
    (root / "over").mkdir()
    (root / "over" / "words.txt").write_text("x")
    overlay = root / "over" / "mine.yaml"
    overlay.write_text(
        "decode: {time_limit_seconds: 7}\nfeatures: {word2vec: {vectors: words.txt}}\n"
        "datasets: {videos: {shards: 9}}\n"
    )
    start(root, "--configfile", str(overlay))
    written = yaml.safe_load((root / "out" / "config.yaml").read_text())
    assert written["decode"] == {"time_limit_seconds": 7}
    assert written["datasets"]["videos"]["shards"] == 9
    assert written["features"]["word2vec"]["vectors"] == str(root / "over" / "words.txt")
    capsys.readouterr()
    overlay.write_text("decod: {}\n")
    assert start(root, "--configfile", str(overlay)) == 1
    assert "decod: unknown key, did you mean 'decode'?" in capsys.readouterr().err
    overlay.write_text("search: [")
    assert start(root, "--configfile", str(overlay)) == 1
    assert f"got: {overlay}: options that do not parse" in capsys.readouterr().err


def test_what_was_counted_changes_no_encoder_and_starts_nothing_without_clips(folder):
    root, asked = folder
    assert start(root, "--encoder", "words") == 1
    assert len(asked) == 1, "there is nothing to train on"
    written = yaml.safe_load((root / "out" / "config.yaml").read_text())
    assert written["experiments"] == {}
    assert json.loads((root / "out" / "run.json").read_text())["narrated"] == [0, 0]


def test_a_head_is_asked_for_once_there_are_clips(folder, monkeypatch):
    root, asked = folder
    monkeypatch.setattr(run.Narrated, "of", lambda *place: Narrated(500, 50))
    start(root, "--encoder", "embedded")
    assert len(asked) == 2
    written = yaml.safe_load((root / "out" / "config.yaml").read_text())
    assert set(written["experiments"]) == {"conse", "conse_head"}
    start(root)
    assert len(asked) == 3, "the number is known now"
    start(root, "--no-head")
    assert len(asked) == 4
    written = yaml.safe_load((root / "out" / "config.yaml").read_text())
    assert set(written["experiments"]) == {"conse"}


def test_shards_follow_the_number_of_files_and_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(encoders, "can_embed", lambda: False)
    monkeypatch.setattr(encoders, "cached_pairs", list)
    counts = [make_plan("x", files, 0, []).shards for files in (1, 10, 39, 1000)]
    assert counts == [1, 4, 7, 32]
    assert make_plan("x", 60, 4, []).shards == 4, "eight would do, which is not more than twice"
    assert make_plan("x", 65, 4, []).shards == 9
    assert make_plan("x", 2, 4, []).shards == 4, "files that go remake nothing else"
    plan = make_plan("x", 10, 0, [])
    assert "the words that were said answer alone" in plan.sentences[-1]
    assert plan.configuration["experiments"] == {}
    assert plan.trained == ()


def test_the_overlay_of_the_page_that_trains_a_head_is_valid(tmp_path, monkeypatch):
    page = (Path(__file__).parent.parent / "docs" / "search.md").read_text()
    block = page.partition("    # overlay.yaml: a head\n")[2].partition("\n\n")[0]
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(textwrap.dedent(block))
    monkeypatch.setattr(encoders, "cached_pairs", list)
    plan = make_plan("x", 10, 0, [overlay], narrated=Narrated(500, 50))
    ours = make_plan("x", 10, 0, [], narrated=Narrated(500, 50)).configuration["experiments"]
    assert plan.trained == ("head",)
    planned = plan.configuration["experiments"]["head"]
    assert planned == ours["conse_head"], "the page shows the head that is planned here"
    assert configure(plan.configuration).experiments["head"].model.residual_on == "conse"


def test_a_folder_that_was_emptied_answers_no_more(folder, capsys):
    root, _ = folder
    start(root)
    settings = root / "out" / "results" / "settings.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("{}")
    shutil.rmtree(root / "videos")
    (root / "videos").mkdir()
    assert start(root) == 1
    assert "no videos or sound below" in capsys.readouterr().err
    assert main(["search", str(root / "out"), "soup"]) == 1
    assert "nothing has been indexed there" in capsys.readouterr().err


def test_settings_follow_the_run_where_no_job_is_needed(folder):
    """Snakemake writes them before its first job; what only searches read makes none."""
    root, _ = folder
    settings = root / "out" / "results" / "settings.json"
    start(root)
    before = settings.read_bytes()
    settings.write_bytes(before[: len(before) // 2] + b"\xff")
    start(root)
    assert settings.read_bytes() == before, "damage is mended"
    settings.unlink()  # as a folder that was empty for a while loses it
    start(root)
    assert settings.read_bytes() == before
    (root / "more.yaml").write_text("search: {meaning_cosine: 0.97}\n")
    start(root, "--configfile", str(root / "more.yaml"))
    assert json.loads(settings.read_text())["search"]["meaning_cosine"] == 0.97


@pytest.mark.parametrize(
    "damage", [None, [], {"known": [1, 2]}, {"taken": True, "verdict": 5}, {"taken": "x"}]
)
def test_damaged_notes_of_a_file_are_made_again(folder, damage):
    root, _ = folder
    start(root)
    path = root / "out" / "run.json"
    before = json.loads(path.read_text())
    damaged = {**before, "files": {**before["files"], "soup.mp4": damage}}
    path.write_text(json.dumps(damaged))
    start(root)
    assert json.loads(path.read_text()) == before


@pytest.mark.parametrize("change", [{"files": []}, {"files": None}, {"shards": "two"}])
def test_damaged_notes_are_said(folder, change, capsys):
    root, _ = folder
    start(root)
    path = root / "out" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert start(root) == 1
    assert "files are then looked at again" in capsys.readouterr().err


def test_an_overlay_that_holds_itself_is_told(folder, capsys):
    root, _ = folder
    (root / "loop.yaml").write_text("a: &a [*a]\n")
    assert start(root, "--configfile", str(root / "loop.yaml")) == 1
    assert "an alias that stands within what it names" in capsys.readouterr().err


def test_a_run_that_comes_to_nothing_leaves_nothing(tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    assert start(tmp_path) == 1
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".lock").touch()  # of a run of an earlier version
    assert start(tmp_path) == 1
    assert list((tmp_path / "out").iterdir()) == [], "a folder that was there stays"
    assert "no videos or sound below" in capsys.readouterr().err


def test_a_run_never_takes_a_lock_that_was_removed(tmp_path, monkeypatch):
    real = run.fcntl.flock

    def removed_meanwhile(file, how):
        (tmp_path / "out" / ".lock").unlink()
        real(file, how)

    monkeypatch.setattr(run.fcntl, "flock", removed_meanwhile)
    with pytest.raises(UserError, match="another `mcn run`"), run._alone(tmp_path / "out"):
        pass


def test_a_full_disk_is_told_and_the_next_run_goes_on(folder, capsys):
    root, asked = folder
    output = root / "small" / "out"
    words = ["run", str(root / "videos"), "--output", str(output)]
    with mounted(root / "small", "size=64k"):
        with filled(root / "small"):
            assert main(words) == 1
            assert [one.name for one in output.glob("*")] in ([], [".lock"])
        assert "no space left while writing" in capsys.readouterr().err
        assert asked == []
        assert main(words) == 1
        assert asked, "the workflow was started"
        assert len(read_manifest(output / "manifest.csv")) == 3
