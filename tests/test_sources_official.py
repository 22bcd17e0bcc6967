"""What all imports of published data sets share: strict reading, missing files, finding videos, the account."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
import yaml

from mcn.cli import main
from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.options.published import OfficialOptions
from mcn.sources.adapters import adapter_of, built_in, import_annotations
from mcn.sources.manifest import read_manifest
from mcn.sources.official import ACCOUNTS, provenance
from mcn.sources.official_text import csv_lines, find_videos, read_json, text_lines
from tests.official_files import BOM, MAKERS, video, write

ROOT = Path(__file__).parent.parent
KINDS = {kind: built_in(kind) for kind in provenance()}
EVERY_SPLIT = [
    (kind, split) for kind in KINDS for split in KINDS[kind].splits if split != "videopaths_336"
]


def imported(tmp_path, kind, split=""):
    """The folder that an import of the small official files has written into."""
    options = OfficialOptions(
        kind=kind, directory=str(MAKERS[kind](tmp_path / "official files")), split=split
    )
    import_annotations(adapter_of(options), tmp_path / "output")
    return tmp_path / "output"


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("kind", "split"), EVERY_SPLIT)
def test_an_import_makes_the_files_of_its_kind_and_no_other(tmp_path, kind, split):
    output = imported(tmp_path, kind, split)
    assert {path.name for path in output.iterdir()} == {*KINDS[kind].makes.values(), *ACCOUNTS}
    account = json.loads((output / "accounting.json").read_text())
    assert (account["kind"], account["split"]) == (kind, split)
    assert len(rows(output / "left_out.csv")) == sum(account["left_out"].values())
    assert len(rows(output / "absent.csv")) == account["absent_videos"]


@pytest.mark.parametrize(("kind", "split"), EVERY_SPLIT)
def test_manifests_can_be_read_and_name_the_videos_that_are_there(tmp_path, kind, split):
    output = imported(tmp_path, kind, split)
    absent = {row["video_id"] for row in rows(output / "absent.csv")}
    for row in read_manifest(output / "manifest.csv", check_files=False):
        assert row.path.exists() == (row.video_id not in absent)
        assert row.path.resolve().is_relative_to((tmp_path / "official files/videos").resolve())


@pytest.mark.parametrize("kind", KINDS)
def test_every_missing_file_is_named_with_where_to_get_it(tmp_path, kind):
    for split in KINDS[kind].splits:
        options = OfficialOptions(kind=kind, directory=str(tmp_path), split=split)
        with pytest.raises(UserError) as caught:
            import_annotations(adapter_of(options), tmp_path / "output")
        for alternatives in adapter_of(options).selection.needs:
            assert any(str(tmp_path / name) in caught.value.got for name in alternatives)
        assert caught.value.got.count("get it from http") == len(
            adapter_of(options).selection.needs
        )
        assert not (tmp_path / "output").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_the_provenance_of_every_official_file_is_on_record(kind):
    source = provenance()[kind]
    assert source["name"]
    assert source["home_page"].startswith("http")
    names = {
        name.rpartition("/")[2]
        for split in KINDS[kind].splits.values()
        for name in [*(one for need in split.needs for one in need), *split.helps]
    } - {"transcript"}
    assert set(source["files"]) == names
    assert all(set(one) == {"page", "sha256", "verified"} for one in source["files"].values())


def test_a_split_or_captions_file_that_does_not_exist_is_refused_with_the_known_ones(tmp_path):
    for words, message in [
        ({"split": "test"}, "known: validation_clips, validation, training"),
        ({"captions": "caption.json"}, "captions is for howto100m"),
    ]:
        options = OfficialOptions(kind="youcook2", directory=str(tmp_path), **words)
        with pytest.raises(UserError, match=message):
            import_annotations(adapter_of(options), tmp_path / "output")
    options = OfficialOptions(kind="howto100m", directory=str(tmp_path), captions="captions.json")
    assert "did you mean 'caption.json'?" in adapter_of(options).refusals()[0]


def test_alternatives_count_in_their_order(tmp_path):
    options = OfficialOptions(kind="msrvtt", directory=str(tmp_path), split="train_7k")
    write(tmp_path / "MSRVTT_data.json", "{}")
    adapter = adapter_of(options)
    assert len(adapter.missing_files()) == 1
    write(tmp_path / "MSRVTT_train.csv", "video_id\n")
    assert adapter.missing_files() == []
    assert adapter.file(0).name == "MSRVTT_train.csv"
    write(tmp_path / "MSRVTT_train.7k.csv", "video_id\n")
    assert adapter.file(0).name == "MSRVTT_train.7k.csv"


def test_videos_are_found_by_id_anywhere_below_their_folder(tmp_path):
    for name in ("a.mkv", "deep/er/a.mp4", "b.WEBM", "x/-c.id.avi", "notes.txt", ".mp4", "d.m4v"):
        video(tmp_path, name)
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "elsewhere/linked.mp4", "video")
    (tmp_path / "videos/link").symlink_to(tmp_path / "elsewhere")
    assert find_videos(tmp_path / "videos") == {
        "a": "deep/er/a.mp4",
        "b": "b.WEBM",
        "-c.id": "x/-c.id.avi",
        "d": "d.m4v",
        "linked": "link/linked.mp4",
    }
    assert find_videos(tmp_path / "no such folder") == {}


def test_a_results_folder_behind_a_link_still_finds_the_videos(tmp_path):
    folder = MAKERS["youcook2"](tmp_path / "data")
    (tmp_path / "big/disk").mkdir(parents=True)
    (tmp_path / "results").symlink_to(tmp_path / "big/disk")
    output = tmp_path / "results/set/official"
    import_annotations(adapter_of(OfficialOptions(kind="youcook2", directory=str(folder))), output)
    assert read_manifest(output / "manifest.csv", check_files=False)[0].path.exists()


def test_blank_lines_marks_and_quotes_are_no_obstacle(tmp_path):
    path = write(tmp_path / "a.csv", BOM + 'b, a \r\n\r\n"x, ""y""",1\r\n  \r\nz,2\r\n')
    assert list(csv_lines(path, ("a", "b"), header=True)) == [(3, ["1", 'x, "y"']), (5, ["2", "z"])]
    assert next(iter(text_lines(path))) == (1, "b, a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: an empty file"),
        ("a,c\n1,2\n", "line 1: no column b"),
        ("a,b\n1,2\n3\n", "line 3: 1 cells"),
    ],
)
def test_a_table_of_another_form_is_named_with_its_line(tmp_path, text, message):
    path = write(tmp_path / "a.csv", text)
    with pytest.raises(UserError) as caught:
        list(csv_lines(path, ("a", "b"), header=True))
    assert caught.value.got == f"{path}, {message}"


def test_files_that_are_no_text_or_no_json_are_named(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"a\.csv"):
        list(csv_lines(tmp_path / "a.csv", ("a",), header=True))
    with pytest.raises(UserError, match=r"b\.json, line 2: "):
        read_json(write(tmp_path / "b.json", '{\n"a" 1}'))


def configuration(**datasets):
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["datasets"].update(datasets)
    return configure(values)


@pytest.mark.parametrize("kind", KINDS)
def test_a_configured_set_takes_its_inputs_from_the_import(kind):
    official = {"kind": kind, "directory": "data"}
    dataset = configuration(mine={"official": official, "shards": 1}).datasets["mine"]
    for key, file in KINDS[kind].makes.items():
        assert getattr(dataset, key) == f"results/mine/official/{file}"


def test_an_input_that_is_given_stays():
    official = {"kind": "youcook2", "directory": "data"}
    dataset = configuration(mine={"official": official, "captions": "own.csv"}).datasets["mine"]
    assert dataset.captions == "own.csv"
    assert dataset.manifest == "results/mine/official/manifest.csv"


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"shards": 1}, "datasets.mine.manifest: missing"),
        ({"manifest": "m.csv", "classes": "c.csv"}, "classes, transcripts and segments come"),
        ({"official": {"kind": "youcok2", "directory": "d"}}, "datasets.mine.official.kind"),
        ({"official": {"kind": "youcook2", "dir": "d"}}, "did you mean 'directory'?"),
        ({"official": {"kind": "msrvtt", "directory": "d", "split": "test"}}, "known: jsfusion"),
    ],
)
def test_what_a_configured_set_lacks_is_named(dataset, message):
    with pytest.raises(UserError) as caught:
        configuration(mine=dataset)
    assert message in caught.value.got


def test_the_command_line_imports(tmp_path, capsys):
    folder = MAKERS["youcook2"](tmp_path / "data")
    words = ["import", "annotations", "youcook2", str(folder), "--output", str(tmp_path / "out")]
    assert main([*words, "--split", "training"]) == 0
    assert [row["split"] for row in rows(tmp_path / "out/manifest.csv")] == ["training"]
    assert main([*words, "--split", "nonsense"]) == 1
    assert "known: validation_clips" in capsys.readouterr().err


OWN = """
from mcn.sources.annotation_tables import CAPTIONS
from mcn.sources.official import Adapter, Split, csv_inputs
from mcn.sources.official_text import csv_lines


class Mine(Adapter):
    title, home_page = "My clips", "https://example.org/clips"
    makes = csv_inputs("manifest", "captions")
    splits = {"all": Split((("clips.csv",),))}

    def read(self, account):
        rows = [cells for _, cells in csv_lines(self.file(0), ("clip", "text"), header=True)]
        account.write("captions.csv", CAPTIONS, [(one, one, 0, 1, text, "") for one, text in rows])
        account.write_manifest((one, "test", "") for one, _ in rows)
        account.count("clips", len(rows), 2)


class Careless(Mine):
    def read(self, account):
        account.count("clips", 1 / 0)


class Unfinished(Adapter):
    splits = {"all": Split((("clips.csv",),))}
"""


@pytest.fixture
def own_adapter(tmp_path, monkeypatch):
    """A folder with an adapter of one's own beside the configuration, and its official files."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "my_adapter.py", OWN)
    write(tmp_path / "data/clips.csv", "clip,text\na,cut\nb,fry\n")
    yield tmp_path
    sys.modules.pop("my_adapter", None)


def test_an_adapter_of_ones_own_imports_like_ours(own_adapter):
    official = {"kind": "my_adapter:Mine", "directory": "data"}
    dataset = configuration(mine={"official": official, "shards": 1}).datasets["mine"]
    assert dataset.captions == "results/mine/official/captions.csv"
    assert (
        main(["import", "annotations", "my_adapter:Mine", "data", "--output", str(own_adapter)])
        == 0
    )
    assert [row["caption"] for row in rows(own_adapter / "captions.csv")] == ["cut", "fry"]
    account = json.loads((own_adapter / "accounting.json").read_text())
    assert (account["kind"], account["split"], account["absent_videos"]) == (
        "my_adapter:Mine",
        "all",
        2,
    )
    (own_adapter / "data/clips.csv").unlink()
    with pytest.raises(UserError, match=r"My clips: no data/clips\.csv; get it from https://ex"):
        adapter_of(OfficialOptions(**official)).require_files()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("my_adapter:Mein", "did you mean 'Mine'?"),
        ("no_adapter:Mine", "no_adapter"),
        ("my_adapter:Unfinished", "Unfinished without makes, read"),
        ("my_adapter:csv_lines", "csv_lines"),
    ],
)
def test_an_adapter_that_is_not_there_or_breaks_the_contract_is_named(own_adapter, kind, message):
    with pytest.raises(UserError) as caught:
        configuration(mine={"official": {"kind": kind, "directory": "data"}, "shards": 1})
    assert "datasets.mine.official.kind: " in caught.value.got
    assert message in caught.value.got
    with pytest.raises(UserError, match=r"mcn\.sources\.official\.Adapter"):
        adapter_of(OfficialOptions(kind=kind, directory="data"))


def test_an_error_inside_an_adapter_of_ones_own_names_its_file_and_line(own_adapter):
    options = OfficialOptions(kind="my_adapter:Careless", directory="data")
    with pytest.raises(UserError, match=r"my_adapter\.py, line 21.*ZeroDivisionError"):
        import_annotations(adapter_of(options), own_adapter / "output")
    assert not (own_adapter / "output/accounting.json").exists()
