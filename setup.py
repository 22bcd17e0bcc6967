"""Puts the workflow into the wheel, where `mcn.project` finds it; everything else stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WORKFLOW = ("Snakefile", "config.yaml", "workflow", "config", "profiles", "envs")


class BuildWithWorkflow(build_py):
    """Build the package with a copy of the workflow below it."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # the checkout's own files are used
            return
        target = Path(self.build_lib, "mcn", "workflow")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in WORKFLOW:
            copy = shutil.copytree if Path(name).is_dir() else shutil.copy
            copy(name, target / name)


setup(cmdclass={"build_py": BuildWithWorkflow})
