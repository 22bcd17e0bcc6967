"""What is said in videos: narration beside them, subtitle streams, speech; and what must not be heard in noise."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mcn.features.transcribe
from mcn.cli import main
from mcn.config.configuration import configure
from mcn.errors import UserError, VideoError
from mcn.features.speech import Heard, SpokenLine, Word, find_recogniser, recognise
from mcn.features.transcribe import transcribe
from mcn.files import read_table, write_table
from mcn.layout import Dataset
from mcn.options.speech import TranscribeOptions
from mcn.shards import ShardReader
from mcn.sources.annotation_tables import NARRATION
from mcn.sources.beside import narration_beside
from mcn.sources.languages import base_language
from mcn.sources.narration import Line
from mcn.sources.subtitles import subtitle_lines
from mcn.upkeep.costs import measure
from mcn.upkeep.verify import verify
from tests.media_files import make, run_ffmpeg
from tests.spoken import OTHERS, SENTENCES, music, noise, say, word_error_rate, write_wav

OPTIONS = TranscribeOptions()
WRITTEN = TranscribeOptions(recognize=False)
SRT = "1\n00:00:00,500 --> 00:00:01,500\n<i>Cut</i> the onion,\nand stir.\n\n2\n00:00:02,000 --> 00:00:03,250\n{}\n"
CODECS = [
    *(("mov_text", suffix) for suffix in ("mp4", "mov")),
    *((codec, "mkv") for codec in ("subrip", "ass", "ssa", "webvtt")),
    ("webvtt", "webm"),
]


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three English sentences, after 2 s of silence."""
    folder = tmp_path_factory.mktemp("spoken")
    return say(folder / "talk.wav", " ".join(SENTENCES), pause_seconds=2)


@pytest.fixture
def recogniser():  # type: ignore[no-untyped-def]
    pytest.importorskip("faster_whisper")
    try:
        return find_recogniser(OPTIONS)
    except UserError as error:
        pytest.skip(str(error))


def with_subtitles(folder: Path, codec: str, suffix: str, *tags: str, offset: float = 0) -> Path:
    """A film with a subtitle stream for each tag, whose second line names its tag."""
    path = folder / f"film.{suffix}"
    sources, maps, about = [], [], []
    for number, tag in enumerate(tags):
        text = folder / f"{number}.lines"
        text.write_text(SRT.format(f"Pour café & {tag}"), encoding="utf-8")
        sources += ["-f", "srt", "-i", str(text)]
        maps += ["-map", str(number)]
        about += [f"-metadata:s:s:{number}", f"language={tag}"]
    picture = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=5:duration=4"]
    codec_words = ["-map", f"{len(tags)}:v", "-c:s", codec]
    start = ["-output_ts_offset", str(offset)] if offset else []
    run_ffmpeg([*sources, *picture, *maps, *codec_words, *about, *start, str(path)])
    return path


@pytest.mark.parametrize(("codec", "suffix"), CODECS)
def test_every_text_codec_gives_the_same_lines(tmp_path: Path, codec: str, suffix: str) -> None:
    found = subtitle_lines(with_subtitles(tmp_path, codec, suffix, "eng"))
    assert found is not None
    assert found.language == "en"
    assert [line.text for line in found.lines] == ["Cut the onion, and stir.", "Pour café & eng"]
    times = [time for line in found.lines for time in line[:2]]
    assert times == pytest.approx([0.5, 1.5, 2.0, 3.25], abs=0.011)  # ASS counts hundredths


def test_the_stream_of_the_wanted_language_is_read(tmp_path: Path) -> None:
    film = with_subtitles(tmp_path, "subrip", "mkv", "dut", "eng")
    said = {
        language: subtitle_lines(film, language).lines[1].text  # type: ignore[union-attr]
        for language in (None, "en", "nl", "nld")
    }
    assert said == {
        None: "Pour café & dut",
        "en": "Pour café & eng",
        "nl": "Pour café & dut",
        "nld": "Pour café & dut",
    }
    assert subtitle_lines(film, "fr") is None
    film = with_subtitles(tmp_path, "subrip", "mkv", "und", "eng")
    for language in ("en", None):
        found = subtitle_lines(film, language)
        assert found is not None
        assert found.lines[1].text == ("Pour café & eng" if language else "Pour café & und")
    assert subtitle_lines(make("plain.mp4")) is None


def test_times_count_from_the_start_of_the_container(tmp_path: Path) -> None:
    found = subtitle_lines(with_subtitles(tmp_path, "mov_text", "mp4", "und", offset=5))
    assert found is not None
    assert found.language == ""
    assert found.lines[0].start_seconds == pytest.approx(0.5, abs=0.1)


def test_files_beside_a_video_are_found_by_stem_and_language(tmp_path: Path) -> None:
    names = ["film.srt", "film.en.vtt", "film.nl.srt", "film.en.forced.srt", "film.2.srt"]
    for name in [*names, "film2.srt", "film.info.json", "film.part.en.srt"]:
        (tmp_path / name).write_text("x")

    def found(language: str | None, video: str = "film.mp4") -> list[str]:
        return [path.name for path in narration_beside(tmp_path / video, language)]

    assert found(None) == ["film.srt", "film.nl.srt", "film.en.vtt"]
    assert found("en") == ["film.en.vtt", "film.srt"]
    assert found("nl") == ["film.nl.srt", "film.srt"]
    assert found("fr") == ["film.srt"]
    assert found(None, "film.part.mp4") == ["film.part.en.srt"]
    assert narration_beside(tmp_path / "absent/film.mp4") == []


def test_languages_have_one_name() -> None:
    tags = ("eng", "en-US", "dut", "nld", "zh_TW")
    assert [base_language(tag) for tag in tags] == ["en", "en", "nl", "nl", "zh"]
    assert {base_language(tag) for tag in ("und", "", None, "2", "info", "no language")} == {""}


class Shard:
    """A shard list of a few videos, and what `transcribe` makes of it."""

    def __init__(self, folder: Path, videos: dict[str, Path], narrated: dict[str, str]) -> None:
        self.folder = folder
        self.list, self.narration = folder / "00000.csv", folder / "narration.parquet"
        self.lines, self.account = folder / "lines.parquet", folder / "account.parquet"
        with open(self.list, "w", newline="") as file:
            csv.writer(file).writerows(
                [
                    ["video_id", "path", "sha256"],
                    *([name, path, ""] for name, path in videos.items()),
                ]
            )
        rows = [
            {"video_id": name, "start_seconds": 1.0, "end_seconds": 2.0, "text": text}
            for name, text in narrated.items()
        ]
        write_table(self.narration, pa.Table.from_pylist(rows, NARRATION))

    def make(self, options: TranscribeOptions = OPTIONS) -> None:
        transcribe(self.list, self.narration, self.lines, self.account, options)

    def rows(self) -> dict[str, dict]:
        return {row["video_id"]: row for row in ShardReader(self.account, "speech")}

    def texts(self, video_id: str) -> list[str]:
        return [
            row["text"] for row in read_table(self.lines).to_pylist() if row["video_id"] == video_id
        ]


def test_the_first_source_that_has_lines_counts(tmp_path: Path) -> None:
    inside = with_subtitles(tmp_path, "subrip", "mkv", "eng")
    for name in ("told", "beside", "broken"):
        shutil.copy(inside, tmp_path / f"{name}.mkv")
    (tmp_path / "told.srt").write_text(SRT.format("beside"))
    (tmp_path / "beside.en.srt").write_text(SRT.format("beside"))
    (tmp_path / "broken.srt").write_text("nothing like subtitles")
    names = ("told", "beside", "broken")
    videos = {name: tmp_path / f"{name}.mkv" for name in names}
    shard = Shard(
        tmp_path, {**videos, "absent": tmp_path / "absent.mkv"}, {"told": "of the manifest"}
    )
    shard.make(WRITTEN)
    rows = shard.rows()
    assert [rows[name]["source"] for name in names] == ["narration", "narration", "subtitles"]
    assert [rows[name]["language"] for name in names] == ["", "en", "en"]
    assert shard.texts("told") == ["of the manifest"]
    assert shard.texts("beside")[1] == "beside"
    assert "not a single line" in rows["broken"]["passed_over"]
    assert rows["absent"]["error"].startswith("not_found")
    assert read_table(shard.lines).column_names[:5] == NARRATION.names


def test_what_was_passed_over_is_said_where_nothing_is_found(tmp_path: Path) -> None:
    shutil.copy(make("plain.mp4"), tmp_path / "film.mp4")
    (tmp_path / "film.srt").write_text("nothing like subtitles")
    shard = Shard(tmp_path, {"film": tmp_path / "film.mp4"}, {})
    shard.make(WRITTEN)
    error = shard.rows()["film"]["error"]
    assert error.startswith("no_speech: neither narration nor subtitles")
    assert "; passed over: narration_unreadable: " in error
    assert "not a single line" in error


def test_the_language_of_a_file_without_a_tag_is_that_of_its_text(tmp_path: Path) -> None:
    shutil.copy(make("plain.mp4"), tmp_path / "film.mp4")
    german = SRT.format("jetzt schneidest du die Zwiebel klein und rührst alles gut um")
    (tmp_path / "film.srt").write_text(german, encoding="utf-8")
    shard = Shard(tmp_path, {"film": tmp_path / "film.mp4"}, {})
    shard.make(WRITTEN)
    assert shard.rows()["film"]["language"] == "de"
    assert set(read_table(shard.lines)["language"].to_pylist()) == {"de"}


def test_videos_without_words_are_accounted_for_and_stop_nothing(
    tmp_path: Path, recogniser: object
) -> None:
    videos = {
        name.partition(".")[0]: make(name)
        for name in ("plain.mp4", "no_audio.mp4", "text.mp4", "damaged.mp4")
    }
    shard = Shard(tmp_path, videos, {})
    shard.make()
    found = {
        name: (row["status"], row["error"].partition(":")[0]) for name, row in shard.rows().items()
    }
    assert found == {
        "plain": ("missing", "no_speech"),
        "no_audio": ("missing", "no_audio"),
        "text": ("failed", "unreadable"),
        "damaged": ("failed", "decode_error"),
    }
    assert read_table(shard.lines).num_rows == 0


def test_speech_is_read_with_word_times(tmp_path: Path, talk: Path, recogniser: object) -> None:
    shard = Shard(tmp_path, {"talk": talk}, {})
    shard.make()
    row = shard.rows()["talk"]
    assert (row["status"], row["source"], row["language"]) == ("ok", "speech", "en")
    assert row["understood_seconds"] > 0.9 * row["voice_seconds"]
    lines = read_table(shard.lines).to_pylist()
    assert word_error_rate(" ".join(SENTENCES), " ".join(shard.texts("talk"))) < 0.2
    assert lines[0]["start_seconds"] == pytest.approx(2, abs=0.6)  # after the silence
    assert 0.5 < lines[0]["confidence"] <= 1
    words = [word for line in lines for word in line["words"]]
    assert [word["text"].strip(",.").lower() for word in words][:3] == ["first", "cut", "the"]
    starts = [word["start_seconds"] for word in words]
    assert starts == sorted(starts)
    made = shard.lines.read_bytes(), shard.account.read_bytes()
    shard.make()
    assert (shard.lines.read_bytes(), shard.account.read_bytes()) == made
    recipe = json.loads(pq.read_schema(shard.lines).metadata[b"mcn"])
    assert recipe["recogniser"]["model"]["sha256"].startswith("1a5afae06a4d")
    assert recipe == ShardReader(shard.account).recipe


@pytest.mark.parametrize("sound", [noise, music, np.zeros])
def test_nothing_is_heard_where_nobody_speaks(tmp_path: Path, recogniser, sound) -> None:  # type: ignore[no-untyped-def]
    samples = sound(20) if sound is not np.zeros else np.zeros(20 * 16_000)
    path = write_wav(tmp_path / "sound.wav", samples)
    with pytest.raises(VideoError, match="no_speech"):
        recognise(path, recogniser.folder, OPTIONS, 1)


@pytest.mark.slow
@pytest.mark.parametrize("language", OTHERS)
def test_an_english_model_does_not_put_words_into_another_language(  # type: ignore[no-untyped-def]
    tmp_path: Path, recogniser, language
) -> None:
    path = say(tmp_path / "other.wav", OTHERS[language], language)
    with pytest.raises(VideoError, match=r"unknown_language: .* understood as en"):
        recognise(path, recogniser.folder, OPTIONS, 1)


def test_a_missing_recogniser_is_said_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"no .*model\.bin"):
        find_recogniser(TranscribeOptions(model=str(tmp_path)))
    monkeypatch.setattr("mcn.features.speech.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install"):
        find_recogniser(OPTIONS)


def test_the_verb_notes_the_code_and_needs_no_model_for_written_words(tmp_path: Path) -> None:
    film = with_subtitles(tmp_path, "mov_text", "mp4", "eng")
    shard = Shard(tmp_path, {"film": film}, {})
    words = ["transcribe", shard.list, shard.narration, shard.lines, shard.account]
    assert main([*map(str, words), "--options", '{"recognize": false}']) == 0
    assert b"made=" in shard.account.read_bytes()
    assert shard.texts("film")[0] == "Cut the onion, and stir."


def test_its_cost_is_measured_and_what_it_made_is_verified(tmp_path: Path) -> None:
    results = tmp_path / "results"
    for folder in ("own/shards", "own/speech", "own/speech_account", "benchmarks/own/transcribe"):
        (results / folder).mkdir(parents=True)
    told = {"a": "a line", "b": "another"}
    shard = Shard(results / "own/shards", dict.fromkeys(told, make("plain.mp4")), told)
    shard.lines = results / "own/speech/00000.parquet"
    shard.account = results / "own/speech_account/00000.parquet"
    shard.make(WRITTEN)
    benchmark = "s\tcpu_time\tmax_rss\n3.0\t2.5\t100.0\n"
    (results / "benchmarks/own/transcribe/00000.tsv").write_text(benchmark)
    data = {"manifest": "m.csv", "shards": 1, "transcribe": {"recognize": False}}
    settings = configure({"datasets": {"own": data}, "features": {}})
    (cost,) = measure(results, settings)
    assert (cost.stage, cost.device, cost.media_seconds) == ("transcribe", "cpu", 4.0)
    assert (cost.wall_seconds, cost.cpu_seconds) == (3.0, 2.5)
    assert cost.output_bytes == sum(path.stat().st_size for path in (shard.lines, shard.account))

    def damaged() -> set[Path]:
        return {problem.path for problem in verify([Dataset(results / "own", 1)], settings)}

    assert not {shard.lines, shard.account} & damaged()
    with open(shard.lines, "r+b") as file:
        file.seek(60)
        file.write(b"\xff" * 8)
    shard.account.unlink()
    assert {shard.lines, shard.account} <= damaged()


def test_an_english_model_is_not_told_another_language() -> None:
    for values in ({"language": "nl"}, {"language": "nl", "model": "small.en"}):
        with pytest.raises(ValueError, match="knows English alone"):
            TranscribeOptions.model_validate(values)
    for values in ({"language": "nl", "model": "small"}, {"language": "nl", "recognize": False}):
        assert TranscribeOptions.model_validate(values).language == "nl"


def hears(path: Path, folder: Path, options: TranscribeOptions, threads: int) -> Heard:
    """In place of the recogniser: the name of the file."""
    line = SpokenLine(Line(0.1, 1.0, path.stem), 0.7, [Word(0.1, 0.3, path.stem, 1 / 3)])
    return Heard([line], "en", 1.0, 0.9, 0.9)


def hears_no_more(path: Path, folder: Path, options: TranscribeOptions, threads: int) -> Heard:
    raise VideoError("crashed", "heard again")


@pytest.mark.slow
def test_a_job_that_was_killed_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recogniser: object
) -> None:
    videos = {name: tmp_path / f"{name}.mp4" for name in ("one", "two", "three")}
    for path in videos.values():
        shutil.copy(make("plain.mp4"), path)
    shard = Shard(tmp_path, videos, {})
    monkeypatch.setattr("mcn.features.transcribe.recognise", hears)
    shard.make()
    whole = shard.lines.read_bytes(), shard.account.read_bytes()
    for path in (shard.lines, shard.account):
        path.unlink()

    def killed(video_id: str, said: object) -> dict:
        if video_id == "two":
            raise KeyboardInterrupt
        return real(video_id, said)  # type: ignore[arg-type]

    real = mcn.features.transcribe._account_row
    with monkeypatch.context() as patch:
        patch.setattr("mcn.features.transcribe._account_row", killed)
        with pytest.raises(KeyboardInterrupt):
            shard.make()
    assert not shard.account.exists()
    (tmp_path / "two.mp4").touch()  # another file now
    monkeypatch.setattr("mcn.features.transcribe.recognise", hears_no_more)
    with monkeypatch.context() as patch:
        patch.setattr("mcn.features.transcribe._account_row", killed)
        shard.make()  # "two" fails now, so that nothing kills the job
    rows = shard.rows()
    assert [rows[name]["status"] for name in videos] == ["ok", "failed", "failed"]
    assert not list(tmp_path.glob(".*.heard"))
    monkeypatch.setattr("mcn.features.transcribe.recognise", hears)
    shard.make()
    assert (shard.lines.read_bytes(), shard.account.read_bytes()) == whole
