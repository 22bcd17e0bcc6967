"""Options of the index that own videos are searched in."""

from __future__ import annotations

from pydantic import Field

from mcn.options.base import Options, field
from mcn.options.row import Name

# the options that say where windows begin and end
WINDOWS = ("scene_change", "longest_seconds", "shortest_seconds", "window_seconds", "step_seconds")


class SearchOptions(Options):
    """The windows that videos are cut into, and from what size the index is approximate."""

    scene_change: float | None = field(
        0.5,
        "how much two stretches of a video must differ to be two windows: what joining them adds to the squared "
        "distances of their pictures' vectors, of unit length, from the mean; null: windows of `window_seconds`",
        source="measured with efficientnet_lite2",
        gt=0,
    )
    longest_seconds: float = field(
        30.0, "longest window that follows the pictures", "s", gt=0, le=3600
    )
    shortest_seconds: float = field(
        2.0, "shortest window that follows the pictures", "s", gt=0, le=600
    )
    window_seconds: float = field(
        4.0,
        "length of a window of sound, and of pictures where `scene_change` is null",
        "s",
        gt=0,
        le=600,
    )
    step_seconds: float = field(
        2.0, "from the start of such a window to that of the next one", "s", gt=0, le=600
    )
    meaning: Name | None = Field(
        None,
        description="feature of texts (`minilm`) that embeds passages of what is said, so that queries find it in "
        "other words; null: words alone are searched",
    )
    meaning_cosine: float = field(
        0.2,
        "cosine below which a passage is no answer to a query, since the nearest passage of unrelated ones has one too",
        source="measured with minilm",
        role="runtime",
        ge=-1,
        le=1,
    )
    seen_cosine: float = field(
        0.2,
        "cosine that the best window must reach for a query to be answered by what is seen: of `conse`, less is "
        "reached by texts that name nothing visible",
        source="measured with efficientnet_lite2 and minilm",
        role="runtime",
        ge=-1,
        le=1,
    )
    seen_share: float = field(
        0.45,
        "the same as a share of the query's cosine with the nearest class of `conse`: less is reached where the thing "
        "is in no video",
        source="measured with efficientnet_lite2 and minilm",
        role="runtime",
        ge=0,
        le=1,
    )
    exact_windows: int = field(
        1_000_000,
        "windows of a data set that are all compared with a query; of more, faiss looks at the nearest cells alone",
        "windows",
        ge=0,
    )
