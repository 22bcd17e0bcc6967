"""Pickles of data are read, programs are refused, and long files need the memory of an item."""

import base64
import collections
import os
import pickle
import tracemalloc
import zlib

import numpy as np
import pandas as pd
import pytest
import torch

from mcn.errors import UserError
from mcn.sources.unpickle import stream

# pickle.dumps({"a": table}, 4) of pandas 1.5.3 and numpy 1.26, compressed
PANDAS_1_5_3 = (
    "eNptks9v0zAUx5smYQMxwYTGrwPqgcO4lCuHaZs2hIBAkXafrJfEraM5bmQ76ioxaRwom+TbHv8n/wE8O1S0gA/2s/N+fF7e9zL5nsS9sC7QRYBuuwFVghkWU8"
    "2HYw01R3f7NVh4E+wbfPEFL3DXJayeaHTPVt0rZblWIM2wBgUTrg26u0dyWpx97O4U7h7+jmCyys2fEHT3WKuaqjiTnOU+xjvvqLZu5l32upW2Aq1hTlmZ5sVUGa"
    "vbwnrHNDii26DcweUGs95XPI5y/IYnuJtFWT/rL1Bsu7S088Z34vrjV3h91X2PXbSHo9Ho/U9aYct6FvPr40FvbSWH3fnjoDs3D5Hc3GbeVoSnqI/UyKrgAYBqRj"
    "591ve72BL3xQOPJXaWUFGAeur6n9ZQPv+FcuBRTum3bxWtHVjBB9A0kkazMQMjBpVFTh7iORWMV0su0Ac9Xh9Syc+5GeZgKP4OU3zG3vk3IhZ7Ll3aYcglDR7/pY"
    "7p8jLwpMaCtuhirkp0ieXnHYpLlJfLqF34xvfdk/8haFATz3Diz5W64sNIvM16LjF22lAn3uBkRCEb9xvpj6ZI0vSES5mymlsIyKc0BrCWBEiyvsXGEibBfARSTm"
    "eGlW1DQwLLmYSck/quTEtq/AXcHiyI"
)


def clip(index, tensor=True):
    """One item of a published pickle of clips."""
    audio = np.full((40, 100), -float(index), np.float32)
    return {
        "id": f"video{index}",
        "2d": np.full(2048, index, np.float32),
        "3d": np.full(2048, index, np.float16),
        "audio": torch.from_numpy(audio) if tensor else audio,
        "caption": f"caption {index}",
    }


def write(path, value, protocol):
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def loaded(path):
    """Everything that is streamed, in a list."""
    found = []
    stream(path, found.append)
    return found


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        if isinstance(value, np.ndarray | torch.Tensor):
            assert ours[key].dtype == value.dtype
            assert np.array_equal(np.asarray(ours[key]), np.asarray(value))
        else:
            assert ours[key] == value


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("count", [0, 1, 2, 1000, 1001, 1002])
def test_a_streamed_list_has_the_items_of_a_loaded_one(tmp_path, protocol, count):
    items = [clip(index, tensor=index % 2 == 0) for index in range(count)]
    path = write(tmp_path / "clips.pkl", items, protocol)
    found = []
    assert stream(path, found.append) == count
    for ours, theirs in zip(found, items, strict=True):
        same(ours, theirs)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("count", [0, 1, 2, 1001, 2500])
def test_a_streamed_dictionary_has_the_pairs_of_a_loaded_one(tmp_path, protocol, count):
    pairs = {
        f"v{index}": {"start": [0.5, index], "end": [1.0, 2.0], "text": ["a", f"line {index}"]}
        for index in range(count)
    }
    found = {}
    path = write(tmp_path / "caption.pickle", pairs, protocol)
    assert stream(path, lambda pair: found.update([pair])) == count
    assert found == pairs


def test_tables_of_captions_are_read(tmp_path):
    table = pd.DataFrame({"start": [0.0, 2.5], "end": [1.0, 3.0]})
    table["text"] = np.array(["cut the apple", "wash it"], dtype=object)
    path = write(tmp_path / "caption.pickle", {"a": table, "b": table["start"]}, 4)
    found = dict(loaded(path))
    assert found["a"].equals(table)
    assert found["b"].equals(table["start"])
    arrow = pd.DataFrame({"start": [0.0], "text": ["strings as pandas 3 keeps them"]})
    assert loaded(write(tmp_path / "new.pickle", {"a": arrow}, 4))[0][1].equals(arrow)


def test_a_table_pickled_by_pandas_1_is_read(tmp_path):
    path = tmp_path / "caption.pickle"
    path.write_bytes(zlib.decompress(base64.b64decode(PANDAS_1_5_3)))
    table = dict(loaded(path))["a"]
    assert table["start"].tolist() == [0.0, 2.5]
    assert table["end"].tolist() == [1.0, 3.0]
    assert table["text"].tolist() == ["cut the apple", "wash it"]


def test_plain_items_are_streamed_too(tmp_path):
    items = [(f"id{index}", [index]) for index in range(1500)]
    found = []
    assert stream(write(tmp_path / "list.pkl", items, 4), found.append) == 1500
    assert found == items


class Malicious:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


class MaliciousGlobal:
    def __reduce__(self):
        return getattr, ("text", "upper")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_runs_nothing_and_is_refused_by_name(tmp_path, protocol):
    target = tmp_path / "harm"
    items = [clip(0, tensor=False), {"id": Malicious(target), "x": 1}]
    path = write(tmp_path / "clips.pkl", items, protocol)
    with pytest.raises(UserError, match=r"(posix|nt)\.system") as error:
        loaded(path)
    assert str(path) in str(error.value)
    assert not target.exists()


def test_a_malicious_storage_inside_a_tensor_runs_nothing(tmp_path):
    target = tmp_path / "harm"

    class Storage:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (pickle.dumps(Malicious(target)),)

    path = write(tmp_path / "clips.pkl", [{"audio": Storage(), "id": 1}], 2)
    with pytest.raises(UserError):
        stream(path, lambda item: None)
    assert not target.exists()


def test_other_imports_are_refused(tmp_path):
    path = write(tmp_path / "a.pkl", [MaliciousGlobal()], 4)
    with pytest.raises(UserError, match=r"builtins\.getattr"):
        loaded(path)
    path = write(tmp_path / "b.pkl", [collections.Counter("a")], 4)
    with pytest.raises(UserError, match=r"collections\.Counter"):
        stream(path, lambda item: None)


def test_a_cut_file_is_a_clear_error(tmp_path):
    path = write(tmp_path / "clips.pkl", [clip(index) for index in range(5)], 4)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UserError, match="downloaded whole"):
        loaded(path)
    with pytest.raises(UserError, match=r"absent\.pkl: No such file"):
        loaded(tmp_path / "absent.pkl")


def test_a_mistake_of_the_sink_is_not_blamed_on_the_file(tmp_path):
    path = write(tmp_path / "clips.pkl", [clip(0)], 4)
    with pytest.raises(KeyError, match="title"):
        stream(path, lambda item: item["title"])


def test_shapes_that_cannot_be_streamed_are_refused_not_misread(tmp_path):
    shared = np.arange(5000.0)
    for value in (
        np.zeros(3),
        ([1], {"a": 1, "b": 2}),
        [{"id": "a", "x": shared}, {"id": "b", "x": shared}],
        [{"id": "a", "x": 1}, 5],
        [("a", {"x": 1, "y": 2}), ("b", {"x": 3, "y": 4})],
    ):
        with pytest.raises(UserError):
            stream(write(tmp_path / "odd.pkl", value, 4), lambda item: None)


@pytest.mark.slow
def test_memory_is_that_of_an_item(tmp_path):
    path = tmp_path / "clips.pkl"
    with open(path, "wb") as file:
        pickle.dump([clip(index) for index in range(3000)], file, 4)
    size = path.stat().st_size
    assert size > 70_000_000
    tracemalloc.start()
    count = stream(path, lambda item: None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 3000
    assert peak < size / 3
