"""Verbs that account for a run: ledger, retry, report, verify, and for one to come: estimate."""

from __future__ import annotations

import shlex
from argparse import Namespace
from pathlib import Path

from mcn.commands.verbs import Verbs, add_path, add_verb, downloads_of
from mcn.errors import UserError


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    verb = add_verb(verbs, "ledger", ledger)
    add_path(verb, "dataset", "results/{dataset}")
    verb.add_argument("--shards", type=int, required=True, help="number of shards")
    verb.add_argument("--features", nargs="+", required=True, help="the streams, in their order")
    verb.add_argument("--manifest", type=Path, help="named in the commands of quarantine.csv")
    verb.add_argument(
        "--speech", action="store_true", help="speech was transcribed: account for it"
    )

    verb = add_verb(verbs, "retry", retry, "mcn.config.configuration:Configuration")
    add_path(verb, "results", "folder of a run")
    verb.add_argument("--threads", type=int, default=0, help="processor threads, 0: all (default)")

    verb = add_verb(verbs, "report", report, "mcn.config.configuration:Configuration")
    add_path(verb, "results", "folder of a run")
    add_path(verb, "--output", "page (.html)")

    verb = add_verb(verbs, "leaks", leaks, "mcn.config.configuration:Configuration")
    add_path(verb, "results", "folder of a run")
    verb.add_argument("dataset", help="the training set")
    add_path(verb, "--output", ".csv")

    verb = add_verb(verbs, "estimate", estimate, downloads=True)
    add_path(verb, "manifest", "CSV or parquet: video_id,path[,narration,...]")
    verb.add_argument(
        "--benchmarks",
        type=Path,
        default=Path("results/benchmarks/stages.csv"),
        help="table that benchmarks/stages.py writes (default: %(default)s)",
    )
    verb.add_argument("--sample", type=int, default=100, help="videos to probe (default: 100)")
    verb.add_argument("--seed", type=int, default=0, help="of the sample (default: 0)")

    verb = add_verb(verbs, "accept", accept)
    verb.add_argument("stages", nargs="+", help="stages that the start of a run named")
    verb.add_argument("--results", type=Path, default=Path("results"), help="folder of the run")

    verb = add_verb(verbs, "verify", verify, "mcn.config.configuration:Configuration")
    add_path(verb, "results", "folder of a run")
    words = "also read every video, and compare it with what was decoded"
    verb.add_argument("--content", action="store_true", help=words)


def ledger(arguments: Namespace) -> None:
    """Account for every video of a data set, stream by stream; exit status 1 if the sums do not add up."""
    from mcn.layout import Dataset
    from mcn.upkeep.ledger import make_ledger

    dataset = Dataset(arguments.dataset, arguments.shards)
    shards = dataset.all_features(arguments.features)
    if arguments.speech:
        shards["speech"] = dataset.paths("speech_account")
    make_ledger(
        dataset.table("videos"),
        shards,
        dataset.table("ledger"),
        manifest=arguments.manifest,
    )


def retry(arguments: Namespace) -> None:
    """Try the failed rows of every quarantine.csv again, merge what has changed, and say what to run next."""
    from mcn.config.configuration import Configuration
    from mcn.options.base import parse_options
    from mcn.upkeep.retry import retry

    settings: Configuration = parse_options(Configuration, arguments.options)
    outcome = retry(arguments.results, settings, arguments.threads)
    print(f"{outcome.tried} rows tried again, {outcome.mended} of them ok now")
    if outcome.tried:
        print("now run snakemake again: ledger, models and scores follow")


def report(arguments: Namespace) -> None:
    """Write the offline HTML report of a run."""
    from mcn.config.configuration import Configuration
    from mcn.layout import Dataset
    from mcn.media.remote import Downloads
    from mcn.options.base import parse_options
    from mcn.report.collect import ReportInputs
    from mcn.report.measured import read_results
    from mcn.report.published import TABLES
    from mcn.report.render import make_report
    from mcn.report.tables import build_page

    settings: Configuration = parse_options(Configuration, arguments.options)
    results: Path = arguments.results
    datasets = {
        name: Dataset(results / name, options.shards) for name, options in settings.datasets.items()
    }
    measured = [
        one
        for one in read_results(results, list(settings.experiments))
        if one.dataset in settings.datasets
    ]
    synthetic = [name for name, options in settings.datasets.items() if options.synthetic]
    labels = settings.labels()
    make_report(
        ReportInputs(
            title=settings.title,
            synthetic=SYNTHETIC.format(", ".join(synthetic)) if synthetic else "",
            ledgers={name: dataset.table("ledger") for name, dataset in datasets.items()},
            videos={name: dataset.table("videos") for name, dataset in datasets.items()},
            evaluations=[
                results / "evaluation" / experiment / f"{name}.{task}.json"
                for experiment, name, task in settings.evaluations()
            ],
            models={name: results / "models" / name for name in settings.experiments},
            features={
                name: dataset.all_features(settings.features_of(name))
                for name, dataset in datasets.items()
            },
            provenance={"configuration": settings.model_dump(mode="json")},
            published=[
                build_page(name, measured, settings.benchmarks(), labels=labels) for name in TABLES
            ],
            leaks={name: results / name / "leaks.csv" for name in settings.training_sets()},
            downloads=Downloads(settings.downloads),
        ),
        arguments.output,
    )


def leaks(arguments: Namespace) -> None:
    """Find the videos of a training set that stand in the scored sets too, by id and by content."""
    from mcn.config.configuration import Configuration
    from mcn.layout import Dataset
    from mcn.options.base import parse_options
    from mcn.sources.leaks import find_leaks, write_leaks

    settings: Configuration = parse_options(Configuration, arguments.options)
    sets = {
        name: Dataset(arguments.results / name, one.shards)
        for name, one in settings.datasets.items()
    }
    scored = [sets[name] for name in settings.scored_sets()]
    of_clips = [
        name
        for name, one in settings.datasets.items()
        if one.retrieval.full_video_by == "youtube_id"
    ]
    write_leaks(arguments.output, find_leaks(sets[arguments.dataset], scored, of_clips))


def estimate(arguments: Namespace) -> None:
    """Probe a sample of a manifest's videos and predict hours, GB and GPU-hours of every stage."""
    from mcn.sources.manifest import read_manifest
    from mcn.upkeep.costs import read_costs
    from mcn.upkeep.estimate import estimate, format_estimate, probe_sample

    costs = read_costs(arguments.benchmarks)
    rows = read_manifest(arguments.manifest, check_files=False)
    sample = probe_sample(rows, arguments.sample, arguments.seed, downloads_of(arguments))
    print(format_estimate(sample, estimate(sample, costs)))


SYNTHETIC = (
    "The videos of {} are rendered and the networks' weights are drawn from a seed: "
    "these scores say nothing about the paper's."
)


def accept(arguments: Namespace) -> None:
    """Take the shards of some stages for what the edited code would make; nothing is remade for the edit then."""
    from mcn.config.configuration import Configuration
    from mcn.options.base import parse_options
    from mcn.upkeep.code_changes import accept_changes

    file = arguments.results / "settings.json"
    if not file.is_file():
        raise UserError(f"no {file}", "a run that was started", "snakemake --cores N")
    settings = parse_options(Configuration, f"@{file}")
    accepted = accept_changes(arguments.results, settings, arguments.stages, Path.cwd())
    for stage, shards in accepted.items():
        print(f"{stage}: {shards} file(s) accepted")


def verify(arguments: Namespace) -> int:
    """Read every shard of a run with its checksums and compare inventories; 1 and a list if anything is wrong."""
    from mcn.config.configuration import Configuration
    from mcn.layout import Dataset
    from mcn.media.remote import Downloads
    from mcn.options.base import parse_options
    from mcn.upkeep.verify import cure, verify, verify_content

    settings: Configuration = parse_options(Configuration, arguments.options)
    datasets = [
        Dataset(arguments.results / name, options.shards)
        for name, options in settings.datasets.items()
    ]
    problems = verify(datasets, settings)
    downloads = Downloads(settings.downloads)
    changed = verify_content(datasets, downloads) if arguments.content else []
    for problem in [*problems, *(f"{place}: {why}" for place, why in changed)]:
        print(problem)
    if problems:
        print(f"do this: {cure(problems)}")
    if changed:
        files = shlex.join(str(place) for place, _ in changed if isinstance(place, Path))
        touch = f"touch -c {files}\n" if files else ""
        print(f"do this: {touch}snakemake --cores N  # decodes their shards again")
    if not problems and not changed:
        print("every shard is intact")
    return int(bool(problems or changed))
