"""The commands of the README and of docs/, taken from the pages as they stand there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
PROGRAMS = ("mcn", "snakemake", "python", "pytest", "pip", "cp", "rm", "squeue", "apptainer")
PROGRAMS += (
    "pre-commit",
    "docker",
    "git",
    "scripts/demo.sh",
    "scripts/test.sh",
    "scripts/setup.sh",
    ".ci/run",
    ".",
)


@dataclass(frozen=True)
class Block:
    """An indented or fenced block of a page: its page and its lines, without the indentation."""

    page: str
    lines: tuple[str, ...]

    @property
    def is_shell(self) -> bool:
        """Whether the first line starts with a program that the pages use."""
        return self.lines[0].split()[0] in PROGRAMS

    def commands(self) -> list[str]:
        """Its commands: comments left out, continued lines joined, spaces made single."""
        text = "\n".join(self.lines).replace("\\\n", " ")
        stripped = (re.sub(r"\s+#\s.*$", "", line) for line in text.splitlines())
        return [" ".join(line.split()) for line in stripped if line.strip()]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order. An indented line directly below a line of a list belongs to the list."""
    found: list[Block] = []
    lines: list[str] = []
    fenced, after_blank = False, True
    for line in [*page.read_text().splitlines(), ""]:
        if line.strip().startswith("```"):
            fenced, line = not fenced, ""
        inside = fenced or (re.match(r" {4,}\S", line) and (lines or after_blank))
        if inside and line.strip():
            lines.append(line)
        elif lines and not inside:
            margin = min(len(line) - len(line.lstrip()) for line in lines)
            found.append(Block(page.name, tuple(line[margin:].rstrip() for line in lines)))
            lines = []
        after_blank = not line.strip()
    return found


def inline_commands(page: Path) -> list[str]:
    """Commands within a sentence: what stands between backticks and is a program with something behind it."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text())
    text = re.sub(r"(?m)^ {4,}.*$", "", text)
    spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text))
    return [span for span in spans if " " in span and span.split()[0] in PROGRAMS]


def commands() -> list[tuple[str, str]]:
    """(page, command) of all pages, every pair once, in the order of the pages."""
    found: dict[tuple[str, str], None] = {}
    for page in PAGES:
        shell = [
            command for block in blocks(page) if block.is_shell for command in block.commands()
        ]
        found |= dict.fromkeys((page.name, command) for command in [*shell, *inline_commands(page)])
    return list(found)


def other_blocks() -> list[Block]:
    """The blocks that are not for a shell: configuration, listings of files, Python."""
    return [block for page in PAGES for block in blocks(page) if not block.is_shell]
