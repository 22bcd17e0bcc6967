"""Texts of narration: the vocabulary of a data set, and token ids of every line.

Conventions
-----------
- A word is what `mcn.sources.words` says, as written; `case` decides only how its vector is looked up: `as_is`
  (published) or `lower`. So whoever reads the vocabulary looks words up as written, whatever the case.
- Of a sentence encoder (`mcn.features.sentences`) a token is a text as a whole, its white space joined: a line, a
  caption or a step. `unit` of the vocabulary's recipe says so; a line then has one id.
- Vocabulary table: token, vector (float32 little-endian bytes), in the order of the tokens' code points; the id of row
  i is i + 1, and 0 pads. Words without a vector are not in it, and are dropped from lines, as published.
- Text shards: `TEXT_SCHEMA`, the lines of one language after those of another, each in time order; a video without
  lines is `missing: no_narration`, one whose narration cannot be read is failed under that code; a line without known
  words keeps its place with an empty list.
- Source: `brian7685/Multimodal-Clustering-Network` youtube_dataloader.py (`_tokenize_text`, `_words_to_we`).
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from mcn.errors import DamagedShard, UserError, VideoError
from mcn.features.registry import library_versions, make_text_encoder
from mcn.features.sentences import sentence_vocabulary
from mcn.features.vectors import load_vectors
from mcn.files import read_table, table_batches, write_table
from mcn.options.encoders import TextOptions
from mcn.options.features import RuntimeOptions
from mcn.options.row import TextsOptions
from mcn.shards import TEXT_SCHEMA, ShardWriter, empty_row
from mcn.shards.origin import list_digest
from mcn.sources.annotation_tables import NARRATION
from mcn.sources.narration import unread_of
from mcn.sources.words import text_units, tokenize

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

log = logging.getLogger(__name__)

VERSION = 1  # raise when the code changes the numbers
TEXT_COLUMNS = ("text", "caption")  # of narration and task tables, and of caption tables
VOCABULARY = pa.schema([("token", pa.string()), ("vector", pa.large_binary())])


def token_ids(text: str, ids: Mapping[str, int], unit: str = "word") -> list[int]:
    """Ids of the words of a text, or of the text as a whole, that the vocabulary has, in order."""
    return [ids[token] for token in text_units(text, unit, ids) if token in ids]


def build_vocabulary(
    texts: Iterable[str], vectors: KeyedVectors, case: str = "as_is"
) -> tuple[list[str], np.ndarray]:
    """The words of `texts` that have a vector, sorted, and their vectors (V, width) float32."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(tokenize(text, vectors.key_to_index))
    keys = {word: word.lower() if case == "lower" else word for word in counts}
    tokens = sorted(word for word, key in keys.items() if key in vectors.key_to_index)
    rows = [vectors.key_to_index[keys[token]] for token in tokens]
    known = sum(counts[token] for token in tokens)
    log.info(
        "%d of %d words have vectors, %d of %d occurrences (%.1f %%)",
        *(len(tokens), len(counts), known, counts.total(), 100 * known / max(1, counts.total())),
    )
    return tokens, np.asarray(vectors.vectors[rows], "<f4").reshape(-1, vectors.vector_size)


def make_vocabulary(
    tables: list[Path],
    vectors: Path | str,
    output: Path,
    options: TextsOptions,
    runtime: RuntimeOptions | None = None,
    threads: int = 0,
) -> None:
    """Write the vocabulary of narration, caption or task tables.

    vectors: of word vectors, path of what `options.vectors` means. runtime, threads: how a sentence encoder runs,
    None: as the defaults say. Errors: `UserError` for vectors or weights that cannot be read or have another sha256,
    and for a table without a column of text.
    """
    texts = (text for path in tables for text in _texts(path))
    _warn_of_unknown_languages(tables, options)
    if isinstance(options, TextOptions):
        tokens, matrix, recipe = _word_vocabulary(texts, vectors, options)
    else:
        from mcn.features.runtime import resolve  # imports torch, which words need not pay for

        encoder = make_text_encoder(options, resolve(runtime or RuntimeOptions(), threads))
        tokens, matrix = sentence_vocabulary(texts, encoder)
        recipe = encoder.recipe
    if not np.isfinite(matrix).all():
        cure = "get an intact file of vectors or weights"
        raise UserError(f"{_source(recipe)} holds NaN or infinity", "finite vectors", cure)
    columns = [tokens, [row.tobytes() for row in matrix]]
    table = pa.Table.from_arrays([*map(pa.array, columns)], schema=VOCABULARY)
    write_table(output, table, {"table": "vocabulary", **recipe})


def _warn_of_unknown_languages(tables: list[Path], options: TextsOptions) -> None:
    """Say how many texts of each table are in a language that the vectors or the encoder do not know."""
    for path in tables:
        if "language" not in pq.read_schema(path).names:
            continue
        counts: Counter[str] = Counter()
        for batch in table_batches(path, ["language"]):
            counts.update(one or "" for one in batch.column(0).to_pylist())
        for language in options.not_known(counts):
            words = (
                "%d of %d texts of %s are in %s, and %s knows %s (languages of the feature's row)"
            )
            knows = ", ".join(options.knows)
            counted = counts[language], counts.total()
            log.warning(words, *counted, path, language, options.encoder, knows)


def _word_vocabulary(
    texts: Iterable[str], vectors: Path | str, options: TextOptions
) -> tuple[list[str], np.ndarray, dict[str, Any]]:
    """Words, their vectors and the recipe of a vocabulary of word vectors."""
    loaded, digest = load_vectors(vectors, options.cache)
    if options.vectors_sha256 not in (None, digest):
        cure = "get the right file, or correct the row's vectors_sha256"
        raise UserError(f"{vectors} with sha256 {digest}", f"sha256 {options.vectors_sha256}", cure)
    recipe = {
        "version": VERSION,
        "case": options.case,
        "vectors": {"source": Path(vectors).name, "sha256": digest, "width": loaded.vector_size},
        "libraries": library_versions("gensim", "numpy"),
    }
    return *build_vocabulary(texts, loaded, options.case), recipe


def _source(recipe: Mapping[str, Any]) -> str:
    """Where the vectors of a vocabulary come from, by its recipe."""
    made = recipe.get("vectors") or recipe.get("weights") or {}
    return str(made.get("source"))


def _texts(path: Path) -> Iterator[str]:
    """Texts of a table, a part of it at a time."""
    try:
        names = pq.read_schema(path).names
    except pa.ArrowException as error:
        raise DamagedShard(path, str(error)) from error
    column = [name for name in names if name in TEXT_COLUMNS]
    if len(column) != 1:
        got = f"{path} with the columns {', '.join(names)}"
        raise UserError(got, f"one of {', '.join(TEXT_COLUMNS)}", "give other tables")
    for batch in table_batches(path, column):
        yield from batch.column(0).to_pylist()


def extract_text(
    name: str,
    shard: Path,
    narration: Path,
    vocabulary: Path,
    output: Path,
    options: TextsOptions,
) -> None:
    """Token ids of the narration of the videos that a shard list names, one row a video in its order.

    narration: the shard's lines. `options` must be those of the vocabulary: otherwise `UserError`.
    """
    table = read_table(vocabulary)
    recipe = {"feature": name, **_text_recipe(table, vocabulary, options)}
    ids = {token: row + 1 for row, token in enumerate(table.column("token").to_pylist())}
    with open(shard, newline="", encoding="utf-8") as file:
        video_ids = [row["video_id"] for row in csv.DictReader(file)]
    lines: dict[str, list[dict[str, Any]]] = {video_id: [] for video_id in video_ids}
    unread = unread_of(narration)
    for line in read_table(narration, NARRATION.names).to_pylist():
        if line["video_id"] not in lines:
            cure = f"delete both and run snakemake again (rm {shard} {narration})"
            raise UserError(
                f"{narration}: video {line['video_id']} not in {shard}", "its videos", cure
            )
        lines[line["video_id"]].append(line)
    with ShardWriter(output, TEXT_SCHEMA, recipe, inputs=list_digest(shard)) as writer:
        for video_id in tqdm(video_ids, desc=name, unit="video", disable=None):
            wrong = unread.get(video_id)
            writer.write(_text_row(video_id, lines[video_id], ids, options.unit, wrong))
    silent = sum(not found for found in lines.values())
    log.info("%s: %d videos, %d without narration", name, len(video_ids), silent)


def _text_row(
    video_id: str,
    lines: list[dict[str, Any]],
    ids: Mapping[str, int],
    unit: str,
    unread: str | None,
) -> dict[str, Any]:
    if unread is not None:
        return empty_row(TEXT_SCHEMA, video_id, "failed", unread)
    if not lines:
        return empty_row(TEXT_SCHEMA, video_id, "missing", str(VideoError("no_narration")))
    lines = sorted(
        ({**line, "language": line.get("language") or ""} for line in lines),
        key=lambda line: (line["language"], line["start_seconds"], line["end_seconds"]),
    )
    return {
        "video_id": video_id,
        "status": "ok",
        "error": "",
        "starts": [line["start_seconds"] for line in lines],
        "ends": [line["end_seconds"] for line in lines],
        "texts": [line["text"] for line in lines],
        "languages": [line["language"] for line in lines],
        "tokens": [token_ids(line["text"], ids, unit) for line in lines],
    }


def _text_recipe(table: pa.Table, vocabulary: Path, options: TextsOptions) -> dict[str, Any]:
    """The recipe of text shards; ids mean something only beside the vocabulary, so its tokens are hashed."""
    metadata = table.schema.metadata or {}
    if b"mcn" not in metadata or table.column_names != VOCABULARY.names:
        raise DamagedShard(vocabulary, "not a vocabulary of this pipeline")
    made = json.loads(metadata[b"mcn"])
    for key in {"case", "prompt", "normalize", "options"} & set(type(options).model_fields):
        value = getattr(options, key)
        if made.get(key) != value:
            got = f"{vocabulary} made with {key} {made.get(key)}, options with {value}"
            raise UserError(got, "one and the same", f"make it again (rm {vocabulary})")
    tokens = "\n".join(table.column("token").to_pylist())
    return {
        "version": VERSION,
        "vocabulary": made,
        "tokens_sha256": hashlib.sha256(tokens.encode()).hexdigest(),
    }
