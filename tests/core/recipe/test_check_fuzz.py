"""Recipes wrong in every way we could think of: all are refused, none breaks the checker."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from command import chef

from datachef.core import Host, check_recipe, document

SEED = 20_260_101

RECIPE: dict[str, Any] = {
    "name": "fuzz",
    "description": "to be broken",
    "seed": 7,
    "task": "task.yaml",
    "sources": {
        "web": {
            "path": "web.jsonl",
            "take": 20,
            "max_failed": 0.5,
            "format": {"text": "text"},
            "steps": [
                {"op": "size_filter", "min_size": 2, "keep_signals": True},
                {"op": "upper", "column": "size"},
            ],
        },
        "chat": {"path": ["chat.jsonl"], "steps": [{"op": "size_filter", "max_size": 900}]},
    },
    "mix": {"op": "shares_mix", "weights": {"web": 1.5, "chat": 2}, "budget": {"rows": 30}},
    "steps": [{"op": "sorter"}, {"op": "upper"}],
    "output": {"format": "jsonl", "shard_bytes": 5000, "columns": ["url"]},
    "rejects": {"keep": "all", "per_reason": 10},
}
BOUND: dict[str, Any] = {
    "name": "bound",
    "sources": {"web": {"take": 3}, "chat": {"steps": [{"op": "upper"}]}},
    "steps": [{"op": "sorter"}],
}

Place = tuple[str | int, ...]

MAPPINGS: list[Place] = [
    ("sources",), ("sources", "chat"), ("sources", "web", "format"), ("mix",), ("mix", "budget"),
    ("mix", "weights"), ("steps", 1), ("sources", "web", "steps", 0), ("output",), ("rejects",),
]  # fmt: skip
LISTS: list[Place] = [("steps",), ("sources", "web", "steps"), ("output", "columns")]
NUMBERS: list[Place] = [
    ("seed",), ("sources", "web", "take"), ("sources", "web", "max_failed"),
    ("sources", "web", "steps", 0, "min_size"), ("mix", "budget", "rows"),
    ("output", "shard_bytes"), ("rejects", "per_reason"),
]  # fmt: skip
WORDS: list[Place] = [
    ("name",), ("task",), ("description",), ("sources", "web", "path"), ("mix", "op"),
    ("steps", 0, "op"), ("output", "format"), ("rejects", "keep"),
    ("sources", "web", "format", "text"), ("sources", "web", "steps", 1, "column"),
]  # fmt: skip

NOT_MAPPINGS = ["word", 5, 1.5, True, [1], [["op", "upper"]], "", "{op: upper}", [None]]
NOT_LISTS = ["word", 5, {"op": "upper"}, {"0": {"op": "upper"}}, False]
NOT_NUMBERS = [
    "few", "", [], {}, [1], {"a": 1}, -1, -(10**30), 10**30, 10**400, -(10**400), "10**3", 1e300,
    -0.5, "nan", ".nan", "inf", "0x10", "\u0663\u0664x", "9" * 5000,
]  # fmt: skip
NOT_WORDS = [5, 1.5, [], {}, [["a"]], {"a": {"b": 1}}, [5]]
NAMES = [
    "", " ", "a b", "a/b", "../web", "web\0", "\x1b[2J", "\u202eweb", "wéb", "🍳", "x" * 100_000,
    "-web", "web.", "\n", "__class__", "null\n", "\ufeffweb", "$ref", "{{ web }}", "a" * 101 + "'",
]  # fmt: skip
PATHS = [
    "", "\0", "a\0b", "../../../../etc/passwd", "/etc", "/dev/null", "x" * 5000, "~nobody-x/a",
    "file://\0", "nope://a/b.jsonl", "[", "**", "odd.jsonl", "bench.jsonl/x", "\x1b[2J.jsonl", "/",
]  # fmt: skip


class Case(NamedTuple):
    kind: str
    raw: bytes
    wrong: bool = True
    pool: bool = False


def put(data: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(data)
    here: Any = changed
    for part in place[:-1]:
        here = here[part]
    here[place[-1]] = value
    return changed


def rename(data: dict[str, Any], place: Place, name: str) -> dict[str, Any]:
    changed = copy.deepcopy(data)
    here: Any = changed
    for part in place[:-1]:
        here = here[part]
    renamed = {name if key == place[-1] else key: value for key, value in here.items()}
    here.clear()
    here.update(renamed)
    return changed


def written(data: Any) -> bytes:
    return document.dump(data).encode()


def wrong_types(dice: random.Random) -> Case:
    places, values = dice.choice(
        [(MAPPINGS, NOT_MAPPINGS), (LISTS, NOT_LISTS), (NUMBERS, NOT_NUMBERS), (WORDS, NOT_WORDS)]
    )
    return Case("wrong type", written(put(RECIPE, dice.choice(places), dice.choice(values))))


def nulls(dice: random.Random) -> Case:
    places: list[Place] = [
        ("name",), ("sources",), ("steps",), ("sources", "web", "steps"), ("output",),
        ("rejects",), ("seed",), ("mix", "op"), ("steps", 0), ("mix", "weights", "web"),
    ]  # fmt: skip
    return Case("null", written(put(RECIPE, dice.choice(places), None)))


def wrong_names(dice: random.Random) -> Case:
    places: list[Place] = [*MAPPINGS, *LISTS, *NUMBERS, *WORDS]
    place = dice.choice([place for place in places if isinstance(place[-1], str)])
    return Case("wrong name", written(rename(RECIPE, place, dice.choice(NAMES))))


def new_fields(dice: random.Random) -> Case:
    place = dice.choice([(), *MAPPINGS])
    return Case("new field", written(put(RECIPE, (*place, dice.choice(NAMES)), 1)))


def wrong_operators(dice: random.Random) -> Case:
    place = dice.choice([("mix", "op"), ("steps", 0, "op"), ("sources", "web", "steps", 0, "op")])
    return Case("wrong operator", written(put(RECIPE, place, dice.choice(NAMES))))


def wrong_paths(dice: random.Random) -> Case:
    place = dice.choice([("sources", "web", "path"), ("sources", "chat", "path", 0), ("task",)])
    path = dice.choice([path for path in PATHS if path != "bench.jsonl" or place != ("task",)])
    return Case("wrong path", written(put(RECIPE, place, path)))


def escapes(dice: random.Random) -> Case:
    path = dice.choice([*PATHS, "../web.jsonl", "/etc/passwd", "web.jsonl", "s3://bucket/x.jsonl"])
    changed = dice.choice(
        [
            put(BOUND, ("sources", "web", "path"), path),
            put(BOUND, ("sources", "web", "hf"), path),
            put(BOUND, ("sources", "more"), {"path": path}),
            put(BOUND, ("sources", dice.choice(["../web", "/web", "~", "pool.yaml"])), {}),
            put(BOUND, ("pool",), path),
            put(BOUND, ("tokenizer",), path),
            put(BOUND, ("task",), "../" + path),
            put(BOUND, ("steps", 0), {"op": "reader", "file": path}),
        ]
    )
    return Case("escape from the pool", written(changed), pool=True)


def lines_of(data: dict[str, Any]) -> list[str]:
    return document.dump(data).splitlines(keepends=True)


def features(dice: random.Random) -> Case:
    lines = lines_of(RECIPE)
    index = dice.choice([i for i, line in enumerate(lines) if ": " in line])
    key, _, value = lines[index].rstrip("\n").partition(": ")
    features = [
        f"!!python/object/apply:os.system [{value}]", f"!!python/name:os.system {value}",
        "!!binary aGk=", f"!!str {value}", f"! {value}", f"!<tag:x> {value}", f"&anchor {value}",
        "*alias", f"@{value}", f"`{value}", f"%{value}", f'"{value}', f"'{value}", f"[{value}",
        f"{{{value}", f"{value}: {value}", '"\\ud800"', '"\\UFFFFFFFF"', '"\\q"', "1e999", "|9999",
        ">x", "- - - a", "*" * 1000,
    ]  # fmt: skip
    lines[index] = f"{key}: {dice.choice(features)}\n"
    return Case("feature", "".join(lines).encode())


def duplicates(dice: random.Random) -> Case:
    lines = lines_of(RECIPE)
    index = dice.choice([i for i, line in enumerate(lines) if line[0] not in " -"])
    return Case("duplicate key", "".join([*lines, lines[index].split(":")[0], ": 1\n"]).encode())


def bombs(dice: random.Random) -> Case:
    size, depth = dice.randint(2, 40), dice.randint(50, 5000)
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, size))
    return Case(
        "bomb",
        dice.choice(
            [
                f"l0: &l0 [x]\n{levels}".encode(),
                b"a: &a [*a]\nname: x\n",
                b"a: &a\n  <<: *a\n",
                b"steps: " + b"[" * depth + b"]" * depth,
                b"steps: " + b"{a: " * depth + b"1" + b"}" * depth,
                b"steps: " + b"[" * depth,
                b"".join(b" " * n + b"a:\n" for n in range(depth // 10 + 50)),
                b"- " * depth + b"a",
                b"name: " + b"x" * dice.randint(999_900, 1_200_000),
                b"name: |\n" + b" x\n" * 400_000,
                b"#" * 1_100_000,
            ]
        ),
    )


def bytes_of_another_kind(dice: random.Random) -> Case:
    raw = written(RECIPE)
    index = dice.randrange(len(raw))
    junk = dice.choice([b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\x80", b"\xf8\x88\x80\x80\x80"])
    utf16, utf32 = (raw.decode().encode(name) for name in ("utf-16", "utf-32"))
    whole = [
        b"", b"\n", b"\0", b"\0" * 1000, b"\xff\xfe", b"\xef\xbb\xbf", b"null", b"~", b"[]", b"{}",
        b"---", b"---\n---\n", b"5", b"word", b"- a", b"\t", b"#", b"%YAML 9.9\n---\n",
        b"%TAG ! x\n", utf16, utf32, raw + b"---\n" + raw, b"PK\x03\x04" + bytes(range(256)),
        b"\x1f\x8b\x08\x00", b"PAR1", b"? ? ?", b": : :", b"- [}", raw.replace(b"  ", b"\t"),
        raw[: len(raw) // 2] + b"\0" + raw[len(raw) // 2 :],
    ]  # fmt: skip
    return Case("bytes", dice.choice([raw[:index] + junk + raw[index:], *dice.sample(whole, 3)]))


def harmless(dice: random.Random) -> Case:
    raw = written(RECIPE)
    same = [
        b"\xef\xbb\xbf" + raw,
        raw.replace(b"\n", b"\r\n"),
        raw + b"...\n",
        b"---\n" + raw,
    ]
    return Case("harmless", dice.choice(same), wrong=False)


def scrambled(dice: random.Random) -> Case:
    """Bytes taken out, put in and exchanged: mostly wrong, sometimes not."""
    raw = bytearray(written(RECIPE))
    for _ in range(dice.randint(1, 6)):
        index = dice.randrange(len(raw))
        match dice.randrange(3):
            case 0:
                raw[index] = dice.randrange(256)
            case 1:
                del raw[index : index + dice.randint(1, 30)]
            case 2:
                raw[index:index] = dice.choice(
                    [b"[", b"]", b"{", b"}", b": ", b"- ", b"\n", b"'", b"#"]
                )
    return Case("scrambled", bytes(raw), wrong=False)


MUTATIONS: list[tuple[Callable[[random.Random], Case], int]] = [
    (wrong_types, 70), (nulls, 15), (wrong_names, 40), (new_fields, 25), (wrong_operators, 20),
    (wrong_paths, 25), (escapes, 40), (features, 40), (duplicates, 10), (bombs, 15),
    (bytes_of_another_kind, 30), (harmless, 5), (scrambled, 65),
]  # fmt: skip


def cases() -> Iterator[Case]:
    dice = random.Random(SEED)
    for mutate, count in MUTATIONS:
        for _ in range(count):
            yield mutate(dice)


CASES = list(cases())


@pytest.mark.parametrize("data", [(RECIPE, False), (BOUND, True)])
def test_what_is_mutated_was_sound(
    workspace: Path, sample_host: Host, data: tuple[dict[str, Any], bool]
) -> None:
    path = workspace / "recipe.yaml"
    path.write_bytes(written(data[0]))
    pool = workspace / "pool.yaml" if data[1] else None
    assert not check_recipe(path, sample_host, pool).problems


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_wrong_recipe_is_refused_with_reasons(
    workspace: Path, sample_host: Host, number: int, capfd: pytest.CaptureFixture[str]
) -> None:
    case = CASES[number]
    path = workspace / "recipe.yaml"
    path.write_bytes(case.raw)
    pool = workspace / "pool.yaml" if case.pool else None
    problems = check_recipe(path, sample_host, pool).problems
    assert problems or not case.wrong, case
    assert case.kind != "harmless" or not problems, problems
    assert [p.line for p in problems if p.file == str(path)] == sorted(
        p.line for p in problems if p.file == str(path)
    )
    for problem in problems:
        assert problem.code and problem.code.isidentifier(), problem
        assert problem.file, problem
        assert 0 < problem.line <= case.raw.count(b"\n") + 1, problem
        assert problem.column > 0, problem
        assert problem.message.strip(), problem
        shown = str(problem)
        assert len(shown) < 20_000, shown[:200]
        assert shown.replace("\n", "").isprintable(), shown
        shown.encode()
    assert "root:" not in "".join(map(str, problems))
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.parametrize("case", [case for case in CASES if case.wrong][::33], ids=lambda c: c.kind)
def test_the_command_refuses_without_a_traceback(
    workspace: Path, operators_file: str, case: Case
) -> None:
    path = workspace / "recipe.yaml"
    path.write_bytes(case.raw)
    bound = ["--pool", str(workspace / "pool.yaml")] if case.pool else []
    done = chef("check", path, *bound, "--plugin", operators_file)
    assert done.returncode == 2, done
    assert f"{path}:" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["missing.yaml", "folder", "web.jsonl/recipe.yaml", "x" * 300])
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_recipe_file_that_is_none(workspace: Path, name: str, flags: list[str]) -> None:
    (workspace / "folder").mkdir()
    done = chef("check", workspace / name, *flags)
    assert done.returncode == 2
    assert "unreadable_file" in done.stdout
    assert done.stderr == ""
