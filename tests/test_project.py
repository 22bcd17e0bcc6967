"""The project's own files agree with each other."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def name_of(requirement: str) -> str:
    """Normalised name of a requirement: Jinja2==3.1 -> jinja2."""
    return re.match(r"[A-Za-z0-9_.\-]+", requirement)[0].lower().replace("_", "-")


def pins(lines):
    return {name_of(line): line.split("==")[1].strip() for line in lines if "==" in line}


CONSTRAINTS = pins((ROOT / "constraints.txt").read_text().splitlines())


def test_every_requirement_is_pinned():
    extras = [r for group in PROJECT["optional-dependencies"].values() for r in group]
    wanted = {name_of(r) for r in PROJECT["dependencies"] + extras} - {"mcn"}
    assert wanted <= set(CONSTRAINTS)


def test_the_conda_environment_has_the_same_pins():
    environment = yaml.safe_load((ROOT / "envs/mcn.yaml").read_text())
    found = pins(environment["dependencies"][-1]["pip"])
    wanted = {
        name_of(r) for r in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["demo"]
    }
    assert found == {name: CONSTRAINTS[name] for name in wanted}


def test_every_documented_error_code_exists():
    from mcn.errors import ERROR_CODES

    table = (ROOT / "docs/files.md").read_text().split("## Error codes")[1]
    found = {row.split("|")[1].strip() for row in table.strip().splitlines()[2:]}
    assert found == set(ERROR_CODES)


def test_no_path_of_a_machine_is_named():
    tracked = [
        p for folder in ("mcn", "workflow", "docs", "config") for p in (ROOT / folder).rglob("*")
    ]
    for path in tracked:
        if path.suffix in (".py", ".smk", ".md", ".yaml", ".rst"):
            assert not re.search(r"/(work|root|home)/", path.read_text()), path
