"""`mcn.load`: texts, videos and sound become vectors of one space, those that the stages of the workflow give."""

import json

import numpy as np
import pytest

import mcn
from mcn.cli import main
from mcn.errors import UserError, VideoError
from mcn.features.registry import Encoder
from mcn.files import write_text
from mcn.networks import MultimodalClusteringNetwork
from mcn.networks.checkpoints import save_model
from mcn.options.search import SearchOptions
from mcn.search.catalogue import join
from mcn.search.vectors import Windows, write_part
from tests.evaluation_set import WORD_WIDTH, WORDS
from tests.media_files import make

WIDTH = 16


class MeanColour(Encoder):
    """The mean colour of each frame."""

    kind = "frame"

    def __call__(self, batch):
        return batch.mean(axis=(1, 2, 3), dtype=np.float32) / 255


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("run") / "results"
    rng = np.random.default_rng(1)
    lines = [f"{word} {' '.join(map(str, rng.standard_normal(WORD_WIDTH)))}" for word in WORDS]
    write_text(root / "words.txt", f"{len(WORDS)} {WORD_WIDTH}\n" + "\n".join(lines) + "\n")
    colour = {
        "kind": "frame",
        "encoder": "tests.test_loaded_model:MeanColour",
        "reads": {"frames_per_second": 1, "short_side": 16},
    }
    words = {"vectors": str(root / "words.txt"), "cache": str(root / "cache")}
    features = {"colour": colour, "word2vec": words}
    search = {"scene_change": None, "window_seconds": 2, "step_seconds": 1}
    settings = {"features": features, "search": search}
    write_text(root / "settings.json", json.dumps(settings))
    network = MultimodalClusteringNetwork(
        3, WORD_WIDTH, WIDTH, davenet_widths=None, audio_width=None, reconstruction_width=None
    )
    reads = {"video": ["colour"], "audio": None, "text": "word2vec"}
    save_model(root / "models" / "small", network.eval(), {"features": reads, "recipes": {}})
    return root


def test_texts_become_unit_vectors_and_unknown_ones_zeros(results):
    model = mcn.load(results / "models" / "small")
    vectors = model.encode_text(["pour water", "zebra"])
    assert vectors.shape == (2, WIDTH)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0])


def test_the_windows_of_a_file_have_the_vectors_of_its_frames(results):
    model = mcn.load(str(results.parent))
    starts, ends, vectors = model.encode_video(make("plain.mp4"))
    assert starts.tolist() == [0, 1, 2]
    assert ends.tolist() == [2, 3, 4]
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    part = model.encode_video(make("plain.mp4"), start=1, end=3)
    assert (part.starts.tolist(), part.ends.tolist()) == ([1], [3])
    np.testing.assert_allclose(part.vectors[0], vectors[1], atol=1e-6)


def test_a_stretch_of_a_file_cuts_its_scenes_off(results):
    model = mcn.load(results / "models" / "small")
    model._search = SearchOptions(scene_change=1e9)
    assert [one.tolist() for one in model.encode_video(make("plain.mp4"))[:2]] == [[0], [4]]
    part = model.encode_video(make("plain.mp4"), start=1, end=3)
    assert (part.starts.tolist(), part.ends.tolist()) == ([1], [3])


def test_what_cannot_be_embedded_is_said(results, tmp_path):
    model = mcn.load(results / "models" / "small")
    with pytest.raises(VideoError, match=r"^no_video_stream: the file has audio"):
        model.encode_video(make("no_video.m4a"))
    for start, end in ((-1, 2), (3, 2), (50, None)):
        with pytest.raises(UserError, match=f"from {start}.* to .* s\n.*a stretch of the 4.0 s"):
            model.encode_video(make("plain.mp4"), start, end)
    with pytest.raises(UserError, match="a list of texts"):
        model.encode_text("pour water")
    with pytest.raises(VideoError, match="not_found"):
        model.encode_video(tmp_path / "gone.mp4")
    with pytest.raises(UserError, match="embeds no sound"):
        model.encode_audio(make("plain.mp4"))
    with pytest.raises(UserError, match="no model in"):
        mcn.load(tmp_path)


def test_an_index_of_the_model_is_asked(results, tmp_path):
    model = mcn.load(results / "models" / "small")
    wanted = model.encode_text(["cut bread"])[0]
    vectors = np.stack([-wanted, wanted, np.roll(wanted, 1)])
    times = np.array([0.0, 10.0, 20.0])
    made = Windows(["a"], [""], np.zeros(3, int), times, times + 2, vectors)
    write_part(tmp_path / "00000.parquet", {"seen": made}, {})
    join(tmp_path, 1, SearchOptions())
    first, *_ = model.search(tmp_path, "cut bread", limit=2)
    assert (first.video_id, first.start_seconds, first.sources) == ("a", 10, ("seen",))


def test_an_exported_model_stands_alone_and_says_what_it_is(results, tmp_path):
    model = results / "models" / "small"
    assert main(["export", "model", str(model), str(tmp_path / "hub")]) == 0
    assert main(["export", "model", str(model), str(tmp_path / "hub")]) == 1, "it is there already"
    there = {one.name for one in (tmp_path / "hub").iterdir()}
    assert there == {
        "README.md",
        "config.json",
        "config.yaml",
        "model.safetensors",
        "settings.json",
    }
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "A head trained here" in card
    assert "| video | colour |" in card
    alone, before = mcn.load(tmp_path / "hub"), mcn.load(model)
    video = make("plain.mp4")
    np.testing.assert_array_equal(
        alone.encode_video(video).vectors, before.encode_video(video).vectors
    )
