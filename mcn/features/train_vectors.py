"""Word vectors trained by gensim on the narration of a data set: skip-gram or CBOW (Mikolov et al. 2013).

Conventions
-----------
- A sentence of gensim is all that is said in one language of a video, in order of time: lines of automatic captions
  break anywhere. Words are those of `mcn.sources.words`, in lower case under `case: lower`.
- Captions, steps and held-out videos are not read: their words may have no vector.
- One thread and a seed: the same narration gives the same bytes. The file is in word2vec's binary format.
- Vectors of several languages lie in one space, but nothing puts words of one meaning together: a network on top has to
  learn that, from videos that are told in all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.compute as pc
from gensim.models import Word2Vec

from mcn.errors import UserError
from mcn.files import atomic_path, read_table
from mcn.options.encoders import TextOptions
from mcn.sources.words import tokenize

log = logging.getLogger(__name__)

ALPHA = 0.025, 0.0001  # first and last learning rate (gensim's default, word2vec.c)


def train_vectors(tables: Sequence[Path], output: Path, options: TextOptions) -> None:
    """Write the vectors of the words of narration tables.

    Errors: `UserError` for a row without `train`, and where no word is said as often as `min_count`.
    """
    train = options.train
    if train is None:
        raise UserError("a row without train", "how vectors are trained", "give it")
    logging.getLogger("gensim").setLevel(logging.WARNING)  # it has a line for every pass
    sentences = [words for table in tables for words in _sentences(table, options.case)]
    try:
        model = Word2Vec(
            sentences,
            sg=int(train.algorithm == "skip_gram"),
            vector_size=train.width,
            window=train.window,
            min_count=train.min_count,
            negative=train.negative,
            epochs=train.epochs,
            alpha=ALPHA[0],
            min_alpha=ALPHA[1],
            seed=train.seed,
            workers=1,
        )
    except RuntimeError as error:  # gensim: you must first build vocabulary
        got = f"no word that is said {train.min_count} times in {train.dataset}"
        raise UserError(got, "more narration", "lower the row's train.min_count") from error
    with atomic_path(output) as temporary:
        model.wv.save_word2vec_format(str(temporary), binary=True)
    counts = len(model.wv), sum(map(len, sentences)), len(sentences)
    log.info("%s: %d words of %d that are said in %d narrations", output, *counts)


def _sentences(table: Path, case: str) -> Iterator[list[str]]:
    """The words of each video and language, in order of time."""
    lines = read_table(table, ["video_id", "start_seconds", "end_seconds", "text", "language"])
    order = [(name, "ascending") for name in ("video_id", "language", "start_seconds")]
    words: list[str] = []
    before = None
    for row in lines.take(pc.sort_indices(lines, order)).to_pylist():
        told = row["video_id"], row["language"]
        if told != before and words:
            yield words
            words = []
        before = told
        words += tokenize(row["text"].lower() if case == "lower" else row["text"])
    if words:
        yield words
