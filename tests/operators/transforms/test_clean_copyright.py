from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.operators.transforms.clean_copyright import CleanCopyright


def cleaned(text: str, **parameters: Any) -> str:
    return str(CleanCopyright(**parameters).rewrite(pl.Series([text]))[0])


@pytest.mark.parametrize(
    ("code", "without"),
    [
        (
            "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n# Copyright 2020 X\n# All of it.\n\n"
            "# a remark\nimport os\n",
            "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n# a remark\nimport os\n",
        ),
        (
            "/*\n * Copyright (c) 2020\n **/\n\n/** Of the file */\nint é;",
            "/** Of the file */\nint é;",
        ),
        ("/* eslint-disable */ /* Licensed to x */\ncode\r\n", "/* eslint-disable */ code\r\n"),
        ("// Licensed under X\n//\n// y\n#include <a.h>\n", "#include <a.h>\n"),
        ("<?php\n/* (c) 2010 Foo */\necho 1;", "<?php\necho 1;"),
        ("<!-- Copyright - X --><html>", "<html>"),
        ("-- Copyright X\n-- y\nmodule Main", "module Main"),
        ("{- Copyright X -}\nmodule Main", "module Main"),
        ("(* SPDX-License-Identifier: MIT *)\nlet x = 1", "let x = 1"),
        ("% Copyright X\n\\section{a}", "\\section{a}"),
        ("# Copyright only", ""),
    ],
)
def test_a_comment_about_the_licence_goes(code: str, without: str) -> None:
    assert cleaned(code) == without


@pytest.mark.parametrize(
    "code",
    [
        "int main() {}\n/* Copyright below the head */",
        "# Title\n\nProse about copyright and licences.",
        "#include <copyright.h>\nint x;",
        "#[copyright]\nfn main() {}",
        "# Computes the mean.\nimport copyright\n",
        "copyright = 1\n",
        "",
    ],
)
def test_all_else_stays(code: str) -> None:
    assert cleaned(code) == code


def test_all_comments_at_the_head_go_on_request() -> None:
    code = "#!/bin/sh\n# What it does.\n\n/* More */\n#include <a.h>\n# inside\n"
    assert cleaned(code, comments="all") == "#!/bin/sh\n#include <a.h>\n# inside\n"


def test_real_modules_lose_their_licences_and_nothing_else(shared_data: Path) -> None:
    with gzip.open(shared_data / "pool" / "thealgorithms_py.jsonl.gz", "rt") as file:
        code = pl.Series([json.loads(line)["text"] for line in file])
    result = CleanCopyright().rewrite(code)
    changed = (code != result).arg_true()
    assert len(changed) == 2
    for before, after in zip(code.gather(changed), result.gather(changed), strict=True):
        assert before.endswith(after)
        assert "Copyright" in before.removesuffix(after)
        assert after.startswith('"""')
