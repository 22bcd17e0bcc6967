"""Verbs from a manifest to decoded shards: doctor, demo, prepare, partition, decode."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mcn.commands.verbs import Verbs, add_group, add_verb, downloads_of
from mcn.errors import UserError

VIDEOS = "table of videos that `mcn prepare videos` wrote"


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    verb = add_verb(verbs, "doctor", doctor, "mcn.options.decode:DecodeOptions", downloads=True)
    verb.add_argument(
        "manifest", type=Path, help="CSV or parquet: video_id,path[,narration,...]; or a folder"
    )
    verb.add_argument("--video", action="append", help="only this video_id (repeatable)")

    verb = add_verb(verbs, "demo", demo, "mcn.options.demo:DemoOptions")
    verb.add_argument("directory", type=Path, help="folder to render into")
    verb.add_argument("--workers", type=int, default=0, help="processes, 0: one a core (default)")

    verb = add_verb(verbs, "render", render, "mcn.options.demo:RenderedOptions")
    verb.add_argument("directory", type=Path, help="folder to render into, of the set's name")
    verb.add_argument("--workers", type=int, default=0, help="processes, 0: one a core (default)")

    kinds = add_group(verbs, "prepare", "Check manifests and annotations; write them as tables.")
    verb = add_verb(kinds, "videos", prepare_videos, "mcn.options.sections:DatasetOptions")
    verb.add_argument("manifest", type=Path, help="CSV or parquet: video_id,path[,narration,...]")
    verb.add_argument("--videos", type=Path, required=True, help="table of videos to write")
    verb.add_argument("--narration", type=Path, required=True, help="table of narration to write")
    verb = add_verb(kinds, "captions", prepare_captions)
    verb.add_argument(
        "annotations", type=Path, help="CSV clip_id,video_id,start_seconds,end_seconds,caption"
    )
    verb.add_argument("--videos", type=Path, required=True, help=VIDEOS)
    verb.add_argument("--output", type=Path, required=True, help="table of captions to write")
    verb = add_verb(kinds, "steps", prepare_steps)
    verb.add_argument("task_list", type=Path, help="CSV task,step,text")
    verb.add_argument(
        "annotations", type=Path, help="CSV video_id,task,step,start_seconds,end_seconds"
    )
    verb.add_argument("--videos", type=Path, required=True, help=VIDEOS)
    verb.add_argument("--tasks", type=Path, required=True, help="table of tasks to write")
    verb.add_argument("--steps", type=Path, required=True, help="table of steps to write")
    verb = add_verb(kinds, "alignment", prepare_alignment)
    verb.add_argument("class_list", type=Path, help="CSV class_id,text,background (0 or 1)")
    verb.add_argument("transcript_list", type=Path, help="CSV video_id,position,class_id")
    verb.add_argument(
        "segment_list", type=Path, help="CSV video_id,class_id,start_seconds,end_seconds"
    )
    verb.add_argument("--videos", type=Path, required=True, help=VIDEOS)
    for name in ("classes", "transcripts", "segments"):
        verb.add_argument(f"--{name}", type=Path, required=True, help=f"table of {name} to write")

    verb = add_verb(kinds, "actions", prepare_actions)
    verb.add_argument("action_list", type=Path, help="CSV class,text")
    verb.add_argument("label_list", type=Path, help="CSV video_id,class")
    verb.add_argument("--videos", type=Path, required=True, help=VIDEOS)
    for name in ("actions", "labels"):
        verb.add_argument(f"--{name}", type=Path, required=True, help=f"table of {name} to write")

    verb = add_verb(verbs, "partition", partition)
    verb.add_argument("videos", type=Path, help=VIDEOS)
    verb.add_argument("narration", type=Path, help="table of narration, written with it")
    verb.add_argument("--shards", type=int, required=True, help="number of shards")
    verb.add_argument("--directory", type=Path, required=True, help="results/{dataset}")

    kinds = add_group(verbs, "shard", "Write one shard's share of a manifest.")
    for name, run in (("videos", shard_videos), ("narration", shard_narration)):
        verb = add_verb(kinds, name, run)
        verb.add_argument(
            "manifest", type=Path, help="CSV or parquet: video_id,path[,narration,...]"
        )
        verb.add_argument("output", type=Path, help="file to write")
        verb.add_argument("--shards", type=int, required=True, help="number of shards")
        verb.add_argument("--shard", type=int, required=True, help="number of this shard, from 0")

    verb = add_verb(verbs, "decode", decode, "mcn.options.decode:DecodeOptions", downloads=True)
    verb.set_defaults(stage="decode")
    verb.add_argument(
        "--threads", type=int, default=1, help="videos decoded side by side, each on one core (1)"
    )
    verb.add_argument("shard", type=Path, help="shard list, results/{dataset}/shards/NNNNN.csv")
    verb.add_argument("outputs", type=Path, nargs="+", help="a shard for each stream")
    verb.add_argument(
        "--streams",
        required=True,
        metavar="JSON",
        help="list of {frames_per_second, short_side, crop}, decoded together, or of one {sample_rate}",
    )


def doctor(arguments: Namespace) -> int:
    """Probe every file of a manifest or a folder and say what will happen to it; exit status 1 if any will fail."""
    from mcn.options.base import parse_options
    from mcn.options.decode import DecodeOptions
    from mcn.sources.doctor import examine, format_report
    from mcn.sources.folders import choose, row_of, walk
    from mcn.sources.manifest import read_manifest

    if arguments.manifest.is_dir():
        files = walk(arguments.manifest)
        rows = [row_of(file) for file, is_taken in choose(files) if is_taken]
    else:
        rows = read_manifest(arguments.manifest, check_files=False)
    if arguments.video:
        unknown = set(arguments.video) - {row.video_id for row in rows}
        if unknown:
            raise UserError(
                f"no video {', '.join(sorted(unknown))}", "ids of the manifest", "correct --video"
            )
        rows = [row for row in rows if row.video_id in arguments.video]
    options = parse_options(DecodeOptions, arguments.options)
    report = examine(rows, options, downloads_of(arguments))
    print(format_report(report))
    return int(report.any_failed)


def demo(arguments: Namespace) -> None:
    """Render the demo's narrated how-to videos with manifests and annotations."""
    from mcn.demo.dataset import make
    from mcn.options.base import parse_options
    from mcn.options.demo import DemoOptions

    options = parse_options(DemoOptions, arguments.options)
    make(arguments.directory, options.model_copy(update={"workers": arguments.workers}))


def render(arguments: Namespace) -> None:
    """Render a set of narrated videos whose tasks are drawn at random, with manifest and annotations."""
    from mcn.demo.dataset import make_set
    from mcn.options.base import parse_options
    from mcn.options.demo import RenderedOptions

    options = parse_options(RenderedOptions, arguments.options)
    make_set(arguments.directory, options, arguments.workers)


def prepare_videos(arguments: Namespace) -> None:
    """Check a manifest and its narration files; write them as tables."""
    from mcn.options.base import parse_options
    from mcn.options.sections import DatasetOptions
    from mcn.sources.videos import prepare_videos

    options = parse_options(DatasetOptions, arguments.options)
    table = Path(options.narration_table) if options.narration_table else None
    prepare_videos(
        arguments.manifest, arguments.videos, arguments.narration, options.missing_files, table
    )


def prepare_captions(arguments: Namespace) -> None:
    """Check retrieval captions against the videos; write them as a table."""
    from mcn.sources.annotation_tables import prepare_captions

    prepare_captions(arguments.annotations, arguments.videos, arguments.output)


def prepare_steps(arguments: Namespace) -> None:
    """Check step annotations against the videos and step lists; write them as tables."""
    from mcn.sources.annotation_tables import prepare_steps

    prepare_steps(
        arguments.task_list,
        arguments.annotations,
        arguments.videos,
        arguments.tasks,
        arguments.steps,
    )


def prepare_alignment(arguments: Namespace) -> None:
    """Check classes, transcripts and segments against each other and the videos; write them as tables."""
    from mcn.sources.annotation_tables import prepare_alignment

    prepare_alignment(
        arguments.class_list,
        arguments.transcript_list,
        arguments.segment_list,
        arguments.videos,
        arguments.classes,
        arguments.transcripts,
        arguments.segments,
    )


def prepare_actions(arguments: Namespace) -> None:
    """Check action classes and the labels of the videos; write them as tables."""
    from mcn.sources.annotation_tables import prepare_actions

    prepare_actions(
        arguments.action_list,
        arguments.label_list,
        arguments.videos,
        arguments.actions,
        arguments.labels,
    )


def partition(arguments: Namespace) -> None:
    """Split a data set into shards by a stable hash of the video ids."""
    from mcn.sources.partition import partition

    partition(arguments.videos, arguments.narration, arguments.shards, arguments.directory)


def shard_videos(arguments: Namespace) -> None:
    """Write the list of the videos of one shard."""
    from mcn.sources.partition import shard_videos

    shard_videos(arguments.manifest, arguments.shards, arguments.shard, arguments.output)


def shard_narration(arguments: Namespace) -> None:
    """Write the narration of the videos of one shard."""
    from mcn.sources.partition import shard_narration

    shard_narration(arguments.manifest, arguments.shards, arguments.shard, arguments.output)


def decode(arguments: Namespace) -> None:
    """Decode the videos of a shard list: all frame rates in one pass, or sound at one sample rate."""
    from mcn.media.decode import decode
    from mcn.options.base import parse_options
    from mcn.options.decode import DecodeOptions, Streams

    streams = parse_options(Streams, arguments.streams).root
    options = parse_options(DecodeOptions, arguments.options)
    told = options, downloads_of(arguments), arguments.threads
    decode(arguments.shard, streams, arguments.outputs, *told)
