"""Verbs that start a project in a folder of one's own: workflow, init."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mcn.commands.verbs import Verbs, add_verb


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    verb = add_verb(verbs, "workflow", workflow)
    words = "an overlay or profile (howto100m, slurm, ...); default: the Snakefile"
    verb.add_argument("name", nargs="?", default="", help=words)
    verb = add_verb(verbs, "init", init)
    verb.add_argument("folder", nargs="?", type=Path, default=Path(), help="default: here")


def workflow(arguments: Namespace) -> None:
    """Print where the Snakefile lies, for `snakemake -s "$(mcn workflow)"`, or one of its overlays and profiles."""
    from mcn.config.workflow import workflow_file

    print(workflow_file(arguments.name))


def init(arguments: Namespace) -> None:
    """Write a commented config.yaml and a cluster profile into a folder, to be edited."""
    from mcn.config.workflow import write_project

    for path in write_project(arguments.folder):
        print(path)
    print('edit config.yaml, then: snakemake -s "$(mcn workflow)" --cores 2')
