"""Where the files of the workflow lie: beside the package in a checkout, in `mcn/workflow` where a wheel was installed.

Nothing is ever written there. `config.yaml` of the working directory is the configuration of a run; where there is
none, that of the workflow, which is the demo, takes its place (Snakefile).
"""

from __future__ import annotations

from pathlib import Path

from mcn.errors import UserError
from mcn.options.base import nearest


def workflow_folder() -> Path:
    """The folder of Snakefile, config.yaml, config/, profiles/ and workflow/; `UserError` where there is none."""
    package = Path(__file__).parent.parent
    for folder in (package / "workflow", package.parent):
        if (folder / "Snakefile").is_file():
            return folder
    got = f"no Snakefile in {package / 'workflow'} or {package.parent}"
    raise UserError(got, "the workflow beside the package", "install mcn again")


def workflow_file(name: str) -> Path:
    """A file of the workflow by its short name: an overlay (`howto100m`), a profile (`slurm`), or the Snakefile (``).

    Errors: `UserError` for a name that neither has.
    """
    folder = workflow_folder()
    if not name:
        return folder / "Snakefile"
    named = {path.stem: path for path in sorted((folder / "config").glob("*.yaml"))}
    named |= {path.name: path for path in sorted((folder / "profiles").iterdir())}
    if name not in named:
        got = f"{name!r}{nearest(name, named)}"
        raise UserError(got, f"one of {', '.join(sorted(named))}", "correct the name")
    return named[name]


def configuration_file() -> str:
    """The configuration of a run that names none: that of the working directory, or the demo's."""
    own = Path("config.yaml")
    return str(own if own.exists() else workflow_folder() / own)


def write_project(folder: Path) -> list[Path]:
    """Start a project of one's own: a commented configuration and a cluster profile to edit; the files written.

    Errors: `UserError` for a file that is there already; nothing is written then.
    """
    profile = "profiles/slurm/profile.yaml"
    made = {
        folder / "config.yaml": workflow_folder() / "config" / "project.yaml",
        folder / profile: workflow_folder() / profile,
    }
    for path in made:
        if path.exists():
            cure = "choose another folder, or move that file away"
            raise UserError(f"{path} is there already", "a folder without it", cure)
    for path, source in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes())
    return list(made)
