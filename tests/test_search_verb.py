"""`mcn search`: text, JSON and clips of the answers, one sentence where there are none, a pipe that is closed."""

import json
import subprocess
import sys

import pytest

from mcn.cli import main
from mcn.commands import search as verbs
from mcn.media.cutting import cut
from mcn.media.probe import probe
from mcn.search.answers import Answers, Line, Video
from mcn.search.fusion import Hit
from mcn.search.printing import as_text
from tests.media_files import make


class Said:
    name, basis = "words", "words that were said"

    def by_text(self, query, limit, allowed):
        if query != "dog":
            return []
        return [Hit("walk", 1, 2.5, 2.0), Hit("talk", 0, 1, 1.0)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    files = {"walk": make("plain.mp4"), "talk": make("no_video.m4a")}
    videos = {
        one: Video(one, path, 4.0, "ok", "", ("video", "audio")) for one, path in files.items()
    }
    lines = {"walk": [Line(1, 2, "\x1b[2Ja dog")]}
    answers = Answers(videos, ["words that were said"], [Said()], (), lines)
    monkeypatch.setattr(Answers, "open", lambda directory, dataset: answers)
    return tmp_path


def test_answers_are_printed_best_first_with_what_was_said(folder, capsys):
    assert main(["search", str(folder), "dog"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("00:01-00:02  words")
    assert lines[0].endswith("plain.mp4")
    assert '"�[2Ja dog"' in lines[1], "a terminal is not moved by words"
    assert lines[2].startswith("00:00-00:01")
    assert lines[-1] == "  words that were said"


def test_an_answer_rests_on_what_was_asked_alone():
    basis = ["words: said", "seen, by conse: pictures", "mine is not asked: seeded weights"]
    answers = Answers({}, basis, [Said()], ())
    answers.sources = ("words", "seen")
    text = as_text(answers, [], "dog", ["words"])
    assert text.splitlines()[1:] == ["  words: said", "  mine is not asked: seeded weights"]


def test_json_is_that_of_the_page(folder, capsys):
    assert main(["search", str(folder), "dog", "--json", "--limit", "1"]) == 0
    (only,) = json.loads(capsys.readouterr().out)["results"]
    assert only["video_id"] == "walk"
    assert only["path"] == str(make("plain.mp4"))
    assert (only["start_seconds"], only["end_seconds"], only["sources"]) == (1, 2.5, ["words"])


def test_nothing_found_is_a_sentence_and_exit_status_1(folder, capsys):
    assert main(["search", str(folder), "zebra"]) == 1
    assert capsys.readouterr().out.startswith("Nothing fits 'zebra'. Asked were: words.")
    assert "--weak" not in as_text(Answers.open(folder, None), [], "zebra", ["words"])
    assert "--weak shows the nearest" in as_text(Answers.open(folder, None), [], "zebra", ["seen"])
    assert main(["search", str(folder), "zebra", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"results": []}
    assert main(["search", str(folder), "dog", "--seen"]) == 1
    assert "seen cannot be asked here" in capsys.readouterr().err
    assert main(["search", str(folder), ""]) == 1
    assert "empty query" in capsys.readouterr().err


def test_moments_are_cut_out_as_clips(folder, capsys):
    assert main(["search", str(folder), "dog", "--clip", str(folder / "out")]) == 0
    clip = probe(folder / "out" / "01_walk_1.0.mp4")
    assert clip.video.codec == "h264"
    assert clip.seconds == pytest.approx(1.5, abs=0.15)
    assert clip.audio.end_seconds == pytest.approx(1.5, abs=0.1)
    assert probe(folder / "out" / "02_talk_0.0.mp4").video is None
    assert f"2 clips in {folder / 'out'}" in capsys.readouterr().err


def test_a_wrong_call_is_answered_in_words(folder, capsys):
    (folder / "file").write_text("")
    assert main(["search", str(folder), "dog", "--clip", str(folder / "file")]) == 1
    assert "cannot be made: File exists" in capsys.readouterr().err
    for limit in ("0", "-1", "few"):
        with pytest.raises(SystemExit):
            main(["search", str(folder), "dog", "--limit", limit])
        assert f"'{limit}' is not a whole number of at least 1" in capsys.readouterr().err


def test_a_turned_video_is_cut_upright(tmp_path):
    cut(make("rotated_90.mp4"), 0, 1, tmp_path / "out.mp4")
    before, after = probe(make("rotated_90.mp4")).video, probe(tmp_path / "out.mp4").video
    assert (after.width, after.height) == (before.width, before.height)
    assert not after.turned


def test_a_reader_that_stops_early_is_no_error():
    command = f"{sys.executable} -m mcn train --help | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.startswith("usage")


@pytest.mark.parametrize(
    "words",
    [
        ("DIR", "-soup"),
        ("DIR", "-hot soup", "--json"),
        ("--limit", "3", "DIR", "-h"),
        ("DIR", "--", "--soup"),
        ("DIR", "soup", "--limit", "2"),
    ],
)
def test_a_query_may_begin_with_a_dash(words, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(verbs, "search", lambda arguments: asked.append(arguments) or 0)
    if "-h" in words:
        with pytest.raises(SystemExit):
            main(["search", *words])
        assert "usage: mcn search" in capsys.readouterr().out
        return
    assert main(["search", *words]) == 0
    (query,) = [one for one in words if "soup" in one]
    assert asked[0].query == query
    assert str(asked[0].directory) == "DIR"
    assert asked[0].limit == (2 if "--limit" in words else 10)
    assert asked[0].json == ("--json" in words)


def test_a_full_disk_behind_standard_output_is_told(tmp_path):
    code = "import sys; from mcn.cli import main; sys.exit(main(['fetch']))"  # prints a list
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert "got: standard output: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
