"""The towers of a dual encoder as an experiment of kind frozen: scores and queries have the library's own cosines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from PIL import Image

from mcn.cli import main
from mcn.config.configuration import configure
from mcn.config.warnings import unseen_warnings
from mcn.errors import UserError
from mcn.evaluation.annotations import Moment
from mcn.evaluation.basis import basis
from mcn.evaluation.embed import EvaluatedModel
from mcn.files import write_table
from mcn.layout import ModelShards
from mcn.networks.checkpoints import load_model
from mcn.options.decode import SoundOptions
from mcn.options.evaluation import RetrievalOptions
from mcn.options.features import parse_row
from mcn.options.row import TextsOptions
from mcn.search.query_encoder import load_query_encoder
from mcn.shards import FEATURE_SCHEMA, ShardWriter, feature_row
from mcn.sources.annotation_tables import CAPTIONS
from mcn.sources.outside import _rows
from tests import library_models as models
from tests.features_shards import pictures, write_audio, write_frames

transformers = pytest.importorskip("transformers")

ROOT = Path(__file__).parent.parent
TEXTS = ["cut the onion", "the pan", "a b c"]
TOLD = '{"kind": "frozen", "model": {"video": ["seen"], "text": "said"}}'


def rows_of(library: str, folder: Path) -> dict[str, Any]:
    return {
        "seen": {"encoder": f"{library}_picture", "model": str(folder)},
        "said": {"encoder": f"{library}_text", "model": str(folder)},
    }


def own_vectors(library: str, folder: Path, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of frames and of TEXTS as the library computes them, one item after the other."""
    images = [Image.fromarray(frame) for frame in frames]
    with torch.inference_mode():
        if library == "open_clip":
            import open_clip

            pair, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
            tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
            pair.eval()
            seen = [pair.encode_image(transform(one)[None], normalize=True) for one in images]
            said = [pair.encode_text(tokenizer([one]), normalize=True) for one in TEXTS]
            return torch.cat(seen).numpy(), torch.cat(said).numpy()
        model = transformers.CLIPModel.from_pretrained(folder).eval()
        processor = transformers.AutoImageProcessor.from_pretrained(folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        text = tokenizer(["pan"], return_tensors="pt")
        pixels = processor(images=images[0], return_tensors="pt")["pixel_values"]
        seen = [
            model(**text, **processor(images=one, return_tensors="pt")).image_embeds
            for one in images
        ]
        said = [
            model(**tokenizer([one], return_tensors="pt"), pixel_values=pixels).text_embeds
            for one in TEXTS
        ]
        return torch.cat(seen).numpy(), torch.cat(said).numpy()


@pytest.fixture(scope="module", params=["transformers", "open_clip"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A dual encoder in its folder, and the model folder of the frozen experiment."""
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "open_clip":
        pytest.importorskip("open_clip")
        models.save_open_clip(root / "pair")
    else:
        models.save_transformers(root / "pair", "clip")
    rows = rows_of(request.param, root / "pair")
    words = ["freeze", "--options", TOLD, "--rows", json.dumps(rows)]
    assert main([*words, "--runtime", "{device: cpu}", "--output", str(root / "model")]) == 0
    return request.param, root, rows


def test_queries_and_pictures_meet_as_in_the_library(pair: Any) -> None:
    library, root, rows = pair
    assert basis(root / "model") == (
        "seen + said, trained by others (one space), nothing trained here"
    )
    config = yaml.safe_load((root / "model/config.yaml").read_text())
    assert config["options"]["pairing"] == "same_space"
    assert config["encoders"]["seen"]["sha256"]
    encoder = load_query_encoder(root / "model", {"features": rows})
    size = 36 if library == "transformers" else 32  # what decoding would leave as it is
    frames = pictures(3, size, 50)
    seen, said = own_vectors(library, root / "pair", frames)
    np.testing.assert_allclose(encoder.embed_text(TEXTS), said, atol=1e-5)
    np.testing.assert_allclose(encoder.embed_pictures(list(frames)), seen, atol=1e-3)  # float16


def test_a_data_set_is_scored_by_the_pair(pair: Any) -> None:
    """Frames are extracted, captions embedded, and ranked as by the cosines of the library's own vectors."""
    library, root, rows = pair
    data = root / "own"
    clips = {name: pictures(4, 36, 50, seed) for seed, name in enumerate("xyz")}
    source = write_frames(data / "decoded/frames.parquet", dict(clips))
    shard = data / "features/seen/00000.parquet"
    runtime = ["--runtime", "{device: cpu}", "--threads", "1"]
    row = ["--options", json.dumps(rows["seen"]), *runtime]
    assert main(["extract", "seen", str(source), str(shard), *row]) == 0
    write_captions(data / "captions.parquet", 1.5, 2.5)
    told = ["vocabulary", "said", str(data / "captions.parquet"), "--output"]
    row = ["--options", json.dumps(rows["said"]), *runtime]
    assert main([*told, str(data / "vocabulary/said.parquet"), *row]) == 0
    output = root / "scores.json"
    where = [str(root / "model"), str(data), "--output", str(output)]
    assert main(["evaluate", "retrieval", *where, "--options", '{"shards": 1}']) == 0
    scores = json.loads(output.read_text())["scores"]["t->v"]
    means = []
    for frames in clips.values():
        seen, said = own_vectors(library, root / "pair", frames)
        means.append(seen.mean(axis=0) / np.linalg.norm(seen.mean(axis=0)))
    cosines = said @ np.stack(means).T
    ranks = [1 + int((row > row[i]).sum()) for i, row in enumerate(cosines)]
    assert scores["MeanR"] == pytest.approx(np.mean(ranks))
    assert scores["n"] == 3


def write_captions(path: Path, start: float, end: float) -> None:
    """A caption of each of the videos x, y and z."""
    columns = ("clip_id", "video_id", "start_seconds", "end_seconds", "caption", "language")
    table = [
        dict(zip(columns, (name, name, start, end, text, "en"), strict=True))
        for name, text in zip("xyz", TEXTS, strict=True)
    ]
    write_table(path, pa.Table.from_pylist(table, schema=CAPTIONS))


def configuration(**rows: Any) -> dict[str, Any]:
    """The demo's configuration with a frozen pair of the rows."""
    values: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["features"] |= rows
    values["experiments"]["pair"] = yaml.safe_load(TOLD)
    return values


def test_a_configuration_reads_what_the_tower_wants(pair: Any) -> None:
    library, _, rows = pair
    settings = configure(configuration(**rows))
    reads = settings.features["seen"].reads
    assert reads is not None
    assert reads.folder == f"decoded/frames_1fps_{36 if library == 'transformers' else 32}px"
    assert reads in [one for each in settings.decode_passes().values() for one in each]
    scored = [task for name, _, task in settings.evaluations() if name == "pair"]
    assert "retrieval" in scored


def test_towers_of_two_models_are_refused_before_any_job(pair: Any) -> None:
    library, _, rows = pair
    other = rows["said"] | {"model": "someone/else"}
    with pytest.raises(UserError, match="wanted both towers of one model"):
        configure(configuration(seen=rows["seen"], said=other))
    if library == "transformers":
        seen = rows["seen"] | {"pooling": "mean"}
        with pytest.raises(UserError, match="lies in no space of texts"):
            configure(configuration(seen=seen, said=rows["said"]))


def test_sounds_and_texts_meet_as_in_clap(tmp_path: Path) -> None:
    """CLAP: windows of sound through our extraction, ranked as by the library's cosines, one window after the other."""
    folder = models.save_transformers(tmp_path / "pair", "clap")
    rows = {
        "heard": {"encoder": "transformers_audio", "model": str(folder)},
        "said": {"encoder": "transformers_text", "model": str(folder)},
    }
    told = '{"kind": "frozen", "model": {"audio": "heard", "text": "said"}}'
    scored = configuration(**rows)
    scored["experiments"]["pair"] = yaml.safe_load(told)
    settings = configure(scored)
    names = [task for name, _, task in settings.evaluations() if name == "pair"]
    assert names == ["retrieval"], "nothing is seen, so steps and actions are not placed"
    assert "heard" in settings.used_features()
    runtime = ["--runtime", "{device: cpu}", "--threads", "1"]
    model = ["--output", str(tmp_path / "model")]
    assert main(["freeze", "--options", told, "--rows", json.dumps(rows), *runtime, *model]) == 0
    assert basis(tmp_path / "model").startswith("heard + said, trained by others (one space)")

    stream = settings.features["heard"].reads
    assert isinstance(stream, SoundOptions)
    rate, data = stream.sample_rate, tmp_path / "own"
    sounds = {name: models.sound(1.7, rate, seed) for seed, name in enumerate("xyz")}
    source = write_audio(data / "decoded/audio.parquet", {**sounds}, rate)
    shard = data / "features/heard/00000.parquet"
    row = ["--options", json.dumps(rows["heard"]), *runtime]
    assert main(["extract", "heard", str(source), str(shard), *row]) == 0
    write_captions(data / "captions.parquet", 0.5, 2.1)
    given = ["vocabulary", "said", str(data / "captions.parquet"), "--output"]
    row = ["--options", json.dumps(rows["said"]), *runtime]
    assert main([*given, str(data / "vocabulary/said.parquet"), *row]) == 0
    where = [str(tmp_path / "model"), str(data), "--output", str(tmp_path / "scores.json")]
    assert main(["evaluate", "retrieval", *where, "--options", '{"shards": 1}']) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())["scores"]

    network = transformers.ClapModel.from_pretrained(folder).eval()
    processor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    window = round(processor.max_length_s * rate)
    vectors = []
    with torch.inference_mode():
        said = [
            network.get_text_features(**tokenizer([one], return_tensors="pt")).pooler_output[0]
            for one in TEXTS
        ]
        for samples in sounds.values():
            parts = [samples[first : first + window] for first in range(0, len(samples), window)]
            inputs = [processor([one], sampling_rate=rate, return_tensors="pt") for one in parts]
            found = [network.get_audio_features(**one).pooler_output[0] for one in inputs]
            unit = torch.nn.functional.normalize(torch.stack(found), dim=1)
            vectors.append(unit.mean(dim=0))
    stacked = [torch.nn.functional.normalize(torch.stack(one), dim=1) for one in (said, vectors)]
    cosines = (stacked[0] @ stacked[1].T).numpy()
    ranks = [1 + int((row > row[i]).sum()) for i, row in enumerate(cosines)]
    assert scores["t->a"]["MeanR"] == pytest.approx(np.mean(ranks))
    other = rows["said"] | {"model": "someone/else"}
    scored["features"] |= {"said": other}
    with pytest.raises(UserError, match=r"model\.text: said is of someone/else, heard of"):
        configure(scored)


def test_several_dual_encoders_are_the_mean_of_their_cosines(tmp_path: Path) -> None:
    """Two CLIPs of other widths: the scores of the pair are the mean of those of each alone; a head starts there."""
    folders = [models.save_transformers(tmp_path / kind, kind) for kind in ("clip", "siglip")]
    rows: dict[str, Any] = {}
    for number, folder in enumerate(folders):
        rows[f"seen{number}"] = {"encoder": "transformers_picture", "model": str(folder)}
        rows[f"said{number}"] = {"encoder": "transformers_text", "model": str(folder)}
    rows["said"] = {"encoder": "joined_text", "of": [rows["said0"], rows["said1"]]}
    experiments: dict[str, dict[str, Any]] = {
        "first": {"video": ["seen0"], "text": "said0"},
        "second": {"video": ["seen1"], "text": "said1"},
        "both": {"video": ["seen0", "seen1"], "text": "said"},
    }
    values = configuration(**rows)
    values["experiments"] = {
        name: {"kind": "frozen", "model": model} for name, model in experiments.items()
    }
    configure(values)
    stores: dict[str, list[Path]] = {}
    for name, width in (("seen0", 16), ("seen1", 24)):
        stores[name] = [tmp_path / f"{name}.parquet"]
        with ShardWriter(stores[name][0], FEATURE_SCHEMA, {"feature": name}) as shard:
            values = np.random.default_rng(width).standard_normal((4, width))
            shard.write(feature_row("x", values, 0.0, 1.0))
    cosines = {}
    for name, model in experiments.items():
        told = json.dumps({"kind": "frozen", "model": model})
        words = ["freeze", "--options", told, "--rows", json.dumps(rows)]
        output = tmp_path / "models" / name
        assert main([*words, "--runtime", "{device: cpu}", "--output", str(output)]) == 0
        texts = load_query_encoder(output, {"features": rows}).embed_text(TEXTS)
        read = ModelShards({one: stores[one] for one in model["video"]}, {}, {}, None)
        given = EvaluatedModel.of(load_model(output)[0], read, {}, RetrievalOptions())
        cosines[name] = texts @ given.embed_video([Moment("x", 0.0, 3.0)]).vectors[0]
    np.testing.assert_allclose(
        cosines["both"], (cosines["first"] + cosines["second"]) / 2, atol=1e-6
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"of": [{"encoder": "transformers_text", "model": "a"}] * 2}, "joins 2 towers for 1 feat"),
        ({"of": [{"encoder": "sentence"}] * 2}, r"of\.0\.encoder: got 'sentence'"),
        ({"of": [{"encoder": "open_clip_text"}] * 2}, r"of\.0\.model: Field required"),
    ],
)
def test_what_cannot_be_joined_is_refused(pair: Any, changes: Any, words: str) -> None:
    _, _, rows = pair
    joined = {"encoder": "joined_text", **changes}
    with pytest.raises(UserError, match=words):
        configure(configuration(seen=rows["seen"], said=joined))


def test_a_prompt_stands_before_a_text_or_around_it() -> None:
    rows = [
        parse_row("said", json.dumps({"encoder": "transformers_text", "model": "a", "prompt": one}))
        for one in ("", "a photo of ", "a video of {}.")
    ]
    found = [one.prompted("cutting {} onions") for one in rows if isinstance(one, TextsOptions)]
    assert found == [
        "cutting {} onions",
        "a photo of cutting {} onions",
        "a video of cutting {} onions.",
    ]


def test_files_of_sound_alone_are_named_where_encoders_of_pictures_read_them(
    tmp_path: Path,
) -> None:
    """A manifest of .wav files under CLAP and under conse: only the second is warned of; one video and none is."""
    manifest = tmp_path / "manifest.csv"
    values = configuration()
    values["datasets"] = {"mine": {"manifest": str(manifest), "missing_files": "ledger"}}
    seen = {"kind": "frozen", "model": {"video": ["efficientnet_lite2"], "text": "minilm"}}
    heard = {"kind": "frozen", "model": {"audio": "clap", "text": "clap_text"}}
    tower = {"model": "a/b", "reads": {"sample_rate": 48000}}
    values["features"]["clap"] = {"encoder": "transformers_audio", **tower}
    values["features"]["clap_text"] = {"encoder": "transformers_text", "model": "a/b"}
    found = {}
    for name, endings, experiment in (
        ("conse", ("wav", "MP3"), seen),
        ("clap", ("wav", "MP3"), heard),
        ("mixed", ("wav", "mp4"), seen),
    ):
        rows = [f"{number},a{number}.{ending}" for number, ending in enumerate(endings)]
        manifest.write_text("\n".join(["video_id,path", *rows]) + "\n")
        values["experiments"] = {name: experiment}
        _rows.cache_clear()
        found[name] = unseen_warnings(configure(values))
    assert found["clap"] == found["mixed"] == []
    assert [line.partition(":")[0] for line in found["conse"]] == ["datasets.mine"]
    assert "(.mp3, .wav), and efficientnet_lite2 will see nothing" in found["conse"][0]
