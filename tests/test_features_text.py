import gzip
import pickle
import shutil
import struct

import numpy as np
import pyarrow as pa
import pytest
from gensim.models import KeyedVectors

from mcn.errors import DamagedShard, UserError
from mcn.features.text import build_vocabulary, extract_text, make_vocabulary
from mcn.features.vectors import load_vectors
from mcn.files import read_table, write_table
from mcn.options.encoders import TextOptions
from mcn.shards import ShardReader
from mcn.shards.lines import Narration, vocabulary_vectors
from mcn.sources.words import tokenize

WORDS = {
    "Onion": [1.0, 2.0, 3.0],
    "onion": [4.0, 5.0, 6.0],
    "don't": [7.0, 8.0, 9.0],
    "cut": [0.5, 0.0, -1.0],
}
NARRATION = pa.schema(
    [
        ("video_id", pa.string()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("text", pa.string()),
    ]
)


def word2vec_binary() -> bytes:
    rows = b"".join(w.encode() + b" " + struct.pack("<3f", *v) + b"\n" for w, v in WORDS.items())
    return b"4 3\n" + rows


def glove_text() -> bytes:
    return "".join(f"{w} {' '.join(map(str, v))}\n" for w, v in WORDS.items()).encode()


FILES = {
    "v.bin": word2vec_binary(),
    "v.bin.gz": gzip.compress(word2vec_binary()),
    "v.txt": b"4 3\n" + glove_text(),
    "v.txt.gz": gzip.compress(b"4 3\n" + glove_text()),
    "glove.4.3d.txt": glove_text(),
    "v.vec": b"4 3\n" + glove_text(),
}


@pytest.fixture
def vectors_file(tmp_path):
    (tmp_path / "v.bin").write_bytes(FILES["v.bin"])
    return tmp_path / "v.bin"


def options(tmp_path, **values):
    return TextOptions(vectors="unused", cache=str(tmp_path / "cache"), **values)


def narration(path, lines):
    rows = [dict(zip(NARRATION.names, line, strict=True)) for line in lines]
    write_table(path, pa.Table.from_pylist(rows, schema=NARRATION))
    return path


@pytest.mark.parametrize("name", list(FILES))
def test_every_format_gives_the_same_mapped_vectors(tmp_path, name):
    (tmp_path / name).write_bytes(FILES[name])
    for _ in range(2):  # converted, then from the cache
        vectors, digest = load_vectors(tmp_path / name, tmp_path / "cache")
        assert vectors.vector_size == 3
        assert {word: vectors[word].tolist() for word in vectors.key_to_index} == WORDS
        assert isinstance(vectors.vectors, np.memmap)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [digest]


def test_native_file_of_gensim(tmp_path, vectors_file):
    KeyedVectors.load_word2vec_format(str(vectors_file), binary=True).save(str(tmp_path / "own.kv"))
    vectors, _ = load_vectors(tmp_path / "own.kv", tmp_path / "cache")
    assert vectors["cut"].tolist() == WORDS["cut"]
    assert not (tmp_path / "cache").exists()


class Malice:
    def __reduce__(self):
        return print, ("code ran",)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("evil.kv", pickle.dumps(Malice()), "would import builtins.print"),
        ("list.kv", pickle.dumps([1, 2]), "holds list"),
        ("cut.bin", FILES["v.bin"][:30], "cannot be read"),
        ("words.txt", b"just some prose\nin two lines\n", "cannot be read"),
        ("nothing.txt", b"", "cannot be read"),
    ],
)
def test_unusable_files_are_named_and_run_no_code(tmp_path, capsys, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        load_vectors(tmp_path / name, tmp_path / "cache")
    assert "code ran" not in capsys.readouterr().out
    assert not list((tmp_path / "cache").glob("*")) if (tmp_path / "cache").exists() else True
    with pytest.raises(UserError, match="No such file"):
        load_vectors(tmp_path / "nowhere.bin", tmp_path / "cache")


def test_a_changed_file_is_converted_anew(tmp_path, vectors_file):
    load_vectors(vectors_file, tmp_path / "cache")
    vectors_file.write_bytes(word2vec_binary().replace(b"cut ", b"saw "))
    assert "saw" in load_vectors(vectors_file, tmp_path / "cache")[0].key_to_index


def test_tokens_are_words_as_written():
    assert tokenize("Now, DON'T cut_it: 3 œufs!") == ["Now", "DON'T", "cut_it", "3", "œufs"]


def test_vocabulary_policies(vectors_file, tmp_path):
    vectors, _ = load_vectors(vectors_file, tmp_path / "cache")
    texts = ["Onion onion CUT", "unknown"]
    tokens, matrix = build_vocabulary(texts, vectors, "as_is")
    assert tokens == ["Onion", "onion"]
    np.testing.assert_array_equal(matrix, [WORDS["Onion"], WORDS["onion"]])
    tokens, matrix = build_vocabulary(texts, vectors, "lower")
    assert tokens == ["CUT", "Onion", "onion"]
    np.testing.assert_array_equal(matrix, [WORDS["cut"], WORDS["onion"], WORDS["onion"]])
    tokens, matrix = build_vocabulary([], vectors)
    assert (tokens, matrix.shape) == ([], (0, 3))


def test_stage_writes_ids_that_the_trainer_reads(tmp_path, vectors_file):
    lines = narration(
        tmp_path / "narration.parquet",
        [("b", 4.0, 5.0, "so cut it"), ("b", 1.0, 2.0, "Onion, don't cut"), ("b", 2.0, 3.0, "um")],
    )
    captions = pa.table({"clip_id": ["x"], "caption": ["one onion"]})
    write_table(tmp_path / "captions.parquet", captions)
    shard = tmp_path / "00000.csv"
    shard.write_text("video_id,path\na,a.mp4\nb,b.mp4\n")
    vocabulary, output = tmp_path / "vocabulary.parquet", tmp_path / "text.parquet"
    tables = [lines, tmp_path / "captions.parquet"]
    make_vocabulary(tables, vectors_file, vocabulary, options(tmp_path))
    extract_text("words", shard, lines, vocabulary, output, options(tmp_path))

    assert read_table(vocabulary).column("token").to_pylist() == ["Onion", "cut", "don't", "onion"]
    matrix, _ = vocabulary_vectors(vocabulary)
    np.testing.assert_array_equal(matrix[2], WORDS["cut"])
    read = Narration([output])
    assert read.errors == {"a": "no_narration"}
    assert read.status["a"] == "missing"
    assert read["b"].starts == [1.0, 2.0, 4.0]
    assert [read["b"].tokens[line] for line in range(3)] == [[1, 3, 2], [], [2]]
    assert ShardReader(output).recipe["vocabulary"]["vectors"]["width"] == 3
    first = output.read_bytes()
    extract_text("words", shard, lines, vocabulary, output, options(tmp_path))
    assert output.read_bytes() == first


def test_mistakes_between_the_stages_are_named(tmp_path, vectors_file):
    lines = narration(tmp_path / "narration.parquet", [("a", 0.0, 1.0, "cut")])
    vocabulary = tmp_path / "vocabulary.parquet"
    with pytest.raises(UserError, match="sha256"):
        make_vocabulary(
            [lines], vectors_file, vocabulary, options(tmp_path, vectors_sha256="0" * 64)
        )
    write_table(tmp_path / "numbers.parquet", pa.table({"n": [1]}))
    with pytest.raises(UserError, match="text, caption"):
        make_vocabulary([tmp_path / "numbers.parquet"], vectors_file, vocabulary, options(tmp_path))
    make_vocabulary([lines], vectors_file, vocabulary, options(tmp_path))
    shard = tmp_path / "00000.csv"
    shard.write_text("video_id,path\nother,b.mp4\n")
    arguments = shard, lines, vocabulary, tmp_path / "text.parquet"
    with pytest.raises(UserError, match="video a not in"):
        extract_text("words", *arguments, options(tmp_path))
    with pytest.raises(UserError, match="case"):
        extract_text("words", *arguments, options(tmp_path, case="lower"))
    shutil.copy(lines, vocabulary)
    with pytest.raises(DamagedShard, match="vocabulary"):
        extract_text("words", *arguments, options(tmp_path))
