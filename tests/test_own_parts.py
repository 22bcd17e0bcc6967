"""Parts of the user's own: found beside the configuration, and errors that name the file and the contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mcn.errors import UserError
from mcn.options.own_parts import load_part, part_errors, part_file


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_module_beside_the_configuration_comes_before_installed_ones(tmp_path: Path) -> None:
    write(tmp_path, "beside_helper.py", "ANSWER = 42\n")
    path = write(
        tmp_path, "yaml.py", "from beside_helper import ANSWER\ndef part(): return ANSWER\n"
    )
    import yaml

    try:
        assert load_part("yaml:part", "a function", tmp_path)() == 42
    finally:
        import sys

        sys.modules["yaml"] = yaml
    assert part_file("yaml:part", tmp_path) == path.resolve()
    assert load_part("yaml:safe_load", "a function", tmp_path / "elsewhere") is yaml.safe_load
    write(tmp_path, "inner/own_folder_part.py", "def part(): return 7\n")
    assert load_part("inner.own_folder_part:part", "a function", tmp_path)() == 7


@pytest.mark.parametrize(
    ("reference", "text", "words"),
    [
        ("no_colon_here", "", "module:name"),
        ("part_that_is_nowhere:x", None, "No module named 'part_that_is_nowhere'"),
        ("part_that_fails:x", "x = 1\ny = 1 / 0\n", "part_that_fails.py, line 2, which cannot be"),
        ("part_of_old_syntax:x", "print 'x'\n", "part_of_old_syntax.py"),
        ("part_misspelt:Encodr", "class Encoder: pass\n", "did you mean 'Encoder'"),
        ("part_of_values:x", "x = 1\n", "part_of_values.py: x, which is 1"),
    ],
)
def test_errors_name_the_file_and_the_contract(
    tmp_path: Path, reference: str, text: str | None, words: str
) -> None:
    if text is not None:
        write(tmp_path, f"{reference.partition(':')[0]}.py", text)
    with pytest.raises(UserError) as caught:
        load_part(reference, "a function of one argument", tmp_path)
    assert words in str(caught.value)
    if ":" in reference:
        assert "a function of one argument" in str(caught.value)


def test_a_class_must_extend_its_contract(tmp_path: Path) -> None:
    text = "from collections.abc import Sequence\nclass Good(Sequence): pass\nclass Bad: pass\n"
    write(tmp_path, "part_of_classes.py", text)
    assert issubclass(load_part("part_of_classes:Good", Sequence, tmp_path), Sequence)
    with pytest.raises(UserError, match=r"extends collections.abc.Sequence"):
        load_part("part_of_classes:Bad", Sequence, tmp_path)


def test_what_a_part_raises_names_its_line(tmp_path: Path) -> None:
    write(tmp_path, "part_that_raises.py", "def part(x):\n    return 1 / x\n")
    part = load_part("part_that_raises:part", "a function", tmp_path)
    with (
        pytest.raises(
            UserError, match=r"part_that_raises.py, line 2, which fails: ZeroDivisionError"
        ),
        part_errors("part_that_raises:part", "a function", tmp_path),
    ):
        part(0)
