"""docs/files.md, "Versions": what a newer mcn wrote is refused, what an older one wrote is read or named as older.

Either way the version that is wanted is said, and the command that makes the file again.

`recorded/version_0_1_0/` was written by the commit that became version 0.1.0 (78438bc): a shard of frames, decoded from
four seconds at one frame a second, and a model; `expected.json` holds what that code read back and computed.
`recorded/text_without_languages.parquet` and `recorded/features_of_version_1.parquet` were written by the package as it
was before lines of narration had a language.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from mcn.errors import DamagedShard, UserError, require_version
from mcn.files import canonical_json, write_json
from mcn.media.lossless import decode_rgb
from mcn.networks import checkpoints
from mcn.networks.checkpoints import load_model, save_model
from mcn.search import catalogue
from mcn.search.catalogue import CATALOGUE, read_catalogue
from mcn.search.notes import NOTES, Notes
from mcn.search.words import WordsIndex
from mcn.search.words_file import VERSION as WORDS_VERSION
from mcn.search.words_file import build_words
from mcn.shards import FEATURE_SCHEMA, FeatureStore, ShardReader, ShardWriter, feature_row, shard
from tests.evaluation_set import make_model

RECORDED = Path(__file__).parent / "recorded"


def features(path: Path) -> Path:
    with ShardWriter(path, FEATURE_SCHEMA, {"version": 1}) as writer:
        writer.write(feature_row("soup", np.ones((3, 2)), 0.0, 1.0))
    return path


def refused(error: UserError, *words: str) -> None:
    """The file is named as of another version, not as damaged, and the words are said."""
    assert not isinstance(error, DamagedShard)
    assert not [word for word in words if word not in str(error)], str(error)


def test_what_both_directions_say() -> None:
    require_version("file", 3, 3, "remake it")
    with pytest.raises(UserError) as newer:
        require_version("file", 4, 3, "remake it")
    refused(newer.value, "file of version 4", "newer", "version 3", "install a newer", "remake it")
    with pytest.raises(UserError) as older:
        require_version("file", 2, 3, "remake it")
    refused(older.value, "file of version 2", "older", "wanted: version 3", "remake it")
    assert "install" not in older.value.do


def test_a_shard_of_a_newer_version_is_refused_whatever_else_its_header_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def header(values: dict) -> str:
        return canonical_json({**values, "new": 1} if "schema_version" in values else values)

    with monkeypatch.context() as newer:
        newer.setattr(shard, "SCHEMA_VERSION", 2)
        newer.setattr(shard, "canonical_json", header)
        path = features(tmp_path / "shard.parquet")
    with pytest.raises(UserError) as error:
        ShardReader(path)
    refused(error.value, "of version 2", "version 1", "install a newer mcn", f"rm {path}")


def test_a_shard_of_an_older_version_is_named_with_the_command_that_remakes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = features(tmp_path / "shard.parquet")
    monkeypatch.setattr(shard, "SCHEMA_VERSION", 2)
    with pytest.raises(UserError) as error:
        FeatureStore([path])
    refused(error.value, "of version 1", "an older mcn", f"snakemake --cores N {path}")


def test_features_of_the_version_before_are_read() -> None:
    store = FeatureStore([RECORDED / "features_of_version_1.parquet"])
    np.testing.assert_array_equal(store["soup"].values, np.arange(6.0).reshape(3, 2))
    assert (store["soup"].start_seconds, store["bread"].error) == (0.5, "truncated: cut short")


def test_files_of_version_0_1_0_give_what_its_own_code_gave() -> None:
    place = RECORDED / "version_0_1_0"
    expected = json.loads((place / "expected.json").read_text())
    soup, bread = list(ShardReader(place / "frames.parquet", "frames"))
    frames = np.concatenate(list(decode_rgb(soup["video"], 3)))
    assert list(frames.shape) == expected["frames_shape"]
    assert hashlib.sha256(frames.tobytes()).hexdigest() == expected["frames_sha256"]
    assert (bread["status"], bread["error"].partition(":")[0]) == ("failed", "not_found")
    model, config = load_model(place / "model")
    with torch.no_grad():
        found = model.embed_video(torch.arange(12.0).reshape(2, 6) / 10)
    torch.testing.assert_close(found, torch.tensor(expected["embedding"]), rtol=1e-6, atol=1e-7)
    assert config["experiment"] == "mcn"


def test_narration_without_languages_is_older_and_not_damaged() -> None:
    path = RECORDED / "text_without_languages.parquet"
    with pytest.raises(UserError) as error:
        ShardReader(path, "text")
    refused(error.value, "without the column languages", "older", f"snakemake --cores N {path}")


def test_models_of_a_newer_version_are_refused_and_of_the_one_before_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model()
    save_model(tmp_path, model, {})
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({key: value for key, value in config.items() if key != "schema_version"})
    )
    rows = load_model(tmp_path)[0].state_dict()
    assert all(torch.equal(row, rows[name]) for name, row in model.state_dict().items())

    unknown = {**config, "schema_version": 2, "network_class": "NotYetThere"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(unknown))
    with pytest.raises(UserError) as error:
        load_model(tmp_path)
    refused(error.value, "of version 2", "version 1", "install a newer mcn")

    monkeypatch.setattr(checkpoints, "SCHEMA_VERSION", 3)
    with pytest.raises(UserError) as older:
        load_model(tmp_path)
    refused(older.value, "an older mcn", f"rm -r {tmp_path}")


@pytest.mark.parametrize("step", [1, -1])
def test_indexes_of_another_version_are_refused(tmp_path: Path, step: int) -> None:
    whose = "a newer mcn" if step > 0 else "an older mcn"
    version = catalogue.VERSION + step
    write_json(tmp_path / CATALOGUE, {"version": version, "parts": 1, "sources": {}})
    with pytest.raises(UserError) as error:
        read_catalogue(tmp_path)
    refused(error.value, f"of version {version}", whose, "mcn run FOLDER --output DIR")

    words = tmp_path / "words.sqlite"
    build_words([], words)
    with sqlite3.connect(words) as connection:
        connection.execute(f"PRAGMA user_version = {WORDS_VERSION + step}")
    connection.close()
    with pytest.raises(UserError) as error:
        WordsIndex(words)
    refused(error.value, f"of version {WORDS_VERSION + step}", whose, f"rm {words}")


def test_a_folder_of_answers_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / NOTES, {"version": 2, "shards": 1, "files": {}})
    with pytest.raises(UserError) as error:
        Notes.read(tmp_path)
    refused(error.value, "of version 2", "install a newer mcn", f"--output {tmp_path}")
