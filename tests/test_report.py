"""The report on made-up inputs in the pipeline's own formats: what it counts, what it shows, what it escapes."""

from __future__ import annotations

import hashlib
import html.parser
import json
import math
import re
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest

from mcn.errors import UserError
from mcn.files import write_json, write_table
from mcn.report import ReportInputs, make_report
from mcn.report.collect import collect
from mcn.report.curves import panels, place, thin
from mcn.report.evaluations import Query, Timeline, evenly, read_evaluation, spread
from mcn.report.figures import chart, number, round_ticks
from mcn.report.health import FeatureHealth, TextHealth, feature_health
from mcn.report.measures import pair_words
from mcn.report.render import clock
from mcn.report.tables import build_page
from mcn.shards import FEATURE_SCHEMA, TEXT_SCHEMA, ShardWriter, empty_row, feature_row
from mcn.upkeep.ledger import make_ledger

EVIL = "<script>alert(1)</script>&\"'"
NOTE = "synthetic demo: these scores say nothing about the paper's"
STEPS = ["chop the onion", "add the garlic to the pot", "pour the milk", "stir everything"]


def write_video(path: Path, seed: int, seconds: int = 4) -> None:
    """A small H.264 file: a square that wanders over a coloured ground."""
    rng = np.random.default_rng(seed)
    ground, ink = rng.integers(0, 255, (2, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for index in range(5 * seconds):
            frame = np.tile(ground, (120, 160, 1))
            left = 4 * index % 120
            frame[40:80, left : left + 40] = ink
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def write_features(path: Path, ids: list[str], failed: str, seed: int, width: int = 16) -> Path:
    rng = np.random.default_rng(seed)
    with ShardWriter(path, FEATURE_SCHEMA, {"version": 1, "weights": {"sha256": "ab12"}}) as shard:
        for video_id in ids:
            if video_id == failed:
                error = f"truncated: ends at 3.0 s of {EVIL}"
                shard.write(empty_row(FEATURE_SCHEMA, video_id, "failed", error))
            else:
                values = np.maximum(rng.normal(0, 1, width) + rng.normal(0, 0.5, (20, width)), 0)
                shard.write(feature_row(video_id, values, 0.0, 1.0))
    return path


def write_text_shard(path: Path, ids: list[str]) -> Path:
    with ShardWriter(path, TEXT_SCHEMA, {"version": 1}) as shard:
        for video_id in ids:
            lines = {
                "starts": [0.0, 4.0],
                "ends": [3.0, 6.0],
                "texts": ["chop it", "hmm"],
                "languages": ["en", "en"],
                "tokens": [[1, 2], []],
            }
            shard.write({"video_id": video_id, "status": "ok", "error": "", **lines})
    return path


def write_metrics(path: Path, steps: int) -> None:
    with open(path, "w") as file:
        for step in range(steps):
            decay = math.exp(-3 * step / steps)
            record = {
                "step": step,
                "epoch": step // 50,
                "lr": 1e-3 * (1 - step / steps),
                "note": "text",
            }
            record |= {
                "loss/total": 3 + 9 * decay,
                "loss/video_text": 1 + 4 * decay,
                "loss/cluster": 2 + decay,
            }
            record["loss/reconstruction"] = float("nan") if step == 7 else 0.3 * decay
            if step % 10 == 0:
                used = round(32 * (1 - 0.6 * decay))
                record |= {
                    "clusters/used": used,
                    "clusters/largest_share": 0.1 + 0.5 * decay,
                    "clusters/drift": decay if step else None,
                }
            if step % 40 == 0:
                record |= {
                    f"early/{p}/R@10": 60 * (1 - decay) + 10 for p in ("t->v", "t->a", "t->va")
                }
            file.write(json.dumps(record) + "\n")


def moment(ids: list[str], clip: int) -> dict[str, object]:
    start = 1.0 + clip // len(ids)
    return {"video_id": ids[clip % len(ids)], "start_seconds": start, "end_seconds": start + 2.5}


def write_retrieval(path: Path, ids: list[str], queries: int) -> None:
    rng = np.random.default_rng(0)
    pairs = ["t->v", "t->a", "t->va", "v->t", "a->t", "va->t", "v->a", "a->v"]
    values = {
        "R@1": 18.1,
        "R@5": 45.2,
        "R@10": 66.7,
        "MedR": 6.0,
        "MeanR": 9.1,
        "n": queries,
        "total": queries + 2,
    }
    examples = []
    for clip in range(queries):
        rank = 1 + min(clip // 2, queries - 1)
        others = [int(c) for c in rng.permutation(queries) if c != clip][:5]
        shown = [*others[: rank - 1], clip, *others[rank - 1 :]] if rank <= 5 else others
        top = [
            {
                "clip_id": f"c{c}",
                **moment(ids, c),
                "score": 0.71 - 0.04 * place,
                "correct": c == clip,
            }
            for place, c in enumerate(shown[:5])
        ]
        caption = f"now {STEPS[clip % 4]} slowly, take {clip}"
        examples.append(
            {
                "clip_id": f"c{clip}",
                "caption": caption,
                **moment(ids, clip),
                "rank": rank,
                "top": top,
            }
        )
    scores = {
        pair: values | {"R@10": 66.7 - 5 * i, "n": queries - i} for i, pair in enumerate(pairs)
    }
    scores["a->v"] |= {"MedR": None}
    chance = {"R@1": 1.7, "R@5": 8.3, "R@10": 16.7, "MedR": 30.5, "MeanR": 30.5}
    value = {
        "experiment": "mcn",
        "dataset": "demo_test",
        "synthetic": True,
        "n": queries,
        "total": queries + 2,
    }
    value |= {"scores": scores, "chance": chance, "examples": examples, "missing": {"no_audio": 2}}
    write_json(path, value | {"provenance": {"seed": 0, "model": {"sha256": "cd34"}}})


def write_localization(path: Path, ids: list[str]) -> None:
    timelines = []
    for index, video_id in enumerate(ids):
        truth = [[0, 1.0, 4.2], [1, 5.5, 9.0], [3, 14.0, 18.5], [1, 10.5, 12.0]]
        predicted = [[0, 2 + index % 4], [1, 8], [2, 11], [3, 13 + index % 2]]
        timelines.append(
            {"video_id": video_id, "task": "make vegetable soup", "seconds": 20.0, "steps": STEPS}
            | {"truth": truth, "predicted": predicted}
        )
    value = {
        "experiment": "mcn",
        "dataset": "demo_test",
        "synthetic": True,
        "n": len(ids),
        "total": len(ids) + 1,
    }
    value |= {
        "scores": {"recall": 52.0, "recall_pooled": 50.5},
        "chance": {"recall": 21.3, "recall_pooled": 20.9},
    }
    tasks = {
        task: {"recall": r, "videos": 4}
        for task, r in (("make vegetable soup", 57.5), ("fix a bicycle", 46.5))
    }
    write_json(path, value | {"tasks": tasks, "timelines": timelines})


def write_inputs(root: Path, videos: int = 4, queries: int = 12, steps: int = 450) -> ReportInputs:
    """A run's files: one data set whose first id is hostile and whose last video failed."""
    ids = [EVIL, *(f"soup_{index:03d}" for index in range(1, videos))]
    for index in range(videos):
        write_video(root / f"{index}.mp4", index)
    table = {"video_id": ids, "path": [str(root / f"{index}.mp4") for index in range(videos)]}
    write_table(root / "videos.parquet", pa.table(table))
    half = videos // 2
    features = {
        name: [
            write_features(root / f"{name}{shard}.parquet", part, ids[-1], 10 * number + shard)
            for shard, part in enumerate((ids[:half], ids[half:]))
        ]
        for number, name in enumerate(("resnet152", "resnext101", "logmel"))
    }
    features["word2vec"] = [write_text_shard(root / "word2vec0.parquet", ids)]
    make_ledger(root / "videos.parquet", features, root / "ledger.parquet")
    write_retrieval(root / "demo_test.retrieval.json", ids[:-1], queries)
    write_localization(root / "demo_test.localization.json", ids[:-1])
    model = root / "mcn"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"weights")
    (model / "config.yaml").write_text(f"embedding_width: 64\nname: {EVIL}\n")
    write_metrics(model / "metrics.jsonl", steps)
    return ReportInputs(
        title="Multimodal Clustering Networks",
        synthetic=NOTE,
        ledgers={"demo_test": root / "ledger.parquet"},
        videos={"demo_test": root / "videos.parquet"},
        evaluations=sorted(root.glob("*.json")),
        models={"mcn": model},
        features={"demo_test": features},
        provenance={"mcn": "0.1.0", "device": "cpu", "precision": "fp32", "seeds": {"train": 0}},
    )


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> ReportInputs:
    return write_inputs(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def page(inputs, tmp_path_factory) -> str:
    output = tmp_path_factory.mktemp("page") / "report.html"
    make_report(inputs, output)
    return output.read_text(encoding="utf-8")


class Tags(html.parser.HTMLParser):
    """Every tag with its attributes, and whether tags close in order."""

    VOID = ("meta", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def tags(page: str) -> Tags:
    parser = Tags()
    parser.feed(page)
    assert parser.open == []
    return parser


def text_of(page: str) -> str:
    """The page's words, tags dropped."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.partition("</style>")[2])).split())


def test_one_offline_file_without_scripts(page):
    seen = tags(page).seen
    assert "script" not in {tag for tag, _ in seen}
    assert not [tag for tag, _ in seen if tag in ("link", "iframe", "object")]
    links = [a[key] for _, a in seen for key in ("src", "href") if key in a]
    assert links
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in links)
    assert "url(" not in page
    assert "@import" not in page
    assert len(page) < 1_000_000


def test_hostile_text_is_escaped_and_shown(page):
    assert "<script>alert" not in page
    assert EVIL in text_of(page)


def test_the_synthetic_note_stands_at_every_table_of_scores(page, inputs, tmp_path):
    assert text_of(page).count(NOTE) == 3  # the head, retrieval, localization
    plain = ReportInputs(title="own videos", evaluations=[])
    make_report(plain, tmp_path / "own.html")
    assert NOTE not in (tmp_path / "own.html").read_text()


def test_scores_stand_beside_chance_with_their_denominator(page):
    words = text_of(page)
    assert "text → video + audio" in words
    assert "56.7 chance 16.7 3.4×" in words  # R@10 of t->va
    assert "10 / 14" in words
    assert "Not ranked: no_audio 2" in words
    assert "52.0 chance 21.3 2.4×" in words
    assert "6.0 chance 30.5 –" not in words  # a rank has no ratio to chance


def write_alignment(path: Path) -> None:
    scores = {"IoD": 31.0, "IoU": 21.0, "IoD_hull": 41.0, "IoU_hull": 36.0, "frame_accuracy": 44.0}
    scores |= {"IoD (v)": 30.0, "IoU (v)": None, "n": 3, "total": 4}
    value = {"experiment": "mcn", "dataset": "demo_test", "n": 3, "total": 4, "items": 12}
    value |= {"scores": scores, "chance": {"IoD": 10.0, "IoU": 7.0, "frame_accuracy": 22.0}}
    value |= {"tasks": {EVIL: {"IoU": 21.0, "n": 3}}, "missing": {"audio: no_audio": 1}}
    line = {"video_id": "soup", "task": EVIL, "seconds": 20.0, "items": STEPS[:2]}
    spans = {"truth": [[0, 1.0, 5.0], [1, 8.0, 9.0]], "predicted": [[0, 2.0, 6.0], [1, 8.0, 12.0]]}
    value["timelines"] = [{**line, **spans}]
    write_json(path, value)


def test_alignment_recognition_and_published_rows(tmp_path):
    write_alignment(tmp_path / "d.alignment.json")
    value = {"experiment": "mcn", "dataset": "ucf101", "n": 9, "total": 10}
    value |= {"scores": {"top-1": 40.0, "n": 9, "total": 10}, "chance": {"top-1": 1.0}}
    value |= {"classes": {"YoYo": {"top-1": 50.0, "n": 2, "total": 2}}}
    write_json(tmp_path / "d.recognition.json", value)
    pages = [build_page(name, []) for name in ("table1", "table2")]
    given = ReportInputs("t", evaluations=sorted(tmp_path.glob("*.json")), published=pages)
    make_report(given, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    tags(page)
    words = text_of(page)
    assert "segment-wise (default) 31.0 chance 10.0 3.1× 21.0 chance 7.0 3.0×" in words
    assert "best segment, hull 41.0 36.0" in words
    assert "segment-wise, video only 30.0" in words
    assert "12 items that are not background" in words
    assert "3 / 4 44.0 chance 22.0 2.0×" in words
    assert "Not scored: audio: no_audio 1" in words
    assert "9 / 10 40.0 chance 1.0 40.0×" in words
    assert 'class="aligned" style="left:10.00%;width:20.00%" title="predicted: 2–6 s"' in page
    assert "<script>alert" not in page
    assert "Table 2: zero-shot localization" in words
    assert words.count("not measured") > 30


def test_own_evaluations_are_shown_as_they_are(tmp_path):
    scores = {"similarity": 12.345678, "undefined": None}
    value = {"experiment": "mcn", "dataset": "d", "n": 7, "total": 9, "scores": scores}
    write_json(tmp_path / "d.mine.json", {**value, "chance": {"similarity": 1.5}})
    make_report(ReportInputs("t", evaluations=[tmp_path / "d.mine.json"]), tmp_path / "p.html")
    words = text_of((tmp_path / "p.html").read_text())
    assert "mine on d, model mcn" in words
    assert "of 7 / 9" in words
    assert "similarity 12.35 1.5" in words
    assert "undefined – –" in words


def test_full_videos_and_the_released_convention(tmp_path, inputs):
    path = next(path for path in inputs.evaluations if path.name.endswith("retrieval.json"))
    value = json.loads(path.read_text())
    found = {"R@1": 50.0, "R@5": 75.0, "R@10": 100.0, "n": 4, "total": 5}
    chance = {"single_caption": {"R@1": 20.0}}
    value["full_video"] = {"t->va": {"single_caption": found, "chance": chance}}
    value["released_convention"] = {"t->va": {"R@1": 1000.0}}
    write_json(tmp_path / "d.retrieval.json", value)
    make_report(ReportInputs("t", evaluations=[tmp_path / "d.retrieval.json"]), tmp_path / "p.html")
    words = text_of((tmp_path / "p.html").read_text())
    assert "text → video + audio, single caption 50.0 chance 20.0 2.5× 75.0 100.0 4 / 5" in words
    assert "for comparison only" in words


def test_cooking_and_other_tasks(tmp_path, inputs):
    path = next(path for path in inputs.evaluations if path.name.endswith("localization.json"))
    value = json.loads(path.read_text())
    found = {"scores": {"recall": 60.0, "n": 3, "total": 4}, "chance": {"recall": None}}
    write_json(tmp_path / "d.localization.json", {**value, "splits": {"cooking": found}})
    given = ReportInputs("t", evaluations=[tmp_path / "d.localization.json"])
    make_report(given, tmp_path / "p.html")
    words = text_of((tmp_path / "p.html").read_text())
    assert "Cooking tasks: recall 60.0 % (chance – %), 3 / 4 videos." in words


def test_thumbnails_are_small_pictures_of_the_moments(inputs):
    shown = [entry for view in collect(inputs).retrievals for entry in view.queries]
    pictures = [picture for entry in shown for picture in entry.pictures]
    assert {picture.problem for picture in pictures} == {""}
    assert {(picture.width, picture.height) for picture in pictures} == {(160, 120)}
    assert max(len(picture.uri) for picture in pictures) < 12_000
    for entry in shown:  # where the truth is not among the five, it is shown apart
        assert (entry.truth is None) == any(moment.correct for moment in entry.query.top)
    assert any(entry.truth for entry in shown)


def test_a_picture_that_cannot_be_made_says_why(inputs, tmp_path):
    table = {"video_id": [EVIL, "soup_001", "soup_002"], "path": ["nowhere.mp4"] * 3}
    write_table(tmp_path / "videos.parquet", pa.table(table))
    lost = ReportInputs(
        "lost", videos={"demo_test": tmp_path / "videos.parquet"}, evaluations=inputs.evaluations
    )
    make_report(lost, tmp_path / "lost.html")
    words = text_of((tmp_path / "lost.html").read_text())
    assert "no picture" in words
    assert "nowhere.mp4" in words


def test_queries_are_spread_over_the_ranks(inputs):
    (view,) = collect(inputs).retrievals
    ranks = [entry.query.rank for entry in view.queries]
    assert ranks == sorted(ranks)
    many = [
        Query(video_id="v", start_seconds=0, end_seconds=1, caption=str(r), rank=r, top=[])
        for r in range(100, 0, -1)
    ]
    assert [query.rank for query in spread(many, 4)] == [1, 34, 67, 100]
    assert evenly([1, 2, 3], 5) == [1, 2, 3]
    assert evenly(list(range(9)), 1) == [0]


def test_timelines_mark_hits_by_whole_seconds():
    video = Timeline(
        video_id="v", task="t", seconds=9, steps=["a", "b", "c"], truth=[(0, 1.6, 3.2), (1, 5, 6)],
        predicted=[(0, 3), (1, 6), (2, 8)],
    )  # fmt: skip
    assert video.guesses(0) == [(3, "hit")]  # 3.2 reaches into second 3
    assert video.guesses(1) == [(6, "miss")]
    assert video.guesses(2) == [(8, "uncounted")]
    assert (video.hits, video.annotated) == (1, 2)
    assert video.model_copy(update={"predicted": [(0, 1), (1, 5)]}).hits == 2


def test_timelines_name_steps_and_results_in_words(page):
    words = text_of(page)
    assert "2. add the garlic to the pot" in words
    assert "predicted: second 8, hit" in page
    assert "predicted: second 11, uncounted" in page


def test_accounts_add_up_and_list_every_failure(page, inputs):
    words = text_of(page)
    assert "demo_test: 3 of 4 videos ok in every stream" in words
    assert "resnet152 3 1 0 0 4 4 ✓ failed truncated: 1" in words
    assert f"soup_003 truncated ends at 3.0 s of {EVIL} resnet152, resnext101, logmel" in words
    (account,) = collect(inputs).accounts
    assert account.balanced


def test_accounts_that_do_not_add_up_raise_an_alarm(inputs, tmp_path):
    write_table(
        tmp_path / "videos.parquet", pa.table({"video_id": list("abcde"), "path": ["x"] * 5})
    )
    wrong = ReportInputs(
        "w", ledgers=inputs.ledgers, videos={"demo_test": tmp_path / "videos.parquet"}
    )
    make_report(wrong, tmp_path / "report.html")
    assert "do not add up to the manifest" in (tmp_path / "report.html").read_text()


def test_provenance_shows_recipes_weights_and_configuration(page, inputs):
    words = text_of(page)
    assert "Feature resnet152 (demo_test) version 1 weights.sha256 ab12" in words
    digest = hashlib.sha256(b"weights").hexdigest()
    assert f"model.safetensors sha256 {digest}" in words
    assert "embedding_width: 64" in words
    assert "seeds.train 0" in words


def test_health_is_what_whole_matrices_give(tmp_path):
    rng = np.random.default_rng(3)
    videos = {f"v{i}": np.float16(np.maximum(rng.normal(0.3, 1, (5 + i, 7)), 0)) for i in range(6)}
    paths = []
    for shard in range(2):
        paths.append(tmp_path / f"{shard}.parquet")
        with ShardWriter(paths[-1], FEATURE_SCHEMA, {}) as writer:
            for name in list(videos)[shard::2]:
                writer.write(feature_row(name, videos[name], 0.0, 2 / 3))
            writer.write(empty_row(FEATURE_SCHEMA, f"bad{shard}", "missing", "no_audio"))
    health = feature_health("d", "f", paths)
    assert isinstance(health, FeatureHealth)
    every = np.concatenate(list(videos.values())).astype(np.float64)
    owner = np.concatenate([[i] * len(x) for i, x in enumerate(videos.values())])
    unit = every / np.linalg.norm(every, axis=1, keepdims=True).clip(1e-12)
    cosine = unit @ unit.T
    following = np.flatnonzero(owner[1:] == owner[:-1])
    assert (health.rows, health.sampled, health.videos) == (len(every), 6, {"ok": 6, "missing": 2})
    assert health.seconds == pytest.approx(len(every) * 2 / 3)
    assert (health.widths, health.step_seconds) == ([7], [2 / 3])
    assert health.mean == pytest.approx(every.mean())
    assert health.deviation == pytest.approx(every.std())
    assert health.zeros == pytest.approx((every == 0).mean())
    assert health.successive_cosine == pytest.approx(cosine[following, following + 1].mean())
    assert health.between_cosine == pytest.approx(cosine[owner[:, None] != owner[None]].mean())
    assert health.alarms == []


@pytest.mark.parametrize(
    ("values", "alarm"),
    [
        (lambda i: np.ones((4, 3)) + 0.01 * i, "same way"),
        (lambda i: np.zeros((4, 3)), "every value is the same"),
        (lambda i: np.eye(40)[[i, i]], "nearly every value is zero"),
        (lambda i: np.random.default_rng(i).normal(size=(4, 3 + i)), "differ in width"),
    ],
)
def test_health_raises_the_alarm(tmp_path, values, alarm):
    with ShardWriter(tmp_path / "s.parquet", FEATURE_SCHEMA, {}) as writer:
        for index in range(3):
            writer.write(feature_row(f"v{index}", values(index), 0.0, 1.0))
    health = feature_health("d", "f", [tmp_path / "s.parquet"])
    assert any(alarm in words for words in health.alarms)


def test_health_without_a_single_usable_video(tmp_path):
    with ShardWriter(tmp_path / "s.parquet", FEATURE_SCHEMA, {}) as writer:
        writer.write(empty_row(FEATURE_SCHEMA, "v", "failed", "crashed"))
    features = {"d": {"logmel": [tmp_path / "s.parquet"]}}
    make_report(ReportInputs("empty", features=features), tmp_path / "report.html")
    assert "no video has this feature" in (tmp_path / "report.html").read_text()


def test_text_health_counts_lines_and_words(tmp_path):
    health = feature_health("d", "word2vec", [write_text_shard(tmp_path / "s.parquet", ["a", "b"])])
    assert isinstance(health, TextHealth)
    assert (health.lines, health.tokens, health.wordless_lines, health.distinct_tokens) == (
        4,
        4,
        2,
        2,
    )
    assert health.spoken_seconds == 10.0


def test_damaged_shards_stop_the_report(inputs, tmp_path):
    data = bytearray(inputs.features["demo_test"]["resnet152"][0].read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "s.parquet").write_bytes(data)
    with pytest.raises(UserError, match=r"s\.parquet"):
        make_report(
            ReportInputs("x", features={"d": {"f": [tmp_path / "s.parquet"]}}), tmp_path / "r.html"
        )
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("loss/mms", ("loss", "loss", "mms")),
        ("train/loss_cluster", ("train", "loss", "loss_cluster")),
        ("epoch_loss/mms", ("epoch_loss", "epoch_loss", "mms")),
        ("early/t->v/MedR", ("early", "MedR", "t->v")),
        ("early/t->v/R@10", ("early", "R@10", "t->v")),
        ("early/R@10", ("early", "R@10", "R@10")),
        ("clusters/used", ("clusters", "used", "used")),
        ("lr", ("train", "lr", "lr")),
    ],
)
def test_keys_find_their_panel(key, expected):
    assert place(key) == expected


def test_curves_share_an_axis_only_where_they_share_a_unit(inputs):
    (run,) = collect(inputs).runs
    found = {(panel.group, panel.title): panel for panel in run.panels}
    assert list(found) == [
        ("train", "lr"),
        ("loss", "loss"),
        ("clusters", "used"),
        ("clusters", "largest_share"),
        ("clusters", "drift"),
        ("early", "R@10"),
    ]
    assert [series.label for series in found["early", "R@10"].series] == ["t->v", "t->a", "t->va"]
    assert found["clusters", "largest_share"].heading == "clusters: largest share"
    losses = found["loss", "loss"]
    assert {len(series.x) for series in losses.series} == {200}
    assert run.alarms == ["loss, reconstruction: 1 of 450 values are null or not finite"]
    assert found["clusters", "drift"].notes == ["drift: 1 of 45 values are null or not finite"]


def test_thinning_keeps_the_mean():
    values = list(np.random.default_rng(0).normal(size=1000))
    assert len(thin(values)) == 200
    assert np.mean(thin(values)) == pytest.approx(np.mean(values))
    assert thin([1.0, 2.0]) == [1.0, 2.0]


def test_a_crowded_cluster_raises_the_alarm(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.yaml").write_text("")
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "clusters/largest_share": 0.9}\n')
    make_report(ReportInputs("c", models={"m": tmp_path}), tmp_path / "report.html")
    assert "one cluster holds 90% of the points" in text_of((tmp_path / "report.html").read_text())


def test_a_broken_line_of_metrics_is_named(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss/a": 2}\n{"step": 2, "lo\n')
    for name in ("model.safetensors", "config.yaml"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 2"):
        collect(ReportInputs("x", models={"m": tmp_path}))


def test_panels_without_finite_values_are_drawn_as_a_note():
    (panel,) = panels([{"epoch": 1, "loss/a": float("inf")}])
    assert panel.series == []
    assert panel.notes == ["a: 1 of 1 values are null or not finite"]
    drawn = chart(panel)
    assert (drawn.lines, drawn.notes) == ([], panel.notes)


def test_every_file_that_is_not_there_is_named(tmp_path):
    lost = ReportInputs("x", ledgers={"d": tmp_path / "ledger.parquet"}, models={"m": tmp_path})
    with pytest.raises(
        UserError, match=r"(?s)4 problem.*ledger\.parquet.*safetensors.*metrics\.jsonl"
    ):
        collect(lost)


@pytest.mark.parametrize("value", [{"experiment": "m"}, {"scores": 3}])
def test_an_evaluation_of_another_form_is_refused(tmp_path, value):
    write_json(tmp_path / "d.retrieval.json", value)
    with pytest.raises(UserError, match="dataset: Field required"):
        read_evaluation(tmp_path / "d.retrieval.json")


def test_an_empty_run_still_gives_a_page(tmp_path):
    make_report(ReportInputs("nothing yet"), tmp_path / "report.html")
    assert "No evaluation was given" in text_of((tmp_path / "report.html").read_text())


def test_the_page_is_byte_identical(inputs, page, tmp_path):
    make_report(inputs, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 0.93, [0, 0.5, 1]),
        (0, 60, [0, 20, 40, 60]),
        (2, 2, [1, 1.5, 2, 2.5, 3]),
        (-3, 8, [-5, 0, 5, 10]),
    ],
)
def test_ticks_are_round_and_enclose(low, high, expected):
    assert round_ticks(low, high, 4) == expected


def test_small_formats():
    assert [number(v) for v in (0.0, 0.25, 1500.0, 2e6, 1e-4)] == [
        "0",
        "0.25",
        "1.5k",
        "2M",
        "1e-4",
    ]
    assert [clock(s) for s in (7.9, 75, 3671)] == ["00:07", "01:15", "1:01:11"]
    assert pair_words("t->va") == "text → video + audio"
    assert pair_words("x->t") == "x → text"
