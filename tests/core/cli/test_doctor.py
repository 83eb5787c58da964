"""`chef doctor` tells of every extra, and how to install what is missing."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from command import chef


def doctor(*arguments: str) -> str:
    done = chef("doctor", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"]) - {"all", "dev", "docs", "test"}
    told = {one["what"].removeprefix("extra ") for one in json.loads(doctor("--json"))["result"]}
    assert told >= extras


def test_what_to_install_is_shown_as_it_must_be_typed() -> None:
    shown = doctor()
    for one in json.loads(doctor("--json"))["result"]:
        if one["what"].startswith("extra "):
            assert one["found"] in shown
            extra = one["what"].removeprefix("extra ")
            assert (one["state"] == "ok") is (f"[{extra}]" not in one["found"])
