"""What the documentation shows runs, block by block, on a real database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import rebuild
from conftest import World

ROOT = Path(__file__).parents[3]


def blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("document", "number"), [("docs/PYTHON.md", 5), ("README.md", 1)])
def test_the_examples_of_a_document(
    document: str, number: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = blocks((ROOT / document).read_text(encoding="utf-8"))
    assert len(found) == number
    (world.folder / "rebuild.toml").write_text(
        f'version = 1\ntarget.url = "{world.url}"\nstore.url = "store"\n'
        "quiesce = { read_only = true, end_sessions = true }\n"
        # The loads of the examples add to the rows of the backup.
        '[[verify]]\nkind = "indexes"\n'
    )
    monkeypatch.chdir(world.folder)
    names: dict[str, Any] = {"__name__": "documented"}
    for block in found:
        exec(compile(block, document, "exec"), names)
    assert all(run.ending in ("done", "rolled-back") for run in rebuild.runs("rebuild.toml"))
    assert rebuild.runs("rebuild.toml")


def test_every_verb_is_documented() -> None:
    text = (ROOT / "docs/PYTHON.md").read_text(encoding="utf-8")
    for name in rebuild.__all__:
        if name.endswith("_async") and name.removesuffix("_async") not in ("plan", "status"):
            verb = name.removesuffix("_async")
            assert f"`{verb}`" in text, verb
            assert getattr(rebuild, verb).__doc__ and getattr(rebuild, name).__doc__
