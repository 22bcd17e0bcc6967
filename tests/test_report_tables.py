"""Published numbers, and tables that set measured ones beside them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mcn.cli import main
from mcn.errors import UserError
from mcn.files import write_json
from mcn.report.measured import network_label, read_results
from mcn.report.published import TABLES, Published, published
from mcn.report.table_files import as_csv, markdown, write_page
from mcn.report.tables import NOT_MEASURED, Page, build_page


def cells(table: str) -> dict[tuple[str, str, str], list[float | None]]:
    """(method, backbone, benchmark) -> scores of a table."""
    return {
        (row.method, row.backbone or row.pretraining, name): cell.scores
        for row in published().tables[table].rows
        for name, cell in row.cells.items()
    }


def test_the_papers_rows_are_as_printed() -> None:
    retrieval = cells("zero_shot_retrieval")
    assert retrieval["MCN", "R152+RX101", "youcook2"] == [18.1, 35.5, 45.2]
    assert retrieval["MCN", "R152+RX101", "msrvtt"] == [10.5, 25.2, 33.8]
    assert retrieval["MMV FAC", "TSM-50x2", "youcook2"] == [11.7, 33.4, 45.4]
    assert retrieval["Random", "", "youcook2"] == [0.03, 0.15, 0.3]
    steps = cells("zero_shot_localization")
    assert steps["MCN", "R152+RX101", "mining_youtube"] == [18.1, 32.0, 23.1]
    assert steps["MIL-NCE* (the same features)", "R152+RX101", "crosstask"] == [33.2, 30.2, 16.3]
    lecture = cells("action_recognition")
    assert lecture["XDC", "IG-Kinetics", "hmdb51"] == [68.9]


def test_counts_and_sources() -> None:
    tables = published().tables
    counts = {name: len(table.rows) for name, table in tables.items()}
    assert counts == {
        "zero_shot_retrieval": 22,
        "full_video_retrieval": 4,
        "fine_tuned_retrieval": 3,
        "zero_shot_localization": 16,
        "action_recognition": 12,
        "sound_classification": 5,
        "multilingual_retrieval": 2,
    }
    assert {name for names in TABLES.values() for name in names} == set(tables)
    for table in tables.values():
        for row in table.rows:
            for cell in row.cells.values():
                assert cell.source, row.method
                assert (cell.verified == "recalled") <= (cell.source == ["RECALLED"])
                assert cell.scores or (cell.verified == "no" and cell.note == "not at hand")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scores": [1.0]}, "1 scores, wanted 3 or none"),
        ({"scores": [1.0, 2.0, 300.0]}, "wanted percent"),
        ({"source": []}, "at least 1 item"),
        ({"source": ["NOWHERE"]}, "NOWHERE"),
        ({"verified": "maybe"}, "'yes', 'no' or 'recalled'"),
        ({"seen": True}, "Extra inputs"),
    ],
)
def test_a_bad_file_is_refused(change: dict[str, Any], words: str) -> None:
    values = published().model_dump()
    row = values["tables"]["zero_shot_retrieval"]["rows"][0]
    row["cells"]["youcook2"] |= change
    with pytest.raises(ValidationError, match=words):
        Published.model_validate(values)
    row["cells"] = {"nowhere": row["cells"]["msrvtt"]}
    with pytest.raises(ValidationError, match="no benchmark 'nowhere'"):
        Published.model_validate(values)


def scores(r1: float, n: int = 3300, total: int = 3350) -> dict[str, float]:
    return {"R@1": r1, "R@5": 2 * r1, "R@10": 3 * r1, "MedR": 9.0, "n": n, "total": total}


def features(seeded: bool = False) -> dict[str, Any]:
    weights = {"sha256": "ab", **({"seeded": {}} if seeded else {})}
    recipes = {"resnet152": {"weights": weights}, "logmel": {}}
    recipes["resnext101"] = {"weights": weights, "network": "resnext101"}
    inputs = {"video": ["resnet152", "resnext101"], "audio": "logmel", "text": "word2vec"}
    return {"features": recipes, "inputs": inputs}


def retrieval(r1: float, synthetic: bool = False, seeded: bool = False) -> dict[str, Any]:
    return {
        "synthetic": synthetic,
        "scores": {"t->va": scores(r1), "t->v": scores(r1 - 1), "v->t": scores(50)},
        "full_video": {"t->va": {"caption_average": scores(40, 430, 436)}},
        "provenance": features(seeded),
    }


def write(results: Path, experiment: str, name: str, value: dict[str, Any]) -> None:
    folder = results / "evaluation" / experiment
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{name}.json", value)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write(tmp_path, "mcn", "youcook2.retrieval", retrieval(17.0))
    write(tmp_path, "own", "youcook2.retrieval", retrieval(12.0))
    write(tmp_path, "mcn", "demo_test.retrieval", retrieval(30.0, synthetic=True))
    write(tmp_path, "drawn", "youcook2.retrieval", retrieval(5.0, seeded=True))
    steps = {"recall": 33.0, "n": 80, "total": 90}
    aligned = {"IoD": 30.0, "IoU": 20.0, "recall": 28.0, "n": 79, "total": 90}
    mode = {mode: {"scores": steps} for mode in ("v", "va")}
    write(tmp_path, "mcn", "crosstask.localization", {"modes": mode, "provenance": features()})
    mode = {"va": {"scores": aligned}}
    write(tmp_path, "mcn", "crosstask.alignment", {"modes": mode, "provenance": features()})
    write(tmp_path, "mcn", "mining.alignment", {"modes": mode, "provenance": features()})
    return tmp_path


def page_of(results: Path, name: str, **given: Any) -> Page:
    return build_page(name, read_results(results), **given)


def test_measured_rows_stand_under_the_published_ones(results: Path) -> None:
    table = page_of(results, "table1").tables[0]
    names = [row.method for row in table.rows]
    at = names.index("MCN")
    ours, alone = table.rows[at + 1 : at + 3]
    assert table.rows[at].here == "experiment mcn"
    assert (ours.method, ours.modalities, ours.backbone) == ("mcn", "VAT", "R152+RX101")
    assert ours.cells["youcook2"].scores == [17.0, 34.0, 51.0]
    assert ours.cells["youcook2"].counts == "3,300 / 3,350"
    assert (alone.modalities, alone.cells["youcook2"].scores[0]) == ("VT", 16.0)
    assert [row.method for row in table.rows[-2:]] == ["own", "own"]
    published_rows = [row for row in table.rows if row.kind == "published"]
    assert len(published_rows) == 22
    assert sum(row.here == NOT_MEASURED for row in published_rows) == 21


def test_a_backbone_is_named_after_its_network_not_its_feature(tmp_path: Path) -> None:
    dino = {"weights": {"source": "timm:vit_small_patch14_dinov2.lvd142m", "sha256": "ab"}}
    s3d = {"network": "s3d", "weights": {"source": "torchvision:KINETICS400_V1"}}
    recipes = {"resnet152": dino, "resnext101": s3d, "logmel": {}}
    inputs = {"video": ["resnet152", "resnext101"], "audio": "logmel", "text": "word2vec"}
    value = {**retrieval(17.0), "provenance": {"features": recipes, "inputs": inputs}}
    write(tmp_path, "own", "youcook2.retrieval", value)
    rows = page_of(tmp_path, "table1").tables[0].rows
    assert {row.backbone for row in rows if row.kind == "measured"} == {
        "vit_small_patch14_dinov2+s3d"
    }
    labels = {"resnet152": "DINOv2-S"}
    rows = page_of(tmp_path, "table1", labels=labels).tables[0].rows
    assert {row.backbone for row in rows if row.kind == "measured"} == {"DINOv2-S+s3d"}
    assert network_label({"published": {"layout": "npy"}, "feature": "resnext101"}) == "RX101"


def test_synthetic_scores_stand_apart_and_are_marked(results: Path) -> None:
    page = page_of(results, "table1")
    table = page.tables[0]
    shown = {row.method for row in table.rows if row.kind == "measured"}
    assert shown == {"mcn", "own"}
    apart = {(one.experiment, one.dataset): one.synthetic for one in table.elsewhere}
    assert apart == {("mcn", "demo_test"): True, ("drawn", "youcook2"): True}
    rows = list(csv.DictReader(io.StringIO(as_csv(page))))
    assert not [row for row in rows if row["synthetic"] == "True" and row["kind"] != "elsewhere"]
    assert "| mcn | demo_test | VAT | 30.0 |" in markdown(page)


def test_full_video_rows(results: Path) -> None:
    table = page_of(results, "table1").tables[1]
    ours = next(row for row in table.rows if row.kind == "measured")
    assert ours.cells["youcook2"].counts == "430 / 436"


def test_localization_takes_recall_and_overlaps_from_their_tasks(results: Path) -> None:
    benchmarks = {"crosstask": "crosstask", "mining": "mining_youtube"}
    table = page_of(results, "table2", benchmarks=benchmarks).tables[0]
    rows = {row.modalities: row for row in table.rows if row.kind == "measured"}
    assert rows["VAT"].cells["crosstask"].scores == [33.0, 30.0, 20.0]
    assert rows["VAT"].cells["crosstask"].counts == "80 / 90; 79 / 90"
    assert rows["VAT"].cells["mining_youtube"].scores == [28.0, 30.0, 20.0]
    assert rows["VT"].cells["crosstask"].scores == [33.0, None, None]


def test_two_data_sets_of_one_benchmark_do_not_hide_one_another(results: Path) -> None:
    benchmarks = {"youcook2": "youcook2", "demo_test": "youcook2"}
    write(results, "mcn", "demo_test.retrieval", retrieval(30.0))
    table = page_of(results, "table1", benchmarks=benchmarks).tables[0]
    assert [one.dataset for one in table.elsewhere if one.experiment == "mcn"] == ["youcook2"] * 2
    assert not any(one.synthetic for one in table.elsewhere if one.experiment == "mcn")


def test_files(results: Path, tmp_path: Path) -> None:
    note = "YouCook2: no data/<youcook2>; get it from somewhere"
    write_page(page_of(results, "table1", notes=[note]), tmp_path / "table1.html")
    page = (tmp_path / "table1.html").read_text()
    assert "no data/&lt;youcook2&gt;" in page
    assert "http" not in page.split("<main>")[1].split("Sources")[0]
    assert page.count(NOT_MEASURED) >= 21
    text = (tmp_path / "table1.md").read_text()
    assert "| **mcn, measured** | VAT | R152+RX101 | no | 17.0 | 34.0 | 51.0 |" in text
    assert "24.6? | 48.3? | 60.4?" in text
    assert note in text
    widths = {line.count(" | ") for line in text.splitlines() if line.startswith("| MCN")}
    assert len(widths) == 2
    rows = list(csv.DictReader((tmp_path / "table1.csv").open()))
    ours = [row for row in rows if row["kind"] == "measured" and row["metric"] == "R@1"]
    assert {(row["method"], row["score"], row["n"]) for row in ours} >= {("mcn", "17.0", "3300")}
    unknown = [row for row in rows if row["note"] == "not at hand"]
    assert all(row["score"] == "" for row in unknown)


@pytest.mark.parametrize("name", list(TABLES))
def test_nothing_measured(tmp_path: Path, name: str) -> None:
    write_page(page_of(tmp_path, name), tmp_path / f"{name}.html")
    assert "measured here" in (tmp_path / f"{name}.html").read_text()


def test_only_named_experiments_and_whole_files(results: Path) -> None:
    assert {one.experiment for one in read_results(results, ["own"])} == {"own"}
    (results / "evaluation/own/youcook2.retrieval.json").write_text(json.dumps({})[:1])
    with pytest.raises(UserError, match="an evaluation"):
        read_results(results)


def test_the_verb_shows_what_the_configuration_names(results: Path, tmp_path: Path) -> None:
    datasets = {"youcook2": {"manifest": "m.csv"}}
    features = {"word2vec": {"vectors": "v.bin"}}
    experiments = {"own": {"dataset": "youcook2"}}
    values = {"datasets": datasets, "features": features, "experiments": experiments}
    output = tmp_path / "tables/table1.html"
    arguments = ["table", "table1", str(results), "--output", str(output)]
    assert main([*arguments, "--options", json.dumps(values), "--missing", "no MSR-VTT"]) == 0
    text = output.with_suffix(".md").read_text()
    assert "**own, measured**" in text
    assert "mcn, measured" not in text
    assert "- no MSR-VTT" in text
    assert main(arguments) == 0
    assert "**mcn, measured**" in output.with_suffix(".md").read_text()
