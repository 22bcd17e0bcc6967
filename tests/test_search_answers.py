"""Answers of a folder: sources are asked and joined, near moments are one, seeded weights are silent."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from PIL import Image
from safetensors.numpy import save_file

from mcn.errors import UserError
from mcn.files import read_table, write_table, write_text
from mcn.options.search import SearchOptions
from mcn.search.answers import Answers, Filters, Line, Video
from mcn.search.catalogue import join
from mcn.search.folder import Folder
from mcn.search.fusion import Hit
from mcn.search.limits import seen_limit
from mcn.search.opening import open_sources
from mcn.search.sources import VectorSource
from mcn.search.vectors import VectorIndex, Windows, write_part
from mcn.sources.annotation_tables import NARRATION, VIDEOS
from mcn.upkeep.ledger import LEDGER

AXES = {"dog": 0, "cat": 1, "sea": 2, "night": 3}
# video -> what is seen in each stretch of 10 s
SHOWN = {"pets": ["dog", "cat"], "beach": ["sea", "dog"], "dark": ["night"]}


class Words:
    """A query encoder of four words, which also takes pictures: white ones show the night."""

    def embed_text(self, texts):
        rows = np.zeros((len(texts), 4), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.split():
                if word in AXES:
                    row[AXES[word]] = 1
        return rows

    def embed_pictures(self, pictures):
        return np.array([[0, 0, 0, 1.0 if one.mean() > 128 else 0] for one in pictures])


class Said:
    name, basis = "words", "words that were said"

    def by_text(self, query, limit, allowed):
        hits = [Hit("beach", 12, 15, 2.0, "a dog barks")] if "dog" in query else []
        return [hit for hit in hits if allowed is None or hit.video_id in allowed]


def windows() -> Windows:
    numbers, starts, vectors = [], [], []
    for number, shown in enumerate(SHOWN.values()):
        for place, word in enumerate(shown):
            for step in range(4):
                numbers.append(number)
                starts.append(10 * place + 2.0 * step)
                row = np.full(4, 0.1)
                row[AXES[word]] = 1 + 0.01 * step + 0.1 * number
                vectors.append(row)
    begin = np.array(starts)
    return Windows(list(SHOWN), [""] * 3, np.array(numbers), begin, begin + 4, np.array(vectors))


@pytest.fixture
def answers(tmp_path):
    write_part(tmp_path / "00000.parquet", {"seen": windows()}, {})
    index = VectorIndex([tmp_path / "00000.parquet"], "seen")
    videos = {
        one: Video(one, tmp_path / one / "a.mp4", 10.0 * len(shown), "ok", "", ("video",))
        for one, shown in SHOWN.items()
    }
    lines = {"beach": [Line(12, 15, "a dog barks"), Line(30, 31, "the end")]}
    seen = VectorSource("seen", "by hand", index, Words)
    return Answers(videos, ["seen: by hand"], [Said()], [seen], lines)


def test_what_was_said_and_what_is_seen_are_one_answer(answers):
    assert answers.sources == ("words", "seen")
    first, second, *_ = answers.search("dog")
    assert (first.video_id, first.sources) == ("beach", ("words", "seen"))
    assert first.start_seconds <= 12
    assert first.end_seconds >= 15
    assert first.said == "a dog barks"
    assert first.why[0].startswith("words (2.000)")
    assert (second.video_id, second.sources, second.said) == ("pets", ("seen",), "")
    assert first.score > second.score


def test_sources_videos_and_lengths_can_be_chosen(answers):
    assert {one.sources for one in answers.search("dog", sources=["words"])} == {("words",)}
    only = answers.search("dog", filters=Filters(video_ids=frozenset({"pets"})))
    assert {one.video_id for one in only} == {"pets"}
    assert {one.video_id for one in answers.search("dog", filters=Filters(max_length=10))} == {
        "dark"
    }
    root = str(answers.videos["beach"].path.parent)
    assert {one.video_id for one in answers.search("cat", filters=Filters(folder=root))} == {
        "beach"
    }
    each = answers.search("dog", one_per_video=True)
    assert sorted(one.video_id for one in each) == ["beach", "dark", "pets"]
    with pytest.raises(UserError, match="heard cannot be asked"):
        answers.search("dog", sources=["heard"])
    with pytest.raises(UserError, match="empty query"):
        answers.search("  ")


def test_a_query_without_a_known_word_finds_nothing(answers):
    assert answers.search("zebra") == []


def test_what_is_too_far_from_the_text_is_no_answer_but_can_be_shown(answers):
    source = answers.vectors[0]
    source.limit = lambda vector: 0.9 if vector[AXES["night"]] else 1.1
    assert answers.search("cat") == []
    assert {one.video_id for one in answers.search("night")} == {"dark"}, (
        "others lie below the tail"
    )
    first, *_ = answers.search("cat", weak=True)
    assert first.video_id == "pets"
    assert first.weak
    assert "weak: an answer has 1.100 or more" in first.why[0]
    assert [one.weak for one in answers.search("night", weak=True)][:2] == [False, True]
    joined, *_ = answers.search("dog", weak=True)
    assert (joined.sources, joined.weak) == (("words", "seen"), False), "its words fit"
    assert answers.more_like("pets", 0, 8), "a moment is no text, and has no limit"


def test_the_limit_of_a_query_follows_the_class_that_is_nearest_to_it(tmp_path):
    names = np.eye(4, dtype=np.float32)[:3]
    save_file({"pictures.0.names": names}, tmp_path / "model.safetensors")
    options = {"pairing": "conse", "center": True}
    write_text(tmp_path / "config.yaml", yaml.safe_dump({"options": options}))
    limit = seen_limit(tmp_path, SearchOptions(seen_cosine=0.2, seen_share=0.5))
    centred = names - names.mean(axis=0)
    query = 3 * centred[1]
    assert limit(query) == pytest.approx(0.5, abs=1e-6), "the class itself: half of 1"
    assert limit(np.eye(4, dtype=np.float32)[3]) == pytest.approx(0.2), "no class is near"
    for other in ({"pairing": "same_space", "center": True}, {"pairing": "conse", "center": False}):
        write_text(tmp_path / "config.yaml", yaml.safe_dump({"options": other}))
        assert seen_limit(tmp_path, SearchOptions()) is None
    write_text(tmp_path / "config.yaml", yaml.safe_dump({"features": {}}))
    assert seen_limit(tmp_path, SearchOptions()) is None


def test_more_like_a_moment_finds_others_and_not_itself(answers):
    first, *rest = answers.more_like("pets", 0, 8)
    assert (first.video_id, first.start_seconds >= 8) == ("beach", True)
    assert all(one.video_id != "pets" or one.start_seconds >= 10 for one in rest)
    with pytest.raises(UserError, match="no video 'x'"):
        answers.more_like("x", 0, 1)


def test_a_picture_is_a_query(answers):
    first, *_ = answers.by_picture(Image.new("RGB", (8, 8), "white"))
    assert first.video_id == "dark"
    answers.vectors[0].loaded = object()
    with pytest.raises(UserError, match="no encoder here takes pictures"):
        answers.by_picture(Image.new("RGB", (8, 8)))


def test_the_map_spreads_the_windows_over_a_square(answers):
    points = answers.map()
    assert len(points) == 20
    places = np.array([one[3:] for one in points])
    assert places.min(axis=0).tolist() == [0, 0]
    assert places.max(axis=0).tolist() == [1, 1]
    dogs = places[[0, 1, 2, 3]]
    assert np.ptp(dogs, axis=0).max() < 0.2


def folder(root: Path, weights: str, synthetic: bool = False) -> Path:
    """A folder as `mcn run` leaves it, with one experiment."""
    results = root / "results"
    place = results / "index" / "small" / "mine"
    write_part(place / "00000.parquet", {"seen": windows()}, {})
    join(place, 1, SearchOptions())
    settings = {
        "datasets": {"other": {}, "mine": {"synthetic": synthetic}},
        "features": {"look": {"kind": "frame"}},
        "experiments": {"small": {}},
    }
    model = {"features": {"video": ["look"]}, "recipes": {"look": {"weights": weights}}}
    write_text(results / "models" / "small" / "config.yaml", yaml.safe_dump(model))
    (results / "settings.json").write_text(json.dumps(settings))
    rows = [{"video_id": one, "path": f"../{one}.mp4"} for one in (*SHOWN, "broken", "new")]
    write_table(results / "mine" / "videos.parquet", pa.Table.from_pylist(rows, VIDEOS))
    line = {"video_id": "beach", "start_seconds": 1.0, "end_seconds": 2.0, "text": "waves"}
    write_table(results / "mine" / "narration.parquet", pa.Table.from_pylist([line], NARRATION))
    ok = [(one, "look", "ok", "", "") for one in SHOWN]
    accounts = [*ok, ("broken", "look", "failed", "truncated", "ends")]
    accounts = [
        dict.fromkeys(LEDGER.names, "") | dict(zip(LEDGER.names, row, strict=False))
        for row in accounts
    ]
    write_table(results / "mine" / "ledger.parquet", pa.Table.from_pylist(accounts, LEDGER))
    return root


def test_a_folder_says_what_became_of_each_video(tmp_path):
    found = Answers.open(folder(tmp_path, "real.pth"))
    assert found.videos["beach"].length_seconds == 20
    assert found.videos["beach"].streams == ("video",)
    assert found.videos["broken"].status == "failed"
    assert found.videos["broken"].error == "truncated: ends"
    assert found.videos["new"].status == "waiting"
    assert found.videos["beach"].path == tmp_path / "../beach.mp4"
    assert found.transcript("beach") == [Line(1, 2, "waves")]
    assert found.transcript("pets") == []


def test_seeded_weights_answer_about_synthetic_videos_alone(tmp_path):
    with pytest.raises(
        UserError, match="small is not asked: seeded weights, which understand nothing"
    ):
        Answers.open(folder(tmp_path, "seeded"))
    demo = Answers.open(folder(tmp_path, "seeded", synthetic=True))
    assert demo.sources == ("seen",)
    assert "seeded weights, which understand nothing" in demo.basis[0]


def test_a_folder_without_a_run_is_an_error_in_words(tmp_path):
    with pytest.raises(UserError, match="nothing has been indexed there"):
        Answers.open(tmp_path)
    folder(tmp_path, "real.pth")
    with pytest.raises(UserError, match="no data set 'x'"):
        Answers.open(tmp_path, "x")
    catalogue = tmp_path / "results/index/small/mine/index.json"
    catalogue.write_text(catalogue.read_text().replace('"version": 1', '"version": 99'))
    with pytest.raises(UserError, match="of version 99"):
        open_sources(Folder.open(tmp_path))


def test_where_words_answer_alone_a_video_is_what_its_speech_is(tmp_path):
    root = folder(tmp_path, "real.pth")
    path = root / "results" / "mine" / "ledger.parquet"
    rows = [{**row, "stream": "speech"} for row in read_table(path).to_pylist()]
    write_table(path, pa.Table.from_pylist(rows, LEDGER))
    videos = Folder.open(root).videos
    assert (videos["beach"].status, videos["beach"].streams) == ("ok", ("video", "audio"))
    assert videos["broken"].status == "failed"


def test_an_index_that_is_being_made_is_not_asked(tmp_path):
    root = folder(tmp_path, "real.pth")
    (root / "results/index/small/mine/00000.parquet").unlink()
    assert open_sources(Folder.open(root))[2] == ["small is not asked: its index is being made"]


def test_a_sound_file_that_is_understood_can_be_searched_though_it_has_no_pictures(tmp_path):
    root = folder(tmp_path, "real.pth")
    path = root / "results" / "mine" / "ledger.parquet"
    rows = read_table(path).to_pylist()
    for row in rows:
        if row["video_id"] == "beach":
            row |= {"status": "missing", "code": "no_video_stream", "error": "sound alone"}
    heard = {**rows[0], "video_id": "beach", "stream": "speech", "status": "ok"}
    write_table(path, pa.Table.from_pylist([*rows, heard], LEDGER))
    beach = Folder.open(root).videos["beach"]
    assert (beach.status, beach.error, beach.streams) == ("ok", "", ("audio",))


@pytest.mark.parametrize(
    "damage",
    [
        [],
        {"datasets": ["mine"]},
        {"datasets": {"mine": None}},
        {"features": []},
        {"experiments": {"small": None}},
        {"experiments": {"small": {"model": None}}},
        {"search": 5},
    ],
)
def test_damaged_settings_are_told_and_never_a_traceback(tmp_path, damage):
    path = folder(tmp_path, "given") / "results" / "settings.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(damage if isinstance(damage, list) else {**whole, **damage}))
    with pytest.raises(UserError, match=r"settings\.json"):
        Answers.open(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        *({"parts": parts} for parts in (0, None, "x", [])),
        *({"sources": sources} for sources in (None, {}, [], {"seen": 1}, {"seen": {}})),
    ],
)
def test_a_damaged_catalogue_of_an_index_is_told(tmp_path, damage):
    path = folder(tmp_path, "given") / "results" / "index" / "small" / "mine" / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    with pytest.raises(UserError, match=r"index\.json"):
        Answers.open(tmp_path)
