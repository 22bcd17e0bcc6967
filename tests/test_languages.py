"""Languages: words of any script, detection, one narration file a language, training and scores by language."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mcn.config.configuration import configure
from mcn.config.warnings import language_warnings
from mcn.errors import UserError
from mcn.evaluation.retrieval.stage import evaluate
from mcn.features.text import extract_text, make_vocabulary
from mcn.files import read_table, write_table
from mcn.options.encoders import TextOptions
from mcn.options.evaluation import RetrievalOptions
from mcn.options.training import TrainingOptions
from mcn.report.accounts import read_account
from mcn.report.evaluations import Retrieval
from mcn.report.measures import language_rows, language_tables
from mcn.search.folder import Folder
from mcn.search.printing import unknown_language
from mcn.shards import FeatureSequence, ShardReader
from mcn.shards.lines import Narration
from mcn.sources.annotation_tables import CAPTIONS, prepare_captions
from mcn.sources.languages import language_of, languages_of
from mcn.sources.manifest import read_manifest
from mcn.sources.videos import prepare_videos
from mcn.sources.words import UNSPACED, tokenize
from mcn.training.clips import Video
from mcn.upkeep.ledger import make_ledger
from tests.evaluation_set import EvaluationSet, evaluated, make_model, make_set

SAID = {
    "en": ["now you cut the onion into small pieces", "and then stir it until it is smooth"],
    "de": ["jetzt schneidest du die Zwiebel klein", "und dann rührst du alles gut um"],
    "es": ["ahora cortas la cebolla en trozos", "y después lo mezclas todo muy bien"],
}


def test_words_are_those_of_the_released_pattern_but_for_marks_and_scripts_without_blanks() -> None:
    """`re.findall(r"[\\w']+", line)` (MCN youtube_dataloader.py), over every character there is."""
    same = [
        one
        for one in map(chr, range(0x20000))
        if unicodedata.is_normalized("NFC", one)
        and not (unicodedata.category(one).startswith("M") or one in "\u200c\u200d")
        and not UNSPACED.match(one)
    ]
    text = " ".join(f"a{one}b" for one in same)
    assert tokenize(text) == re.findall(r"[\w']+", text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ru\u0308hre 2 Löffel um", ["Rühre", "2", "Löffel", "um"]),  # ü in two characters
        ("l’oignon, s'il te plaît", ["l", "oignon", "s'il", "te", "plaît"]),
        ("प्याज को काटो", ["प्याज", "को", "काटो"]),  # marks belong to their word
        ("нарежь лук", ["нарежь", "лук"]),
        ("切洋葱, 2个egg", ["切", "洋", "葱", "2", "个", "egg"]),
        ("玉ねぎを切る", list("玉ねぎを切る")),
        ("ตัด", ["ตั", "ด"]),
    ],
)
def test_no_script_is_silently_empty(text: str, words: list[str]) -> None:
    assert tokenize(text) == words


def test_scripts_without_blanks_are_cut_into_the_longest_known_words(tmp_path: Path) -> None:
    known = {"洋葱", "把", "切", "洋", "切成"}
    assert tokenize("把洋葱切成丁", known) == ["把", "洋葱", "切成", "丁"]
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("".join(f"{word} {n} 1\n" for n, word in enumerate(sorted(known))))
    lines = pa.table({"text": ["把洋葱切成丁"]})
    write_table(tmp_path / "lines.parquet", lines)
    options = TextOptions(vectors=str(vectors), cache=str(tmp_path / "cache"))
    vocabulary = tmp_path / "vocabulary.parquet"
    make_vocabulary([tmp_path / "lines.parquet"], vectors, vocabulary, options)
    # what a query is cut into follows from the words of the vocabulary alone
    assert read_table(vocabulary)["token"].to_pylist() == ["切成", "把", "洋葱"]


def test_a_text_s_language_is_detected_or_not_known() -> None:
    assert {code: language_of(lines) for code, lines in SAID.items()} == {one: one for one in SAID}
    assert language_of([]) == language_of(["", "  "]) == language_of(["123"]) == ""


def test_short_sentences_are_told_apart_among_the_languages_of_their_list() -> None:
    """`chop the onion` and `corta la cebolla` alone are taken for other languages, or for none."""
    english = ["chop the onion", *SAID["en"], "slice the garlic with a knife"]
    spanish = ["corta la cebolla", *SAID["es"], "pinta la silla con una brocha muy grande"]
    assert languages_of([*english, *spanish]) == ["en"] * 4 + ["es"] * 4
    assert languages_of([*english, "dog"]) == ["en"] * 5
    assert languages_of([]) == []


def srt(lines: list[str]) -> str:
    times = [f"00:00:{3 * n:02},000 --> 00:00:{3 * n + 3:02},000" for n in range(len(lines))]
    return "".join(f"{time}\n{line}\n\n" for time, line in zip(times, lines, strict=True))


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A manifest: a video in three languages, which are said by a name, by the text, and by nothing but the text."""
    for name in ("talk.mp4", "plain.mp4"):
        (tmp_path / name).write_bytes(b"video")
    for name, code in (("talk.en.srt", "en"), ("talk.de.srt", "de"), ("other.srt", "es")):
        (tmp_path / name).write_text(srt(SAID[code]), encoding="utf-8")
    path = tmp_path / "manifest.csv"
    path.write_text(
        "video_id,path,narration,language\n"
        "talk,talk.mp4,talk.en.srt|talk.de.srt|other.srt,\n"
        "plain,plain.mp4,other.srt,de-AT\n"
    )
    return path


def tables_of(manifest: Path) -> tuple[Path, Path]:
    videos, narration = (manifest.parent / f"{name}.parquet" for name in ("videos", "narration"))
    prepare_videos(manifest, videos, narration)
    return videos, narration


def test_a_video_has_a_narration_file_for_each_language(talk: Path) -> None:
    videos, narration = tables_of(talk)
    rows = read_table(narration).to_pylist()
    found = {(row["video_id"], row["language"]): [] for row in rows}
    for row in rows:
        found[row["video_id"], row["language"]].append(row["text"])
    given = {("plain", "de"): SAID["es"]}  # what the manifest says wins over the text
    assert found == {**{("talk", code): lines for code, lines in SAID.items()}, **given}
    first = read_table(videos).to_pylist()[0]
    assert [Path(one).name for one in first["narration"].split("|")][-1] == "other.srt"


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("talk.en.srt|talk.de.srt,en", "1 languages of 2 narration files"),
        ("talk.en.srt|talk.de.srt,en|en-US", "the same language twice"),
        ("talk.en.srt,german", "language 'german' is no code of a language"),
        ("talk.en.srt|talk.fr.srt,", "no file .*talk.fr.srt"),
    ],
)
def test_languages_that_do_not_fit_are_named_with_their_line(
    talk: Path, cells: str, message: str
) -> None:
    talk.write_text(f"video_id,path,narration,language\ntalk,talk.mp4,{cells}\n")
    with pytest.raises(UserError, match=f"line 2: {message}"):
        read_manifest(talk)


def test_two_files_in_one_language_are_an_error_of_the_video(talk: Path) -> None:
    talk.write_text("video_id,path,narration\ntalk,talk.mp4,talk.en.srt|talk.en.srt\n")
    with pytest.raises(UserError, match="a second file in the language en"):
        tables_of(talk)


def text_shard(talk: Path) -> Path:
    folder = talk.parent
    _, narration = tables_of(talk)
    words = sorted({word for lines in SAID.values() for line in lines for word in tokenize(line)})
    vectors = folder / "vectors.txt"
    vectors.write_text("".join(f"{word} {n} 1\n" for n, word in enumerate(words)), encoding="utf-8")
    shard, vocabulary = folder / "00000.csv", folder / "vocabulary.parquet"
    shard.write_text("video_id,path\nplain,plain.mp4\ntalk,talk.mp4\n")
    options = TextOptions(vectors=str(vectors), cache=str(folder / "cache"))
    make_vocabulary([narration], vectors, vocabulary, options)
    extract_text("words", shard, narration, vocabulary, folder / "text.parquet", options)
    return folder / "text.parquet"


def test_text_shards_ledger_and_report_know_the_languages(talk: Path) -> None:
    shard = text_shard(talk)
    rows = dict(
        zip(*(ShardReader(shard).column(n) for n in ("video_id", "languages")), strict=True)
    )
    assert rows == {"plain": ["de", "de"], "talk": ["de", "de", "en", "en", "es", "es"]}
    ledger, videos = talk.parent / "ledger.parquet", talk.parent / "videos.parquet"
    make_ledger(videos, {"words": [shard]}, ledger)
    assert read_table(ledger)["languages"].to_pylist() == ["de,en,es", "de"]
    assert read_account("set", ledger, videos).languages == {"de": 2, "en": 1, "es": 1}


def test_training_takes_lines_of_the_wanted_languages_and_joins_none_of_another(talk: Path) -> None:
    shard = text_shard(talk)
    every, some = Narration([shard]), Narration([shard], ("en", "es"))
    assert every.languages == {"de", "en", "es"}
    assert list(some) == ["talk"]
    assert some.status["plain"] == "missing"
    assert some.errors["plain"] == "no narration in en, es"
    lines = some["talk"]
    assert lines.languages == ["en", "en", "es", "es"]
    assert lines.within(1.0, 3.0, "es") == [2]
    for line in range(4):
        assert lines.tokens[line] == every["talk"].tokens[line + 2]

    pictures = FeatureSequence("talk", "ok", "", 0.0, 1.0, np.ones((6, 2), np.float16))
    video = Video((pictures,), None, False, every["talk"])
    options = TrainingOptions(min_clip_seconds=6, max_words=40)
    for line, spoken in enumerate(every["talk"].languages):
        of_language = [n for n, one in enumerate(every["talk"].languages) if one == spoken]
        clip = video.clip(line, options, candidates=4)
        tokens = [every["talk"].tokens[n] for n in (line, *(n for n in of_language if n != line))]
        assert clip.words == [word for one in tokens for word in one]
        assert (clip.start, clip.end, clip.candidates) == (0.0, 6.0, [])


def test_a_transcript_is_in_the_language_that_is_listed_first(talk: Path) -> None:
    _, narration = tables_of(talk)
    place = talk.parent / "results/talks"
    place.mkdir(parents=True)
    narration.rename(place / "narration.parquet")
    lines = Folder(talk.parent, {}, "talks").lines
    assert [line.text for line in lines["talk"]] == SAID["en"]
    assert [line.text for line in lines["plain"]] == SAID["es"]


def test_captions_without_a_language_are_given_one(talk: Path) -> None:
    videos, _ = tables_of(talk)
    path, made = talk.parent / "captions.csv", talk.parent / "captions.parquet"
    head = "clip_id,video_id,start_seconds,end_seconds,caption"
    captions = [*SAID["en"], *SAID["de"], "chop the onion"]
    path.write_text(
        f"{head}\n" + "".join(f"c,talk,0,5,{one}\n" for one in captions), encoding="utf-8"
    )
    prepare_captions(path, videos, made)
    assert read_table(made)["language"].to_pylist() == ["en", "en", "de", "de", "en"]
    path.write_text(f"{head},language\nc,talk,0,5,chop the onion,fra\nc,talk,0,5,stir,\n")
    prepare_captions(path, videos, made)
    assert read_table(made)["language"].to_pylist()[0] == "fr"
    path.write_text(f"{head},language\nc,talk,0,5,stir,English\n")
    with pytest.raises(UserError, match="'English'"):
        prepare_captions(path, videos, made)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> EvaluationSet:
    return make_set(tmp_path_factory.mktemp("set"))


@pytest.mark.parametrize("policy", ["mistake", "drop"])
def test_scores_by_language_are_those_of_its_captions_alone(
    small: EvaluationSet, tmp_path: Path, policy: str
) -> None:
    """A set of two languages gives for each what a set gives that has its captions alone."""
    rows = read_table(small.path("captions.parquet")).to_pylist()
    other = [
        {**row, "caption": rows[-n]["caption"], "language": "de"} for n, row in enumerate(rows)
    ]
    options = RetrievalOptions(audio_frames=5120, missing_modality=policy)

    def result(captions: list[dict[str, Any]]) -> dict[str, Any]:
        path = tmp_path / f"{len(captions)}{captions[0]['language']}.parquet"
        write_table(path, pa.Table.from_pylist(captions, CAPTIONS))
        return evaluate(evaluated(small, options, make_model(), tables={"captions": path}))

    alone = {"en": result(rows), "de": result(other)}
    both = result([*rows, *other])
    assert alone["en"]["languages"] == {}
    assert list(both["languages"]) == ["de", "en"]
    for language, found in both["languages"].items():
        assert set(found["scores"]) == {pair for pair in both["scores"] if pair.startswith("t->")}
        for pair, scores in found["scores"].items():
            for part in ("scores", "chance", "intervals"):
                assert found[part][pair] == alone[language][part][pair], (language, pair, part)
            assert scores["total"] == alone[language]["scores"][pair]["total"]
    file = Retrieval(experiment="e", dataset="d", **both)
    (table,) = language_tables([file, Retrieval(experiment="f", dataset="d", **alone["en"])])
    recall = [both["languages"][code]["scores"]["t->va"]["R@10"] for code in ("de", "en")]
    assert (table.languages, table.rows) == (["de", "en"], [("e", recall)])
    shown = language_rows(file)
    assert shown[0].words == "de, text → video + audio"
    assert shown[0].measures[0].chance == pytest.approx(
        both["languages"]["de"]["chance"]["t->va"]["R@1"]
    )


def test_an_encoder_that_does_not_know_the_language_of_texts_is_named_before_the_run(
    talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(talk.parent)
    captions = talk.parent / "captions.csv"
    captions.write_text(
        "clip_id,video_id,start_seconds,end_seconds,caption,language\nc,talk,0,5,corta,es\n"
    )
    values = {
        "datasets": {"talks": {"manifest": str(talk), "captions": str(captions)}},
        "features": {
            "words": {"kind": "text", "encoder": "word2vec", "vectors": "GoogleNews-x.bin"}
        },
        "experiments": {"one": {"dataset": "talks", "model": {"text": "words"}}},
    }
    start = "features.words knows en, and the {} of talks is in {}: "
    assert [line.partition("take")[0] for line in language_warnings(configure(values))] == [
        start.format("narration", "de"),
        start.format("captions", "es"),
    ]
    values["features"]["words"]["languages"] = ["en", "de", "es"]
    assert language_warnings(configure(values)) == []


def test_a_vocabulary_job_warns_of_languages_that_the_vectors_do_not_know(
    talk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, narration = tables_of(talk)
    vectors = talk.parent / "glove.txt"
    vectors.write_text("onion 1 2\n")
    options = TextOptions(vectors=str(vectors), cache=str(talk.parent / "cache"))
    make_vocabulary([narration], vectors, talk.parent / "vocabulary.parquet", options)
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [line.partition(" of ")[0] + line.partition(" are in")[2][:3] for line in said] == [
        "4 de",
        "2 es",
    ]
    assert "word2vec knows en" in said[0]


def test_a_query_in_a_language_that_the_encoder_does_not_know_is_warned_of() -> None:
    def answers(*known: tuple[str, ...]) -> Any:
        return SimpleNamespace(
            vectors=[
                SimpleNamespace(name="seen", text=f"t{n}", knows=k) for n, k in enumerate(known)
            ]
        )

    query = "wo wird die Suppe gerührt?"
    warning = unknown_language(answers(("en",), ("de", "en"), ()), query, ("words", "seen"))
    assert warning.startswith("The query seems to be in de, which t0 (en) does not know")
    assert not unknown_language(
        answers(("en",)), "how is the soup stirred until it is hot", ("seen",)
    )
    assert not unknown_language(answers(("en",)), "onion", ("seen",))  # too short to tell
    assert not unknown_language(answers(("en",)), query, ("words",))
