"""Files of log-probabilities, `VIDEO.probs`: a text matrix, a column a class, with a row a frame or a row a second.

Conventions
-----------
- Both forms have one row a line, numbers separated by blanks, and columns in the order of the class list. `frames` is
  what Mining YouTube's own aligner reads (video_alignment: one row for each line of groundTruth, columns in the order
  of weakYouTube_dict.txt); `seconds` is what MCN's eval_cross.py writes (`--save_feature=1`). The files do not say
  which they are: a row a second read as frames gives the aligner a video of a thirtieth of its length.
- Frame f of a video is in second floor((f + 1/2) / rate); a video of T seconds has round(T * rate) frames.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mcn.errors import UserError
from mcn.files import atomic_path
from mcn.sources.first_bytes import what_it_is


def write_probabilities(path: Path, log_probabilities: np.ndarray) -> None:
    """Write (rows, C) log-probabilities, six decimals."""
    with atomic_path(path) as temporary:
        np.savetxt(temporary, log_probabilities, fmt="%.6f", delimiter=" ")


def read_probabilities(path: Path, classes: int) -> np.ndarray:
    """Read (rows, C) float32 log-probabilities of C `classes`; `UserError` for another form."""
    wanted = f"a text matrix of {classes} columns, one a class, of log-probabilities"
    if kind := what_it_is(path):
        raise UserError(f"{path}, which is {kind}", wanted, "give a complete file")
    try:
        found = np.loadtxt(path, dtype=np.float32, ndmin=2)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}", wanted, "give a complete file") from error
    if found.shape[1] != classes or not len(found):
        got = f"{path}: {found.shape[0]} rows of {found.shape[1]} columns"
        raise UserError(got, wanted, "give the class list that the file was made with")
    if np.isnan(found).any() or np.isposinf(found).any():
        row = int(np.flatnonzero(np.isnan(found).any(1) | np.isposinf(found).any(1))[0]) + 1
        raise UserError(f"{path}, row {row}: NaN or inf", wanted, "make the file again")
    return found


def frames_of_seconds(rows: np.ndarray, rate: float) -> np.ndarray:
    """Rows of seconds (T, C) repeated for the frames of each second (round(T * rate), C)."""
    seconds = (np.arange(round(len(rows) * rate)) + 0.5) / rate
    return rows[np.minimum(seconds.astype(np.int64), len(rows) - 1)]
