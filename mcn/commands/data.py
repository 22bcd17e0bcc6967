"""Verbs from a manifest to decoded shards: doctor, demo, prepare, partition, decode."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mcn.commands.verbs import Verbs, add_group, add_path, add_verb, downloads_of
from mcn.errors import UserError

VIDEOS = "table of videos that `mcn prepare videos` wrote"


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    verb = add_verb(verbs, "doctor", doctor, "mcn.options.decode:DecodeOptions", downloads=True)
    add_path(verb, "manifest", "CSV or parquet: video_id,path[,narration,...]; or a folder")
    verb.add_argument("--video", action="append", help="only this video_id (repeatable)")

    verb = add_verb(verbs, "demo", demo, "mcn.options.demo:DemoOptions")
    add_path(verb, "directory", "folder to render into")
    verb.add_argument("--workers", type=int, default=0, help="processes, 0: one a core (default)")

    verb = add_verb(verbs, "render", render, "mcn.options.demo:RenderedOptions")
    add_path(verb, "directory", "folder to render into, of the set's name")
    verb.add_argument("--workers", type=int, default=0, help="processes, 0: one a core (default)")

    _register_prepare(verbs)
    _register_shards(verbs)


def _register_prepare(verbs: Verbs) -> None:
    kinds = add_group(verbs, "prepare", "Check manifests and annotations; write them as tables.")
    verb = add_verb(kinds, "videos", prepare_videos, "mcn.options.sections:DatasetOptions")
    add_path(verb, "manifest", "CSV or parquet: video_id,path[,narration,...]")
    add_path(verb, "--videos", "table of videos to write")
    add_path(verb, "--narration", "table of narration to write")
    verb = add_verb(kinds, "captions", prepare_captions)
    add_path(verb, "annotations", "CSV clip_id,video_id,start_seconds,end_seconds,caption")
    add_path(verb, "--videos", VIDEOS)
    add_path(verb, "--output", "table of captions to write")
    verb = add_verb(kinds, "steps", prepare_steps)
    add_path(verb, "task_list", "CSV task,step,text")
    add_path(verb, "annotations", "CSV video_id,task,step,start_seconds,end_seconds")
    add_path(verb, "--videos", VIDEOS)
    add_path(verb, "--tasks", "table of tasks to write")
    add_path(verb, "--steps", "table of steps to write")
    verb = add_verb(kinds, "alignment", prepare_alignment)
    add_path(verb, "class_list", "CSV class_id,text,background (0 or 1)")
    add_path(verb, "transcript_list", "CSV video_id,position,class_id")
    add_path(verb, "segment_list", "CSV video_id,class_id,start_seconds,end_seconds")
    add_path(verb, "--videos", VIDEOS)
    for name in ("classes", "transcripts", "segments"):
        add_path(verb, f"--{name}", f"table of {name} to write")

    verb = add_verb(kinds, "actions", prepare_actions)
    add_path(verb, "action_list", "CSV class,text")
    add_path(verb, "label_list", "CSV video_id,class")
    add_path(verb, "--videos", VIDEOS)
    for name in ("actions", "labels"):
        add_path(verb, f"--{name}", f"table of {name} to write")


def _register_shards(verbs: Verbs) -> None:
    verb = add_verb(verbs, "partition", partition)
    add_path(verb, "videos", VIDEOS)
    add_path(verb, "narration", "table of narration, written with it")
    verb.add_argument("--shards", type=int, required=True, help="number of shards")
    add_path(verb, "--directory", "results/{dataset}")

    kinds = add_group(verbs, "shard", "Write one shard's share of a manifest.")
    for name, run in (("videos", shard_videos), ("narration", shard_narration)):
        verb = add_verb(kinds, name, run)
        add_path(verb, "manifest", "CSV or parquet: video_id,path[,narration,...]")
        add_path(verb, "output", "file to write")
        verb.add_argument("--shards", type=int, required=True, help="number of shards")
        verb.add_argument("--shard", type=int, required=True, help="number of this shard, from 0")

    verb = add_verb(verbs, "decode", decode, "mcn.options.decode:DecodeOptions", downloads=True)
    verb.set_defaults(stage="decode")
    verb.add_argument(
        "--threads", type=int, default=1, help="videos decoded side by side, each on one core (1)"
    )
    add_path(verb, "shard", "shard list, results/{dataset}/shards/NNNNN.csv")
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
