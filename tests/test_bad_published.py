"""Every published file kind with every kind of damage: another release, half a download, other videos, other widths.

Each is a `UserError` that says got / wanted / do this, or, where it is the fault of one video, a row with a code.
"""

from __future__ import annotations

import gzip
import pickle
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mcn.errors import UserError, VideoError
from mcn.evaluation.alignment.files import AlignmentFiles, align_files
from mcn.features.vectors import load_vectors
from mcn.networks.checkpoints import load_published
from mcn.options.evaluation import AlignmentOptions
from mcn.published.clips import import_clips
from mcn.published.feature_files import LAYOUTS, import_shard, read_matrix
from mcn.shards import FeatureStore
from mcn.shards.mapped import MappedFeatures
from mcn.sources.first_bytes import what_it_is
from tests.official_files import write
from tests.test_checkpoints import mcn_rows
from tests.test_networks_everything_at_once import network, rows

PAGE = b"<!DOCTYPE html><html><title>Virus scan warning</title></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
GENERATOR = np.random.default_rng(0)


def refused(call: Callable[[], object], got: str) -> UserError:
    """The error of a call: three sentences, the first of which holds `got`."""
    with pytest.raises(UserError) as caught:
        call()
    error = caught.value
    assert got in error.got, error
    assert error.wanted
    assert error.do
    assert "mend that file" not in error.do  # the code of an adapter is not to blame
    return error


def packed(content: bytes, name: str = "a.pkl") -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def clip(name: str = "v0", **changed: Any) -> dict[str, Any]:
    features = {key: GENERATOR.random(8, np.float32) for key in ("2d", "3d")}
    sound = (GENERATOR.random((40, 150)) * -80).astype(np.float32)
    return {"id": name, **features, "audio": sound, "caption": "cut it", **changed}


CLIPS = [clip(f"v{n}") for n in range(4)]
WHOLE = pickle.dumps(CLIPS, 4)
FEATURELESS = {"id": "a", "caption": "x"}
CLIP_FILES: dict[str, tuple[Any, str]] = {
    "empty": (b"", "is empty"),
    "web page": (PAGE, "a web page"),
    "pointer": (POINTER, "a pointer of Git LFS"),
    "half": (WHOLE[: len(WHOLE) // 2], "cannot be read as data"),
    "last byte": (WHOLE[:-1], "cannot be read as data"),
    "zip": (packed(WHOLE), "a zip archive"),
    "gzip": (gzip.compress(WHOLE), "a gzip archive"),
    "no clip": ([], "not a single clip"),
    "by id": ({one["id"]: one for one in CLIPS}, "item 1 is a tuple"),
    "captions of HowTo100M": ({"v": {"start": [0], "end": [1], "text": ["x"]}}, "is a tuple"),
    "other features": ([{**FEATURELESS, "s3d": np.zeros(512)}], "other keys: s3d"),
    "no features": ([FEATURELESS], "no usable feature in 1 clips"),
    "text of another type": ([clip(caption=[["a"]])], "has the caption"),
}


@pytest.mark.parametrize("case", CLIP_FILES)
def test_pickles_of_clips(tmp_path: Path, case: str) -> None:
    content, got = CLIP_FILES[case]
    path = tmp_path / "youcook_val_audio.pkl"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, 4))
    refused(lambda: import_clips(path, tmp_path / "out"), got)
    assert not list((tmp_path / "out").iterdir())


def test_pickles_that_are_not_there_or_hold_the_maximum_alone(tmp_path: Path) -> None:
    refused(lambda: import_clips(tmp_path / "none.pkl", tmp_path / "out"), "No such file")
    refused(lambda: import_clips(tmp_path, tmp_path / "out"), "Is a directory")
    (tmp_path / "a.pkl").write_bytes(WHOLE)
    error = refused(
        lambda: import_clips(tmp_path / "a.pkl", tmp_path / "out", "full"), "in 4 clips"
    )
    assert "`rows: pooled`" in error.do


CLIP_VALUES: dict[str, tuple[str, dict[str, Any], str]] = {
    "another width": ("resnet152", {"2d": np.ones(9, np.float32)}, "bad_shape: 2d of width 9"),
    "NaN": ("resnet152", {"2d": np.full(8, np.nan)}, "bad_values"),
    "a path": ("resnext101", {"3d": "features/v_3d.npy"}, "bad_shape"),
    "nothing": ("resnext101", {"3d": np.zeros(0, np.float32)}, "bad_shape"),
    "a volume": ("resnext101", {"3d": np.zeros((2, 3, 4))}, "bad_shape"),
    "turned": ("logmel", {"audio": np.zeros((150, 40))}, "bad_shape: audio of shape (150, 40)"),
    "64 bands": ("logmel", {"audio": np.zeros((64, 150))}, "bad_shape"),
    "a waveform": ("logmel", {"audio": np.zeros(16000)}, "bad_shape"),
}


@pytest.mark.parametrize("case", CLIP_VALUES)
def test_values_of_one_clip_cost_that_clip(tmp_path: Path, case: str) -> None:
    feature, changed, error = CLIP_VALUES[case]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([*CLIPS, clip("odd", **changed)], 4))
    found = import_clips(tmp_path / "a.pkl", tmp_path / "out")
    assert found["features"][feature] == {"ok": 4, error.partition(":")[0]: 1}
    store = FeatureStore([tmp_path / "out" / f"{feature}.parquet"])
    assert store["odd"].status == "failed"
    assert store["odd"].error.startswith(error)


PTH: dict[str, tuple[Any, str]] = {
    "web page": (PAGE, "it is a web page"),
    "half": (None, "cannot be read"),
    "pickle": (WHOLE, "it is a pickle"),
    "model": ({"GU_video.fc.weight": torch.zeros(2, 2)}, "a dict with GU_video.fc.weight"),
    "no videos": ({"2d": {}, "3d": {}}, "not a single clip"),
    "no tensors": ({"2d": {"a": 3}, "3d": {"a": "x"}}, "no usable feature in 1 clips"),
}


@pytest.mark.parametrize("case", PTH)
def test_the_pth_of_miech(tmp_path: Path, case: str) -> None:
    content, got = PTH[case]
    path = tmp_path / "MSRVTT_JSFUSION_test.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content or {"2d": {"a": torch.zeros(99)}, "3d": {}}, path)
    if content is None:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    error = refused(lambda: import_clips(path, tmp_path / "out"), got)
    assert "weights_only" not in str(error)  # PyTorch's advice to run what the file asks for


FEATURE_FILES: dict[str, tuple[str, str, Any, str]] = {
    "CrossTask, web page": ("crosstask", "i3d", PAGE, "unreadable: .*a web page"),
    "CrossTask, half": (
        "crosstask",
        "i3d",
        None,
        "unreadable: .*9000 bytes|unreadable: .*announces",
    ),
    "CrossTask, empty": ("crosstask", "i3d", b"", "unreadable: .*empty"),
    "CrossTask, pointer": ("crosstask", "i3d", POINTER, "unreadable: .*pointer of Git LFS"),
    "CrossTask, ResNet alone": (
        "crosstask",
        "i3d",
        np.zeros((5, 2048)),
        "bad_shape: .*wanted 3200",
    ),
    "CrossTask, turned": ("crosstask", "i3d", np.zeros((3200, 5)), "bad_shape: .*wanted 3200"),
    "CrossTask, one second": ("crosstask", "i3d", np.zeros(3200), "bad_shape: .*a matrix"),
    "other names": ("howto100m", "resnet152", {"a": np.zeros(3), "b": np.zeros(3)}, "holds a, b"),
    "objects": ("howto100m", "resnet152", {"features": np.array([None])}, "which is a pickle"),
    "sound, turned": ("howto100m", "logmel", {"arr_0": np.zeros((900, 40))}, r"wanted \(40"),
    "sound, 64 bands": ("howto100m", "logmel", {"arr_0": np.zeros((64, 900))}, "bad_shape"),
}


@pytest.mark.parametrize("case", FEATURE_FILES)
def test_feature_files_cost_their_video(tmp_path: Path, case: str) -> None:
    layout, feature, content, message = FEATURE_FILES[case]
    path = tmp_path / f"v{LAYOUTS[layout][feature].endings[0]}"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, np.zeros((5, 3200), np.float32) if content is None else content)
        path.write_bytes(path.read_bytes()[: 9000 if content is None else None])
    with pytest.raises(VideoError, match=message):
        read_matrix(path, LAYOUTS[layout][feature])


def test_features_of_several_widths(tmp_path: Path) -> None:
    """In one shard the odd file fails; whole shards that differ are named, with a video of each."""
    for name, shape in {"a": (5, 4), "b": (4, 7), "c": (6, 4), "d": (3, 7)}.items():
        np.savez(tmp_path / f"{name}_2d.npz", features=np.ones(shape, np.float16))
    made = []
    for number, videos in enumerate(("abc", "d")):
        listed = write(
            tmp_path / f"{number}.csv", "video_id,path\n" + "".join(f"{v},{v}\n" for v in videos)
        )
        made.append(tmp_path / f"{number}.parquet")
        import_shard(listed, tmp_path, "howto100m", "resnet152", made[-1])
    store = FeatureStore(made[:1])
    assert {name: store[name].status for name in "abc"} == {"a": "ok", "b": "failed", "c": "ok"}
    assert "has width 7, wanted 4" in store["b"].error
    refused(lambda: MappedFeatures(made), "rows of widths 4 (c), 7 (d)")


def binary(words: int = 3, width: int = 4, first: float = 0.0) -> bytes:
    rows = np.arange(words * width, dtype=np.float32).reshape(words, width)
    rows[0, 0] = first
    lines = [f"w{n} ".encode() + row.tobytes() + b"\n" for n, row in enumerate(rows)]
    return b"".join([f"{words} {width}\n".encode(), *lines])


VECTORS: dict[str, tuple[str, bytes, str]] = {
    "half": ("g.bin", binary()[:40], "cannot hold them"),
    "half of the gzip": ("g.bin.gz", gzip.compress(binary(99, 99))[:-900], "ended before"),
    "last bytes of the gzip": ("g.bin.gz", gzip.compress(binary(99, 99))[:-9], "ended before"),
    "web page": ("g.bin", PAGE, "it is a web page"),
    "web page named gz": ("g.bin.gz", PAGE, "it is a web page"),
    "pointer": ("g.bin", POINTER, "a pointer of Git LFS"),
    "gzip named bin": ("g.bin", gzip.compress(binary()), "a gzip archive"),
    "zip": ("glove.txt", packed(b"a 1 2\n", "glove.txt"), "a zip archive"),
    "empty": ("g.bin", b"", "it is empty"),
    "empty text": ("g.txt", b"", "it is empty"),
    "no words": ("g.txt", b"0 3\n", "0 words"),
    "NaN": ("g.bin", binary(first=np.nan), "NaN or infinity in the vector of 'w0'"),
    "text named bin": ("g.bin", b"2 3\na 1 2 3\nb 4 5 6\n", "cannot be read"),
    "fastText": ("wiki.bin", b"\xba\x16\x4f\x2f\x0c\x00\x00\x00" + bytes(200), "cannot be read"),
}


@pytest.mark.parametrize("case", VECTORS)
def test_word_vectors(tmp_path: Path, case: str) -> None:
    name, content, got = VECTORS[case]
    (tmp_path / name).write_bytes(content)
    refused(lambda: load_vectors(tmp_path / name, tmp_path / "cache"), got)


MODEL = mcn_rows()
MIL_NCE = {"text_module.fc1.weight": torch.zeros(8, 3), "fc.weight": torch.zeros(4, 8)}
RESNEXT = {"state_dict": {"module.layer1.0.conv3.weight": torch.zeros(4, 2, 1, 1, 1)}}
DAVENET = {
    name.removeprefix("DAVEnet."): row for name, row in MODEL.items() if name.startswith("DAVEnet.")
}
EAO = {"state_dict": rows(network())}
CHECKPOINTS: dict[str, tuple[Any, str]] = {
    "web page": (PAGE, "is a web page"),
    "pointer": (POINTER, "is a pointer of Git LFS"),
    "empty": (b"", "is empty"),
    "half": (None, "cannot be read"),
    "pickle": (WHOLE, "holds more than tensors"),
    "optimiser alone": ({"optimizer": {}, "amp": {}}, "is no state dict"),
    "other gate": ({**MODEL, "GU_video.cg.fc.weight": torch.zeros(9, 9)}, "is 9x9, should be 7x7"),
    "other text": ({**MODEL, "GU_text_captions.fc.weight": torch.zeros(7, 8)}, "is 7x8"),
    "vector": ({**MODEL, "GU_video.fc.weight": torch.zeros(7)}, "not a matrix"),
    "NaN": ({**MODEL, "GU_video.fc.bias": torch.full((7,), torch.nan)}, "NaN or infinity"),
    "a row too few": ({name: MODEL[name] for name in list(MODEL)[:-1]}, "missing"),
    "MIL-NCE's S3D": (MIL_NCE, "an S3D of MIL-NCE"),
    "ResNeXt": (RESNEXT, "features.resnext101.weights"),
    "DAVEnet alone": (DAVENET, "model.audio_weights"),
    "Everything at Once, no text": (
        {name: row for name, row in EAO["state_dict"].items() if "text_token" not in name},
        "has no text_token_proj",
    ),
    "Everything at Once, cut block": (
        {name: row for name, row in EAO["state_dict"].items() if "blocks.1.attn.proj" not in name},
        "missing fusion.blocks.1.attn.proj",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_checkpoints(tmp_path: Path, case: str) -> None:
    content, got = CHECKPOINTS[case]
    path = tmp_path / "e16.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content or MODEL, path)
    if content is None:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    error = refused(lambda: load_published(path), got)
    assert "weights_only" not in str(error)


CLASSES = "crack_egg\nadd_oil\nbackground\n"
LOGS = np.log(np.full((40, 3), 1 / 3))
ALIGNMENT: dict[str, tuple[str, Any, str]] = {
    "half of the rows": ("probs/v.probs", LOGS[:20], "20 rows of probabilities for 40 labels"),
    "cut within a row": ("probs/v.probs", "-1 -1 -1\n-1 -1", "number of columns"),
    "of 513 classes": ("probs/v.probs", np.zeros((40, 5)), "40 rows of 5 columns"),
    "web page": ("probs/v.probs", PAGE.decode(), "a web page"),
    "empty": ("probs/v.probs", "", "empty"),
    "probabilities of NaN": ("probs/v.probs", "nan 0 0\n" * 40, "row 1: NaN"),
    "transcript of another release": ("grammar/v.grammar", "crack_eggs add_oil\n", "label 'crack_eggs'"),
    "transcript of another video": ("grammar/v.grammar", "add_oil crack_egg\n", "truth of 2 runs"),
    "truth of another length": ("gt/v.gt", "crack_egg\n" * 9 + "add_oil\n" * 9, "for 18 labels"),
    "lengths of other classes": ("lengths.txt", "150\n150\n", "2 lengths for 3 classes"),
    "lengths of nothing": ("lengths.txt", "150\n0\n150\n", "line 2: 0.0"),
    "lengths, web page": ("lengths.txt", PAGE.decode(), "a web page"),
    "no video": ("probs/v.probs", None, "no file VIDEO.probs"),
}  # fmt: skip


@pytest.mark.parametrize("case", ALIGNMENT)
def test_probabilities_transcripts_and_truth_of_the_aligner(tmp_path: Path, case: str) -> None:
    name, content, got = ALIGNMENT[case]
    write(tmp_path / "dict.txt", CLASSES)
    write(tmp_path / "lengths.txt", "150\n" * 3)
    write(tmp_path / "grammar/v.grammar", "crack_egg add_oil\n")
    write(tmp_path / "gt/v.gt", "crack_egg\n" * 20 + "add_oil\n" * 20)
    (tmp_path / "probs").mkdir()
    np.savetxt(tmp_path / "probs/v.probs", LOGS)
    if isinstance(content, str):
        write(tmp_path / name, content)
    elif content is None:
        (tmp_path / name).unlink()
    else:
        np.savetxt(tmp_path / name, content)
    files = AlignmentFiles(
        tmp_path / "probs",
        tmp_path / "dict.txt",
        tmp_path / "grammar",
        tmp_path / "gt",
        tmp_path / "lengths.txt",
    )
    options = AlignmentOptions.model_validate({"programme": "poisson", "frame_sampling": 5})
    refused(lambda: align_files(files, tmp_path / "out", options, "frames"), got)


def test_files_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    np.savez(tmp_path / "a.npz", a=np.zeros(1))
    np.save(tmp_path / "a.npy", np.zeros(1))
    (tmp_path / "a.txt").write_text("cut the apple")
    kinds = [what_it_is(tmp_path / f"a.{end}") for end in ("pth", "npz", "npy", "txt", "none")]
    assert kinds == ["a PyTorch file", "an archive of numpy arrays", "a numpy array", "", ""]
