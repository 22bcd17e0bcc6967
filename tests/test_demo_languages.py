"""The demo in several languages: the same videos and times, texts of each language's own, files as they are read."""

from __future__ import annotations

import importlib.util
import re
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from mcn.demo.captions import captions
from mcn.demo.dataset import make, plans
from mcn.demo.plan import VideoPlan
from mcn.demo.story import STORIES, STORY
from mcn.errors import UserError
from mcn.files import read_table
from mcn.options.base import parsed
from mcn.options.demo import DemoOptions
from mcn.sources.annotation_tables import prepare_captions
from mcn.sources.languages import language_of, languages_of
from mcn.sources.manifest import read_manifest
from mcn.sources.narration import read_narration
from mcn.sources.videos import prepare_videos

LANGUAGES = ("en", "de", "es")

needs_speech = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="the extra `demo` is not installed"
)


@pytest.fixture(scope="module")
def told() -> list[VideoPlan]:
    planned = plans(DemoOptions(languages=LANGUAGES))
    return [*planned["train"], *planned["test"]]


def sentences(plan: VideoPlan) -> list[str]:
    return [one for shot in plan.shots for one in shot.sentences if one]


def test_shots_are_the_same_in_every_language(told: list[VideoPlan]) -> None:
    planned = plans(DemoOptions())
    for plan, alone in zip(told, [*planned["train"], *planned["test"]], strict=True):
        assert plan.told_in("en").shots == alone.shots
        for language in LANGUAGES[1:]:
            other = plan.told_in(language)
            assert (other.rate, other.voice, other.pitch) == (alone.rate, alone.voice, alone.pitch)
            for one, two in zip(other.shots, alone.shots, strict=True):
                assert (one.start, one.end, one.step, one.lag) == (
                    two.start,
                    two.end,
                    two.step,
                    two.lag,
                )
                assert [bool(text) for text in one.sentences] == [
                    bool(text) for text in two.sentences
                ]


def test_languages_take_turns_at_being_spoken(told: list[VideoPlan]) -> None:
    for one, two in pairwise(plan.language for plan in told[:36]):
        assert LANGUAGES[(LANGUAGES.index(one) + 1) % 3] == two


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_said_and_written_is_in_the_language(told: list[VideoPlan], language: str) -> None:
    for plan in told:
        said = sentences(plan.told_in(language))
        assert language_of(said) == language, said
        assert not [text for text in said if re.search(r"[{}\[\]]|  |^ | $", text)]
    written = [one.caption for one in captions([plan.told_in(language) for plan in told[36:]], 0)]
    assert languages_of(written) == [language] * len(written)
    assert len(set(written)) == len(written)
    assert not [text for text in written if re.search(r"[{}\[\]]|  ", text)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_written_sentence_is_a_spoken_one(language: str) -> None:
    story = STORIES[language]
    for name, action in story.actions.items():
        assert not set(action.spoken) & set(action.written), name
        names = {"item": story.items["onion"].names[0], "target": story.items["pot"].names[0]}
        for sentence in (*action.spoken, *action.written):
            assert sentence.format(**names) != sentence


def test_a_story_with_another_number_of_sentences_is_refused() -> None:
    german = STORIES["de"]
    said = {
        "actions": {
            name: {"spoken": a.spoken, "written": a.written} for name, a in german.actions.items()
        },
        "items": {name: item.names for name, item in german.items.items()},
        **{
            name: getattr(german, name)
            for name in ("leads", "intros", "outros", "fillers", "details")
        },
        "misheard": german.misheard,
        "tasks": german.task_names,
        "places": german.place_names,
    }
    assert STORY.told(said) == german
    for short in (
        {"fillers": german.fillers[1:]},
        {"tasks": {"bake a cake": "einen Kuchen backen"}},
    ):
        with pytest.raises(ValueError, match=r"as in story\.yaml"):
            STORY.told({**said, **short})


def test_languages_are_each_named_once() -> None:
    with pytest.raises(UserError, match="a language twice"):
        parsed(DemoOptions, {"languages": ["en", "en"]})
    with pytest.raises(UserError, match="languages"):
        parsed(DemoOptions, {"languages": ["fr"]})


@needs_speech
def test_files_are_what_the_pipeline_reads(tmp_path: Path) -> None:
    """One training video, spoken in German, and one held-out video."""
    small = DemoOptions(
        training_videos=1,
        held_out_videos=1,
        training_seconds=14,
        held_out_seconds=20,
        languages=("de", "es", "en"),
        workers=1,
    )
    make(tmp_path, small)
    (row,) = read_manifest(tmp_path / "train.csv")
    assert [path.name.split(".")[1] for path in row.narration] == ["de", "en", "es"]
    videos, narration = tmp_path / "videos.parquet", tmp_path / "narration.parquet"
    prepare_videos(tmp_path / "test.csv", videos, narration)
    assert set(read_table(narration)["language"].to_pylist()) == set(LANGUAGES)
    for path, language in zip(row.narration, ("de", "en", "es"), strict=True):
        text = [line.text for line in read_narration(path)]
        assert language_of(text) == language
        assert " ".join(text) == " ".join(text).lower()
    german = " ".join(line.text for line in read_narration(row.narration[0]))
    assert re.search("[äöüß]", german), german
    prepare_captions(tmp_path / "captions.csv", videos, tmp_path / "captions.parquet")
    found = read_table(tmp_path / "captions.parquet").to_pandas()
    clips = found.groupby("clip_id").language.apply(sorted)
    assert all(one == sorted(LANGUAGES) for one in clips)
    assert isinstance(found, pd.DataFrame)
