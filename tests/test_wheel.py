"""The wheel alone, installed into an environment of its own: it has the workflow in it and runs from any folder.

It is built from the sdist, so that has all of it too; an index of packages would take both.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from mcn.config.workflow import configuration_file, workflow_file, write_project
from mcn.errors import UserError

ROOT = Path(__file__).parent.parent


def test_overlays_and_profiles_are_found_by_name():
    assert workflow_file("") == ROOT / "Snakefile"
    assert workflow_file("howto100m") == ROOT / "config/howto100m.yaml"
    assert workflow_file("slurm") == ROOT / "profiles/slurm"
    with pytest.raises(UserError, match="did you mean 'howto100m'"):
        workflow_file("howto")


def test_a_folder_without_a_configuration_runs_the_demo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert configuration_file() == str(ROOT / "config.yaml")
    (tmp_path / "config.yaml").write_text("title: mine\n")
    assert configuration_file() == "config.yaml"


def test_a_project_is_started_once(tmp_path):
    made = write_project(tmp_path / "new")
    assert [path.name for path in made] == ["config.yaml", "profile.yaml"]
    with pytest.raises(UserError, match="there already"):
        write_project(tmp_path / "new")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    shutil.copytree(
        ROOT, source, ignore=shutil.ignore_patterns(".*", "results", "build", "*.egg-info")
    )
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source]
    subprocess.run(build, check=True)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the wheel; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    venv.create(folder / "environment", symlinks=True)
    packages = next((folder / "environment/lib").glob("*/site-packages"))
    (wheel,) = built.glob("mcn-*.whl")
    shutil.unpack_archive(wheel, packages, "zip")
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    scripts = folder / "environment/bin"
    for name, module in (("mcn", "mcn"), ("snakemake", "snakemake")):
        (scripts / name).write_text(f'#!/bin/sh\nexec {scripts}/python -m {module} "$@"\n')
        (scripts / name).chmod(0o755)
    return scripts


@pytest.mark.slow
def test_an_index_of_packages_would_take_both(built: Path) -> None:
    files = sorted(built.glob("mcn-*.*"))
    assert [path.suffix for path in files] == [".whl", ".gz"]
    for check in (["twine", "check", "--strict", *files], ["check_wheel_contents", files[0]]):
        done = subprocess.run([sys.executable, "-m", *check], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_wheel_plans_the_demo_in_an_empty_folder_and_writes_nothing_into_itself(
    installed: Path, tmp_path: Path
) -> None:
    package = next((installed.parent / "lib").glob("*/site-packages/mcn"))
    before = {path for path in package.rglob("*") if "__pycache__" not in path.parts}
    environment = {**os.environ, "PATH": f"{installed}:{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert str(package) in run("mcn workflow")
    plan = run('snakemake -s "$(mcn workflow)" --cores 2 --dry-run')
    assert "train" in plan
    run('snakemake -s "$(mcn workflow)" --cores 2 demo')
    assert (tmp_path / "results").is_dir()
    after = {path for path in package.rglob("*") if "__pycache__" not in path.parts}
    assert after == before


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("bwrap"), reason="needs bubblewrap")
def test_the_image_s_command_works_as_an_ordinary_user_with_a_read_only_root(
    installed: Path, tmp_path: Path
) -> None:
    """The entry point, command and variables of containers/Dockerfile, in the wheel's environment under bubblewrap.

    Everything but /data and /tmp is read-only and nothing of the network is there, as in the strictest container.
    """
    text = (ROOT / "containers/Dockerfile").read_text()
    entry, command = (
        json.loads(re.search(rf"^{name} (.+)$", text, re.M)[1]) for name in ("ENTRYPOINT", "CMD")
    )
    (home,) = re.findall(r"^ENV HOME=(.+)$", text, re.M)
    data, place = tmp_path / "data", installed.parent
    data.mkdir()
    sandbox = ["bwrap", "--unshare-all", "--uid", "1000", "--gid", "1000", "--ro-bind", "/", "/"]
    sandbox += ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--ro-bind", place, place]
    sandbox += ["--ro-bind", sys.prefix, sys.prefix]  # of the dependencies, which may lie in /tmp
    sandbox += ["--bind", data, "/mnt", "--chdir", "/mnt", "--setenv", "HOME", home]
    sandbox += ["--setenv", "PATH", f"{installed}:{os.environ['PATH']}", "--unsetenv", "PYTHONPATH"]

    def run(*arguments: str) -> str:
        done = subprocess.run([*sandbox, "--", *entry, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "train" in run(*command, "--dry-run")
    run(*command, "demo")
    assert list((data / "results/demo/videos").iterdir())


def test_the_image_file_passes_its_linter() -> None:
    done = subprocess.run(
        ["hadolint", ROOT / "containers/Dockerfile"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
