"""The command line: `mcn <verb>`, one verb a stage; the workflow's rules call the same verbs.

Exit status: 0 done, 1 the data or the configuration is at fault (got / wanted / do this on standard error),
2 wrong usage, 130 interrupted. `--options` takes JSON or YAML text, or `@FILE`; `mcn <verb> --help` lists its keys.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from mcn import __version__, commands
from mcn.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
    )
    options = build_parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except UserError as error:
        print(f"mcn {options.verb}: error\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"mcn {options.verb}: interrupted", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """The parser of every verb."""
    parser = argparse.ArgumentParser(prog="mcn", description=__doc__.partition("\n")[0])
    parser.add_argument("--version", action="version", version=f"mcn {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _data_verbs(verbs)
    _feature_verbs(verbs)
    _model_verbs(verbs)
    _account_verbs(verbs)
    return parser


def _verb(verbs, name, run, model=None, runtime=False):  # type: ignore[no-untyped-def]
    """Add a verb; `model` names the options model ("module:Class") that `--options` is parsed into."""
    summary = run.__doc__.partition("\n")[0]
    parser = verbs.add_parser(
        name,
        help=summary,
        description=summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_describe(model) if model and {"-h", "--help"} & set(sys.argv) else None,
    )
    parser.set_defaults(run=run)
    if model:
        parser.add_argument("--options", default="{}", metavar="JSON", help="settings, see below")
    if runtime:
        parser.add_argument(
            "--runtime",
            default="{}",
            metavar="JSON",
            help="device (auto, cpu, cuda, cuda:N), precision",
        )
        parser.add_argument(
            "--threads", type=int, default=0, help="processor threads, 0: all (default)"
        )
    return parser


def _describe(model: str) -> str:
    """Keys, defaults and units of an options model."""
    module, _, name = model.partition(":")
    fields: type[BaseModel] = getattr(importlib.import_module(module), name)
    lines = ["keys of --options (default): meaning"]
    for key, field in fields.model_fields.items():
        default = (
            "required"
            if field.is_required()
            else repr(field.get_default(call_default_factory=True))
        )
        lines.append(f"  {key} ({default}): {field.description or ''}")
    return "\n".join(lines)


def _data_verbs(verbs) -> None:  # type: ignore[no-untyped-def]
    verb = _verb(verbs, "doctor", commands.doctor, "mcn.media.options:DecodeOptions")
    verb.add_argument("manifest", type=Path, help="CSV or parquet: video_id,path[,narration,...]")
    verb.add_argument("--video", action="append", help="only this video_id (repeatable)")

    verb = _verb(verbs, "demo", commands.demo, "mcn.demo.options:DemoOptions")
    verb.add_argument("directory", type=Path, help="folder to render into")
    verb.add_argument("--workers", type=int, default=0, help="processes, 0: one a core (default)")

    prepare = verbs.add_parser(
        "prepare", help="Check manifests and annotations; write them as tables."
    )
    kinds = prepare.add_subparsers(dest="kind", required=True, metavar="KIND")
    verb = _verb(kinds, "videos", commands.prepare_videos, "mcn.config:DatasetOptions")
    verb.add_argument("manifest", type=Path)
    verb.add_argument("--videos", type=Path, required=True)
    verb.add_argument("--narration", type=Path, required=True)
    verb = _verb(kinds, "captions", commands.prepare_captions)
    verb.add_argument(
        "annotations", type=Path, help="CSV clip_id,video_id,start_seconds,end_seconds,caption"
    )
    verb.add_argument("--videos", type=Path, required=True)
    verb.add_argument("--output", type=Path, required=True)
    verb = _verb(kinds, "steps", commands.prepare_steps)
    verb.add_argument("task_list", type=Path, help="CSV task,step,text")
    verb.add_argument(
        "annotations", type=Path, help="CSV video_id,task,step,start_seconds,end_seconds"
    )
    verb.add_argument("--videos", type=Path, required=True)
    verb.add_argument("--tasks", type=Path, required=True)
    verb.add_argument("--steps", type=Path, required=True)

    verb = _verb(verbs, "partition", commands.partition)
    verb.add_argument("videos", type=Path)
    verb.add_argument("narration", type=Path)
    verb.add_argument("--shards", type=int, required=True, help="number of shards")
    verb.add_argument("--directory", type=Path, required=True, help="results/{dataset}")

    decode = verbs.add_parser("decode", help="Decode the videos of a shard list.")
    kinds = decode.add_subparsers(dest="kind", required=True, metavar="KIND")
    verb = _verb(kinds, "frames", commands.decode_frames, "mcn.media.options:DecodeOptions")
    verb.add_argument("shard", type=Path)
    verb.add_argument("--frames-1fps", type=Path, required=True)
    verb.add_argument("--frames-24fps", type=Path, required=True)
    verb = _verb(kinds, "audio", commands.decode_audio, "mcn.media.options:DecodeOptions")
    verb.add_argument("shard", type=Path)
    verb.add_argument("--output", type=Path, required=True)


def _feature_verbs(verbs) -> None:  # type: ignore[no-untyped-def]
    verb = _verb(verbs, "seed-weights", commands.seed_weights)
    verb.add_argument("network", choices=("resnet152", "resnext101", "davenet"))
    verb.add_argument("shards", type=Path, nargs="+", help="decoded (davenet: logmel) shards")
    verb.add_argument("--output", type=Path, required=True, help=".safetensors")
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--threads", type=int, default=0, help="processor threads, 0: all (default)")

    verb = _verb(verbs, "vocabulary", commands.vocabulary, "mcn.features.options:TextOptions")
    verb.add_argument("tables", type=Path, nargs="+", help="narration, captions or tasks tables")
    verb.add_argument("--vectors", type=Path, required=True, help="word vectors")
    verb.add_argument("--output", type=Path, required=True)

    extract = verbs.add_parser("extract", help="Compute one feature of a shard.")
    kinds = extract.add_subparsers(dest="kind", required=True, metavar="FEATURE")
    for name, run, model in (
        ("resnet152", commands.extract_resnet152, "AppearanceOptions"),
        ("resnext101", commands.extract_resnext101, "MotionOptions"),
        ("davenet", commands.extract_davenet, "DavenetOptions"),
    ):
        verb = _verb(kinds, name, run, f"mcn.features.options:{model}", runtime=True)
        verb.add_argument("shard", type=Path)
        verb.add_argument("output", type=Path)
        verb.add_argument("--weights", default="", help="file, where options.weights is `seeded`")
    verb = _verb(kinds, "logmel", commands.extract_logmel, "mcn.features.options:LogMelOptions")
    verb.add_argument("shard", type=Path)
    verb.add_argument("output", type=Path)
    verb = _verb(kinds, "word2vec", commands.extract_word2vec, "mcn.features.options:TextOptions")
    verb.add_argument("shard", type=Path)
    verb.add_argument("output", type=Path)
    verb.add_argument("--narration", type=Path, required=True)
    verb.add_argument("--vocabulary", type=Path, required=True)


def _model_verbs(verbs) -> None:  # type: ignore[no-untyped-def]
    verb = _verb(verbs, "train", commands.train, "mcn.config:Experiment", runtime=True)
    verb.add_argument("results", type=Path, help="folder that holds the data sets")
    verb.add_argument("--output", type=Path, required=True, help="folder of the model")
    verb.add_argument("--checkpoints", type=Path, required=True, help="folder to resume from")
    verb.add_argument("--shards", type=int, required=True, help="shards of the training set")
    verb.add_argument(
        "--early-shards", type=int, default=0, help="shards of the early evaluation set"
    )

    evaluate = verbs.add_parser(
        "evaluate", help="Zero-shot scores of a model on an annotated data set."
    )
    kinds = evaluate.add_subparsers(dest="kind", required=True, metavar="TASK")
    for name, run in (
        ("retrieval", commands.evaluate_retrieval),
        ("localization", commands.evaluate_localization),
    ):
        verb = _verb(kinds, name, run, "mcn.config:DatasetOptions", runtime=True)
        verb.add_argument("model", type=Path, help="folder of the model")
        verb.add_argument("dataset", type=Path, help="results/{dataset}")
        verb.add_argument("--output", type=Path, required=True, help=".json")

    verb = _verb(verbs, "search", commands.search, "mcn.evaluation.options:RetrievalOptions")
    verb.add_argument("model", type=Path, help="folder of the model")
    verb.add_argument("dataset", type=Path, help="results/{dataset}")
    verb.add_argument("query", help="what to look for, in words")
    verb.add_argument("--vectors", required=True, help="word vectors that the model was trained on")
    verb.add_argument("--case", choices=("as_is", "lower"), default="as_is", help="see TextOptions")
    verb.add_argument("--window", type=float, default=4.0, help="length of a moment, seconds (4)")
    verb.add_argument("--limit", type=int, default=10, help="how many moments to list (10)")


def _account_verbs(verbs) -> None:  # type: ignore[no-untyped-def]
    verb = _verb(verbs, "ledger", commands.ledger)
    verb.add_argument("dataset", type=Path, help="results/{dataset}")
    verb.add_argument("--shards", type=int, required=True)
    verb.add_argument("--manifest", type=Path, help="named in the commands of quarantine.csv")

    verb = _verb(verbs, "report", commands.report, "mcn.config:Configuration")
    verb.add_argument("results", type=Path)
    verb.add_argument("--output", type=Path, required=True)

    verb = _verb(verbs, "verify", commands.verify, "mcn.config:Configuration")
    verb.add_argument("results", type=Path)


if __name__ == "__main__":
    sys.exit(main())
