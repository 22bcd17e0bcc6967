"""Every command that the README and docs/ show is run, in an environment that holds only what its page installs.

`TABLE` says how each is run: for real in the finished small project, as a dry run over small official files where
weights or videos cannot be had, with `--help` where its arguments are placeholders, or not at all, with the reason. A
command that is not in the table fails the test, and so does a row whose command no page shows any more.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mcn.cli import build_parser
from tests import media_files
from tests.documented import commands
from tests.documented_table import TABLE, NotRun, Run
from tests.environment import environment
from tests.official_files import MAKERS, video, write
from tests.small_run import CONFIG, SmallRun, _merged

ROOT = Path(__file__).parent.parent
SHOWN = commands()
# The extras that a page's readers have: scripts/demo.sh installs `demo`, other extras are named by the page.
EXTRAS = {"cluster.md": ("demo", "slurm"), "CONTRIBUTING.md": ("dev",)}


class Project:
    """A folder that looks like the project's own to a command, with small files of its own beside the true ones."""

    def __init__(self, folder: Path, variables: Path) -> None:
        self.folder = folder
        self.variables = variables

    def link(self, *names: str) -> None:
        """Let the project's own files and folders of these names appear in the folder."""
        for name in names:
            (self.folder / name).symlink_to(ROOT / name)

    def run(self, command: str, extras: tuple[str, ...]) -> str:
        """The output of a command line; AssertionError where its exit status is not 0."""
        variables = environment(self.variables / "-".join(extras), extras)
        if (self.variables / "profile.yaml").exists():
            variables["SNAKEMAKE_PROFILE"] = str(self.variables)
        made = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env={**variables, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        output = made.stdout + made.stderr
        assert made.returncode == 0, f"{command}\n{output[-4000:]}"
        return output


@pytest.fixture(scope="module")
def finished(undisturbed: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the finished small run in which commands find what they find in the project's own folder."""
    folder = tmp_path_factory.mktemp("finished")
    undisturbed.copy_to(folder)
    whole = _merged(yaml.safe_load((folder / "config.yaml").read_text()), CONFIG)
    (folder / "config.yaml").write_text(yaml.safe_dump(whole))
    project = Project(folder, tmp_path_factory.mktemp("variables"))
    project.link("mcn", "benchmarks", "tests", "profiles", "pyproject.toml")
    write(project.variables / "profile.yaml", f"snakefile: {ROOT / 'Snakefile'}\n")
    return project


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project's own configuration over small official files, weights that nobody opens, and one video."""
    project = Project(tmp_path_factory.mktemp("planned"), tmp_path_factory.mktemp("variables"))
    project.link("Snakefile", "workflow", "mcn", "benchmarks", "profiles", "config.yaml")
    shutil.copytree(ROOT / "config", project.folder / "config")
    for overlay in (project.folder / "config").glob("*.yaml"):  # many shards take long to plan
        overlay.write_text(re.sub(r"\bshards: \d+", "shards: 2", overlay.read_text()))
    for kind, make in MAKERS.items():
        make(project.folder / "data" / kind)
    for name in ("resnext101.pth", "GoogleNews-vectors-negative300.bin.gz", "mcn.pth"):
        write(project.folder / "weights" / name, "weights")
    video(project.folder / "data/ucf101", "ApplyEyeMakeup/one.avi")
    write(project.folder / "my/manifest.csv", "video_id,path\nsoup,soup.mp4\n")
    shutil.copy(media_files.make("plain.mp4"), project.folder / "my/soup.mp4")
    return project


def test_every_command_is_in_the_table_and_every_row_on_a_page():
    shown = {command for _, command in SHOWN}
    assert not shown - set(TABLE), "say in TABLE how these are run"
    assert not set(TABLE) - shown, "no page shows these any more"


def parsers(
    parser: argparse.ArgumentParser, name: str = "mcn"
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The parsers of every verb and of every kind of a verb, with the words that call them."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, child in action.choices.items():
                yield from parsers(child, f"{name} {word}")


def test_every_verb_has_help_that_says_what_it_does():
    for name, parser in parsers(build_parser()):
        assert parser.description, name
        assert parser.format_help()
        for action in parser._actions:
            named = "/".join(action.option_strings) or action.dest
            assert action.help or action.choices, f"{name} {named} has no help"


def shown(place: str) -> list[object]:
    """The commands that are run in this place. Those of docs/, a process of Snakemake each, belong to the long run."""
    found: list[object] = []
    for page, command in SHOWN:
        how = TABLE.get(command)
        if isinstance(how, Run) and how.place == place:
            marks = [pytest.mark.workflow, pytest.mark.slow]
            found.append(pytest.param(page, command, id=f"{page} {command}", marks=marks))
    return found


def check(project: Project, page: str, command: str) -> None:
    """Run the command as the table says, and look for what it must say and make."""
    how = TABLE[command]
    assert isinstance(how, Run)
    line = command
    for old, new in how.replace:
        assert old in line
        line = line.replace(old, new)
    output = project.run(f"{line} {how.add}", EXTRAS.get(page, ("demo",)) + how.extras)
    assert how.says in output, output[-4000:]
    assert not how.makes or (project.folder / how.makes).stat().st_size


@pytest.mark.parametrize(("page", "command"), shown("finished"))
def test_the_command_works_after_a_run(page: str, command: str, finished: Project):
    check(finished, page, command)


@pytest.mark.parametrize(("page", "command"), shown("planned"))
def test_the_command_works_over_official_files(page: str, command: str, planned: Project):
    check(planned, page, command)


def test_what_is_not_run_has_a_reason_and_names_files_that_exist():
    for command, how in TABLE.items():
        if isinstance(how, NotRun):
            assert how.reason
            for word in f"{command} {how.reason}".split():
                if word.startswith("tests/"):
                    assert (ROOT / word).exists(), word
