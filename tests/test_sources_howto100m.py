"""HowTo100M: lists of videos and every form of captions; large files of JSON take little memory."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from mcn.cli import main
from mcn.errors import UserError
from mcn.options.published import OfficialOptions
from mcn.sources import json_members as reader
from mcn.sources.adapters import adapter_of, import_annotations
from mcn.sources.json_members import json_members
from mcn.sources.videos import prepare_videos
from tests.official_files import BOM, howto100m, write
from tests.test_sources_official import imported, rows

LINES = [
    ("-97kyZVWVG0", 1.0, 3.5, "cut the paper", "en"),
    ("-97kyZVWVG0", 3.5, 4.0, 'glue "it", then press', "en"),
    ("nVbIUDjzWY4", 2.0, 5.0, "oil the chain", "en"),
]


def narration(output):
    table = pd.read_parquet(output / "narration.parquet")
    return list(table.itertuples(index=False, name=None))


def again(tmp_path, folder, **options):
    options = OfficialOptions(kind="howto100m", directory=str(folder), **options)
    import_annotations(adapter_of(options), tmp_path / "output")
    return tmp_path / "output"


def test_lines_are_in_order_of_time_and_have_words(tmp_path):
    output = imported(tmp_path, "howto100m")
    assert narration(output) == LINES
    assert [row["item"] for row in rows(output / "left_out.csv")] == [
        "-97kyZVWVG0",
        "nVbIUDjzWY4",
        "notlisted__",
    ]


def test_the_path_list_says_where_files_are_expected(tmp_path):
    output = imported(tmp_path, "howto100m", "videopaths_1166")
    assert narration(output) == LINES[:2]
    paths = [row["path"].partition("/videos/")[2] for row in rows(output / "manifest.csv")]
    assert paths == ["hobbies_and_crafts/video_8/-97kyZVWVG0.webm", "food/video_1/gkjnR3-ZVts.mp4"]


def test_a_video_listed_twice_or_with_captions_twice_counts_once(tmp_path):
    folder = howto100m(tmp_path / "data")
    with open(folder / "HowTo100M_v1.csv", "a") as file:
        file.write("nVbIUDjzWY4,x,y,1,2\n")
    text = (folder / "caption.json").read_text()
    twice = ', "nVbIUDjzWY4": {"start": [0], "end": [1], "text": ["again"]}}'
    write(folder / "caption.json", text.removesuffix("}") + twice)
    output = again(tmp_path, folder)
    assert narration(output) == LINES
    reasons = {row["reason"] for row in rows(output / "left_out.csv")}
    assert "a video that is listed twice" in reasons
    assert "captions of a video that has captions already" in reasons


def test_half_a_character_costs_its_line(tmp_path):
    folder = howto100m(tmp_path / "data")
    text = (folder / "caption.json").read_text()
    write(folder / "caption.json", text.replace("oil the chain", "oil\\ud800"))
    output = again(tmp_path, folder)
    assert narration(output) == LINES[:-1]
    reasons = {row["reason"] for row in rows(output / "left_out.csv")}
    assert "a line with half a character" in reasons


@pytest.mark.parametrize("frames", [False, True], ids=["lists", "tables"])
def test_a_pickle_gives_the_same_lines(tmp_path, frames):
    folder = howto100m(tmp_path / "data")
    captions = json.loads((folder / "caption.json").read_text())
    if frames:
        captions = {video_id: pd.DataFrame(value) for video_id, value in captions.items()}
    (folder / "caption.pickle").write_bytes(pickle.dumps(captions))
    assert narration(again(tmp_path, folder, captions="caption.pickle")) == LINES


def test_captions_of_multi_howto100m_are_in_the_language_of_their_name(tmp_path):
    """Huang et al. released how2_de.json and eight others, in the form of caption.json."""
    folder = howto100m(tmp_path / "data")
    (folder / "caption.json").rename(folder / "how2_de.json")
    found = narration(again(tmp_path, folder, captions="how2_de.json"))
    assert found == [(*line[:-1], "de") for line in LINES]


def test_several_languages_of_multi_howto100m_are_one_narration(tmp_path):
    """Each is a file; multilingual training takes what is said in each of them while a clip lasts."""
    folder = howto100m(tmp_path / "data")
    (folder / "caption.json").rename(folder / "how2_en.json")
    said = {"nVbIUDjzWY4": {"start": [2], "end": [5], "text": ["die Kette ölen"]}}
    write(folder / "how2_de.json", json.dumps(said))
    chosen = ["how2_en.json", "how2_de.json"]
    output = again(tmp_path, folder, captions=chosen)
    assert narration(output) == [*LINES, ("nVbIUDjzWY4", 2.0, 5.0, "die Kette ölen", "de")]
    account = json.loads((output / "accounting.json").read_text())
    assert account["counts"]["videos with captions"]["found"] == 2
    assert account["counts"]["lines"]["found"] == 4
    assert [Path(one).name for one in account["files"][1:]] == chosen
    told = ["howto100m", str(folder), "--output", str(tmp_path / "verb"), "--captions", *chosen]
    assert main(["import", "annotations", *told]) == 0
    assert narration(tmp_path / "verb") == narration(output)
    write(folder / "caption.json", "{}")
    with pytest.raises(UserError, match=r"captions how2_en\.json, caption\.json, all in en"):
        again(tmp_path, folder, captions=["how2_en.json", "caption.json"])
    with pytest.raises(UserError, match=r"no .*how2_fr\.json; get it from"):
        again(tmp_path, folder, captions=["how2_en.json", "how2_fr.json"])
    with pytest.raises(UserError, match=r"captions 'how2_dee\.json', did you mean 'how2_de\.json'"):
        again(tmp_path, folder, captions=["how2_dee.json"])


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    folder = howto100m(tmp_path / "data")
    (folder / "caption.pickle").write_bytes(pickle.dumps({"-97kyZVWVG0": pytest.raises}))
    with pytest.raises(UserError, match=r"caption\.pickle"):
        again(tmp_path, folder, captions="caption.pickle")


def test_a_folder_of_csv_files_gives_the_same_lines(tmp_path):
    folder = howto100m(tmp_path / "data")
    for video_id, value in json.loads((folder / "caption.json").read_text()).items():
        path = folder / f"howto100m_captions/{video_id}.csv"
        path.parent.mkdir(exist_ok=True)
        pd.DataFrame(value).iloc[: 2 if video_id[0] == "-" else 1].to_csv(path)
    write(folder / "howto100m_captions/gkjnR3-ZVts.csv", "start,end,text\n5,4,backwards\n")
    output = again(tmp_path, folder, captions="howto100m_captions")
    assert narration(output) == LINES
    reasons = {row["item"]: row["reason"] for row in rows(output / "left_out.csv")}
    assert reasons["gkjnR3-ZVts"] == "captions: narration_unreadable"


def test_several_captions_files_want_a_choice(tmp_path):
    folder = howto100m(tmp_path / "data")
    write(folder / "raw_caption.json", "{}")
    with pytest.raises(UserError, match=r"caption\.json, raw_caption\.json in"):
        again(tmp_path, folder)
    assert narration(again(tmp_path, folder, captions="raw_caption.json")) == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"start": [1], "end": [2]}, "video nVbIUDjzWY4: KeyError: 'text'"),
        ({"start": [1, 2], "end": [2], "text": ["a"]}, "video nVbIUDjzWY4: 2, 1 and 1 values"),
        ({"start": ["soon"], "end": [2], "text": ["a"]}, "video nVbIUDjzWY4: ValueError"),
    ],
)
def test_captions_of_another_form_are_named(tmp_path, value, message):
    folder = howto100m(tmp_path / "data")
    write(folder / "caption.json", json.dumps({"nVbIUDjzWY4": value}))
    with pytest.raises(UserError, match=message):
        again(tmp_path, folder)


def test_the_narration_table_becomes_that_of_the_data_set(tmp_path):
    output = imported(tmp_path, "howto100m")
    tables = tmp_path / "videos.parquet", tmp_path / "narration.parquet"
    prepare_videos(output / "manifest.csv", *tables, "ledger", output / "narration.parquet")
    assert pd.read_parquet(tables[1]).equals(pd.read_parquet(output / "narration.parquet"))
    assert len(pd.read_parquet(tables[0])) == 3


def test_a_narration_table_of_other_videos_is_refused(tmp_path):
    output = imported(tmp_path, "howto100m")
    text = (output / "manifest.csv").read_text().replace("nVbIUDjzWY4", "other")
    (output / "manifest.csv").write_text(text)
    tables = tmp_path / "videos.parquet", tmp_path / "narration.parquet"
    with pytest.raises(UserError, match="video nVbIUDjzWY4"):
        prepare_videos(output / "manifest.csv", *tables, "ledger", output / "narration.parquet")
    assert not tables[1].exists()


LARGE = """
import resource, sys
from pathlib import Path
from mcn.sources.adapters import adapter_of, import_annotations
from mcn.options.published import OfficialOptions
import mcn.sources.howto100m

def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

before = megabytes()
import_annotations(adapter_of(OfficialOptions(kind="howto100m", directory=sys.argv[1])), Path(sys.argv[2]))
print(megabytes() - before)
"""


@pytest.mark.slow
def test_twenty_thousand_videos_take_a_fraction_of_their_json(tmp_path):
    folder, videos = tmp_path / "data", 20_000
    times = [float(second) for second in range(40)]
    text = ["now we are going to add the onion to the pan " * 3] * 40
    value = json.dumps({"start": times, "end": times, "text": text})
    ids = [f"video{number:06d}" for number in range(videos)]
    write(folder / "HowTo100M_v1.csv", "\n".join(["video_id", *ids]))
    write(folder / "caption.json", "{" + ", ".join(f'"{one}": {value}' for one in ids) + "}")
    megabytes = (folder / "caption.json").stat().st_size / 1e6
    done = subprocess.run(
        [sys.executable, "-c", LARGE, str(folder), str(tmp_path / "output")],
        capture_output=True,
        text=True,
        check=True,
    )
    table = pq.ParquetFile(tmp_path / "output/narration.parquet")
    assert table.metadata.num_rows == 40 * videos
    assert megabytes > 110
    assert float(done.stdout) < 0.9 * megabytes, "it is held as a whole"


VALUES = {
    "a": {"text": ['brackets } ] and "quotes" \\ ', "ünïcode 視頻"], "deep": {"er": [1, {}]}},
    'key "b"': {},
    "c": {"text": ["x" * 500]},
}


@pytest.mark.parametrize("chunk", [1, 7, 64, 10_000])
@pytest.mark.parametrize("indent", [None, 1])
def test_members_are_those_of_json_whatever_the_window(tmp_path, monkeypatch, chunk, indent):
    monkeypatch.setattr(reader, "CHUNK", chunk)
    text = json.dumps(VALUES, indent=indent, ensure_ascii=False)
    path = write(tmp_path / "a.json", f"{BOM} {text}\n\n")
    assert list(json_members(path)) == list(VALUES.items())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, character 0: '' where '{' belongs"),
        ("[]", "line 1, character 0: '[' where '{' belongs"),
        ('{"a": 1}', "line 1, character 6: '1' where '{' belongs"),
        ('{"a": {}, }', "line 1, character 10: '}' where '\"' belongs"),
        ('{\n"a": {"b": 1', "line 2, character 14: Expecting ',' delimiter"),
        ('{\n"a": {"b" 1}}', "line 2, character 12: Expecting ':' delimiter"),
        ('{"a": {\n"b": 1\n]', "line 3, character 15: Expecting ',' delimiter"),
        ('{"a": {}} x', "line 1, character 10: more after the object's end"),
    ],
)
def test_broken_json_is_named_with_line_and_character(tmp_path, text, message):
    path = write(tmp_path / "a.json", text)
    with pytest.raises(UserError) as caught:
        list(json_members(path))
    assert caught.value.got == f"{path}, {message}"


def test_broken_json_is_noticed_long_before_the_end_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "CHUNK", 1000)
    path = write(tmp_path / "a.json", '{"a": {"b": [1 2]' + " " * 1_000_000 + "}}")
    read = []
    original = reader._Reader._more
    monkeypatch.setattr(reader._Reader, "_more", lambda self: read.append(1) or original(self))
    with pytest.raises(UserError, match="character 15"):
        list(json_members(path))
    assert len(read) < 10
