"""The project's own files agree with each other."""

import ast
import re
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
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


def test_the_versions_with_hashes_are_those_of_the_constraints():
    """A pin without a hash, of another version, or of a package that the demo has no use for any more."""
    text = (ROOT / "requirements-hashed.txt").read_text()
    found = pins(line.rstrip("\\ ") for line in text.splitlines())
    assert {name: found[name] for name in found if name in CONSTRAINTS} == {
        name: version for name, version in CONSTRAINTS.items() if name in found
    }
    hashes = re.split(r"^\S+==.*$", text, flags=re.M)[1:]
    assert len(hashes) == len(found)
    assert all("--hash=sha256:" in lines for lines in hashes)
    extras = PROJECT["optional-dependencies"]
    named = [*PROJECT["dependencies"], *extras["demo"]]
    named += [one for name in ("embedded", "serve", "speech") for one in extras[name]]
    assert {name_of(one) for one in named} - {"mcn"} <= set(found)


def test_the_conda_environment_has_the_same_pins():
    environment = yaml.safe_load((ROOT / "envs/mcn.yaml").read_text())
    found = pins(environment["dependencies"][-1]["pip"])
    extras = PROJECT["optional-dependencies"]
    named = [*PROJECT["dependencies"], *extras["demo"]]
    named += [r for name in ("embedded", "serve", "speech") for r in extras[name]]
    wanted = {name_of(r) for r in named}
    wanted -= {"mcn"}
    assert found == {name: CONSTRAINTS[name] for name in wanted}


def test_containers_install_the_pins_on_one_debian():
    environment = yaml.safe_load((ROOT / "envs/mcn.yaml").read_text())
    assert PROJECT["requires-python"] == f">={environment['dependencies'][0].split('=')[1]}"
    image = "debian:trixie-slim"
    assert f'container: "docker://{image}"' in (ROOT / "Snakefile").read_text()
    steps = (
        "apt-get install --yes --no-install-recommends ca-certificates python3-venv",
        "python3 -m venv /opt/mcn",
        'pip install --no-cache-dir --constraint constraints.txt ".[cloud,demo,slurm]"',
    )
    for name, start in (("Dockerfile", "FROM"), ("mcn.def", "From:")):
        text = (ROOT / "containers" / name).read_text()
        assert f"{start} docker.io/library/{image}\n" in text
        assert all(step in text for step in steps)
        assert "==" not in text, "versions stand in constraints.txt alone"


def test_every_pin_is_exact_and_stands_once():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+==[^=\s]+", line) for line in listed)
    assert len(CONSTRAINTS) == len(listed)


def test_every_documented_error_code_exists():
    from mcn.errors import ERROR_CODES

    table = (ROOT / "docs/files.md").read_text().split("## Error codes")[1]
    found = {row.split("|")[1].strip() for row in table.strip().splitlines()[2:]}
    assert found == set(ERROR_CODES)


def test_every_cell_of_the_fault_matrix_names_a_test_that_exists():
    text = (ROOT / "docs/faults.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for row in rows:
        if not row.startswith(("| fault |", "|---")):
            assert re.search(r"`test_\w+\.py::test_\w+`", row), row
    for file, name in re.findall(r"`(test_\w+\.py)::(test_\w+)`", text):
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(), f"{file}::{name}"


def test_the_fault_matrix_says_which_tests_are_left_out_of_the_short_run():
    text = (ROOT / "docs/faults.md").read_text()
    for file, name, said in re.findall(r"`(test_\w+\.py)::(test_\w+)`(?: \((slow|slurm)\))?", text):
        source = (ROOT / "tests" / file).read_text()
        whole = re.search(r"^pytestmark = (?:.*\[\n(?: .*\n)*\]|.*)", source, re.MULTILINE)
        decorators = re.search(
            rf"((?:^@.*\n(?:[ )].*\n)*)*)^(?:async )?def {name}\(", source, re.MULTILINE
        )
        marks = (whole[0] if whole else "") + re.sub(r"marks=[^)]*", "", decorators[1])
        marked = re.findall(r"pytest\.mark\.(slow|slurm)\b", marks)
        assert (said in marked) if said else not marked, (
            f"{file}::{name} is marked {marked}, said {said!r}"
        )


def test_no_path_of_a_machine_is_named():
    tracked = [
        p for folder in ("mcn", "workflow", "docs", "config") for p in (ROOT / folder).rglob("*")
    ]
    for path in tracked:
        if path.suffix in (".py", ".smk", ".md", ".yaml", ".rst"):
            assert not re.search(r"/(work|root|home)/", path.read_text()), path


def test_the_habits_agree_with_the_scripts():
    version = re.search(r'__version__ = "(.+)"', (ROOT / "mcn/__init__.py").read_text())[1]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (version, PROJECT["license"])
    for profile in (ROOT / "profiles").glob("*/profile.yaml"):
        image = yaml.safe_load(profile.read_text()).get("container-image", f":{version}")
        assert image.endswith(f":{version}"), profile
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()

    hosted = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert {"run": ".ci/run"} in hosted["jobs"]["check"]["steps"]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    checks = (ROOT / ".ci/run").read_text()
    for hook in hooks:
        tool = hook["entry"].split()[0]
        assert re.search(rf"^{tool}\b", checks, re.MULTILINE), f"{tool} is not run by .ci/run"


def test_every_link_of_the_pages_leads_to_a_file():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    pages += [ROOT / "results/README.md", ROOT / "config/README.md"]
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_page_of_the_architecture_names_every_room_and_files_that_exist():
    text = (ROOT / "docs/architecture.md").read_text()
    rooms = {f"mcn/{path.parent.name}/" for path in ROOT.glob("mcn/*/__init__.py")}
    ground = {f"mcn/{path.name}" for path in ROOT.glob("mcn/*.py")}
    named = set(re.findall(r"`(mcn/[\w/.]*)`", text))
    assert rooms | ground <= named
    assert all((ROOT / path).exists() for path in named)
    table = text.split("## Rooms")[1].split("## ")[0]
    assert rooms <= set(re.findall(r"`(mcn/\w+/)`", table)), "one sentence for every room"
    drawing = text.split("## Which room imports which")[1].split("## ")[0]
    assert {room.split("/")[1] for room in rooms} <= set(re.findall(r"\b[a-z]+\b", drawing))


def test_every_rule_asks_for_more_with_every_attempt():
    """A job that runs out of memory or time would otherwise do so for ever."""
    asked = [
        (path.name, line.strip())
        for path in (ROOT / "workflow/rules").glob("*.smk")
        for line in path.read_text().splitlines()
        if re.match(r" +(mem_mb|runtime)=", line)
    ]
    assert len(asked) > 30
    assert [line for line in asked if "=growing(" not in line[1]] == []
    profile = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text())
    assert profile["retries"] > 0
    defaults = profile["default-resources"]
    assert all("attempt" in str(defaults[name]) for name in ("mem_mb", "runtime"))


def imported(module: Path) -> Iterator[str]:
    """The modules of the package that a module imports, also inside its functions."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mcn."):
            yield from (f"{node.module}.{one.name}" for one in node.names)
        elif isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.startswith("mcn."))


def test_no_room_imports_one_that_imports_it():
    """A room is a folder of mcn/ with what lies below it; the door and the ground, which lie flat, are none."""
    package = ROOT / "mcn"
    rooms = {one.name: one for one in package.iterdir() if (one / "__init__.py").exists()}
    below = {
        name: {
            part
            for m in folder.rglob("*.py")
            for part in [one.split(".")[1] for one in imported(m)]
        }
        & rooms.keys() - {name}
        for name, folder in rooms.items()
    }
    assert len(list(TopologicalSorter(below).static_order())) == len(rooms)
