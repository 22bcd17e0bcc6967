"""Verbs of studies: `mcn study` for people, and the verbs of its jobs: trial, plan, conclude."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mcn.commands.verbs import Verbs, add_group, add_path, add_verb


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    verb = add_verb(verbs, "study", study)
    verb.add_argument("config", type=Path, nargs="+", help="configuration, and overlays of it")
    verb.add_argument("--cores", type=int, default=1, help="processor cores (1)")
    verb.add_argument("--profile", help="profile of Snakemake, such as profiles/slurm")
    verb.add_argument(
        "--plan-only", action="store_true", help="stop when the plan is written, to commit it"
    )
    verb.add_argument(
        "--planned",
        type=Path,
        metavar="FILE",
        help="the committed plan (default: the one that is made first, results/study/plan.yaml)",
    )

    kinds = add_group(verbs, "study-job", "One job of a study; the workflow's rules call these.")
    verb = add_verb(kinds, "trial", trial, "mcn.options.sections:Experiment", runtime=True)
    add_path(verb, "results", "folder that holds the data sets")
    verb.add_argument("--trial", required=True, help="JSON: what it differs in, and its scoring")
    add_path(verb, "--output", "folder of the trial")
    add_path(verb, "--checkpoints", "folder to resume from")
    verb = add_verb(kinds, "plan", plan, "mcn.options.study:StudyOptions")
    add_path(verb, "results", "folder of a run")
    verb.add_argument("--objectives", nargs="+", required=True, help="what is compared")
    verb.add_argument("--digest", required=True, help="of the settings that the plan is for")
    add_path(verb, "--output", "plan to write (.yaml)")
    verb = add_verb(kinds, "conclude", conclude, "mcn.config.configuration:Configuration")
    add_path(verb, "results", "folder of a run")
    add_path(verb, "--output", "page (.html); tables are written beside")


def study(arguments: Namespace) -> int:
    """Compare objectives: plan, check the power, train every trial, test; goes on where it was interrupted."""
    from mcn.study.run import run_study

    return run_study(
        arguments.config,
        arguments.cores,
        arguments.profile,
        arguments.plan_only,
        arguments.planned,
    )


def trial(arguments: Namespace) -> None:
    """Train one trial of a study and score it video by video."""
    from mcn.options.base import parse_options
    from mcn.options.features import RuntimeOptions
    from mcn.options.sections import Experiment
    from mcn.options.study import TrialOptions
    from mcn.study.trial import run_trial

    run_trial(
        parse_options(Experiment, arguments.options),
        parse_options(TrialOptions, arguments.trial),
        parse_options(RuntimeOptions, arguments.runtime),
        arguments.threads,
        arguments.results,
        arguments.output,
        arguments.checkpoints,
    )


def plan(arguments: Namespace) -> None:
    """Choose the schedule of every objective on the validation draw, and estimate the power of the tests."""
    from mcn.options.base import parse_options
    from mcn.options.study import StudyOptions
    from mcn.study.plan import plan

    study = parse_options(StudyOptions, arguments.options)
    told = arguments.objectives, arguments.digest
    plan(study, *told, arguments.results, arguments.output)


def conclude(arguments: Namespace) -> None:
    """Test every difference to the baseline; write the page and the tables of a study."""
    from mcn.config.configuration import Configuration
    from mcn.options.base import parse_options
    from mcn.study.stage import conclude

    settings = parse_options(Configuration, arguments.options)
    conclude(settings, arguments.results, arguments.output)
