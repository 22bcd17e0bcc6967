"""Options of downloads: where videos that a manifest names by address are kept, and how long a server is waited for."""

from __future__ import annotations

from mcn.options.base import Options, field


class DownloadOptions(Options):
    """Videos that manifests name by address (http, https, s3): their cache, and the patience with servers."""

    folder: str = field(
        "results/downloads",
        "folder of the cache; one on a shared disk may serve several projects",
        role="runtime",
        min_length=1,
    )
    size_gb: float = field(
        20,
        "size of the cache: what was used longest ago goes first, never what is in use. Best as large as the videos of "
        "a shard for each job that runs at once",
        "GB",
        role="runtime",
        gt=0,
    )
    attempts: int = field(
        5, "tries in a row without a new byte after which a video fails", role="runtime", ge=1
    )
    stall_seconds: float = field(
        60,
        "time without a byte after which a connection counts as cut",
        "s",
        role="runtime",
        gt=0,
    )
    time_limit_seconds: float = field(
        7200, "wall-clock time granted to fetch a video", "s", role="runtime", gt=0
    )
    pause_seconds: float = field(
        1, "pause before the second try, doubled from try to try", "s", role="runtime", ge=0
    )
