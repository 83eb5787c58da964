"""Makes the data of a task that no single source serves, in `data/` beside this file.

The task asks five kinds of word problem. Five sources have one kind each, and are untidy in their
own ways; two more are of little use. What is best takes the right sources, in the right shares,
with what is broken in them mended."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

Row = dict[str, str]
NAMES = ("Ana", "Ben", "Chidi", "Dara", "Emre", "Fumi", "Gita", "Hugo")
THINGS = ("apples", "pencils", "marbles", "stamps", "tickets", "shells")
PLACES = ("the lake", "the museum", "the airport", "the old town", "the farm")
TALK = (
    "I was at the lake last weekend and it rained all the time.",
    "Has anybody been there lately?",
    "We took the bus because the car would not start.",
    "Thanks for the tip, much appreciated!",
    "My cousin says the tickets are sold out.",
    "The food was fine but nothing special.",
    "I would not go again, to be honest.",
    "Let me know if you find something better.",
)


def boxes(chance: random.Random) -> Row:
    """How many there are in all."""
    name, thing = chance.choice(NAMES), chance.choice(THINGS)
    count, each, more = chance.randint(2, 30), chance.randint(2, 40), chance.randint(1, 60)
    total = count * each
    return {
        "question": f"{name} has {count} boxes with {each} {thing} in each, and {more} more "
        f"{thing} on the table. How many {thing} are there in all?",
        "answer": f"{count} boxes with {each} {thing} are {count} × {each} = {total} {thing}. With "
        f"the others there are {total} + {more} = {total + more}.\n#### {total + more}",
    }


def change(chance: random.Random) -> Row:
    """What is left after buying."""
    name, thing = chance.choice(NAMES), chance.choice(THINGS)
    count, price = chance.randint(2, 9), chance.randint(2, 12)
    cost = count * price
    paid = cost + chance.randint(1, 50)
    return {
        "question": f"{name} buys {count} packs of {thing} at {price} dollars each and pays with "
        f"{paid} dollars. How much change does {name} get back?",
        "answer": f"The packs cost {count} × {price} = {cost} dollars. From {paid} dollars that "
        f"leaves {paid} − {cost} = {paid - cost} dollars.\n#### {paid - cost}",
    }


def savings(chance: random.Random) -> Row:
    """How much somebody has after some time."""
    name, start = chance.choice(NAMES), chance.randint(5, 90)
    weekly, weeks = chance.randint(2, 20), chance.randint(2, 12)
    saved = weekly * weeks
    return {
        "question": f"{name} has {start} dollars and saves {weekly} dollars every week. How many "
        f"dollars does {name} have after {weeks} weeks?",
        "answer": f"In {weeks} weeks {name} saves {weeks} × {weekly} = {saved} dollars. Together "
        f"with the first {start} dollars these are {start} + {saved} = {start + saved}.\n"
        f"#### {start + saved}",
    }


def portions(chance: random.Random) -> Row:
    """How much a larger meal takes."""
    name, guests, times = chance.choice(NAMES), chance.randint(2, 6), chance.randint(2, 5)
    each = chance.randint(30, 120)
    people = guests * times
    return {
        "question": f"A meal for {guests} people takes {each * guests} grams of flour. {name} "
        f"cooks for {people} people. How many grams of flour does {name} need?",
        "answer": f"One portion takes {each * guests} ÷ {guests} = {each} grams of flour, so "
        f"{people} portions take {each} × {people} = {each * people} grams.\n"
        f"#### {each * people}",
    }


def trip(chance: random.Random) -> Row:
    """How long the rest of a way takes."""
    name, place = chance.choice(NAMES), chance.choice(PLACES)
    speed, hours, rest = chance.randint(3, 90), chance.randint(1, 6), chance.randint(1, 5)
    far = speed * (hours + rest)
    return {
        "question": f"It is {far} km to {place}. {name} travels at {speed} km per hour and has "
        f"been on the way for {hours} hours. How many hours are left?",
        "answer": f"At {speed} km per hour, {far} km take {far} ÷ {speed} = {hours + rest} hours. "
        f"After {hours} hours, {hours + rest} − {hours} = {rest} are left.\n#### {rest}",
    }


# The kinds of problem, by how often the task asks them.
KINDS = {boxes: 1, change: 2, savings: 2, portions: 2, trip: 3}


def drawn(chance: random.Random, count: int, *kinds: Callable[[random.Random], Row]) -> list[Row]:
    """Problems of these kinds, as often as the task asks them."""
    weights = [KINDS[kind] for kind in kinds]
    return [kind(chance) for kind in chance.choices(kinds, weights, k=count)]


def talk(chance: random.Random) -> Row:
    """A row that is no problem, and longer than those that are."""
    return {name: " ".join(chance.choices(TALK, k=12)) for name in ("question", "answer")}


def misread(row: Row) -> Row:
    """The row as a program has it that took UTF-8 for another encoding."""
    return {name: text.encode().decode("cp1252") for name, text in row.items()}


def only_number(row: Row) -> Row:
    """The row without the way to its answer."""
    return {**row, "answer": row["answer"].rpartition("#### ")[2]}


def sources(chance: random.Random) -> dict[str, list[Row]]:
    """The rows of each source."""
    receipts = drawn(chance, 150, change)
    return {
        "textbook": drawn(chance, 400, boxes),
        "diary": drawn(chance, 300, savings),
        "cookbook": drawn(chance, 80, portions),
        # Misread, and every row several times.
        "receipts": [misread(row) for row in receipts for _ in range(4)],
        # Half of it is talk.
        "timetables": drawn(chance, 300, trip) + [talk(chance) for _ in range(300)],
        "quiz": [only_number(row) for row in drawn(chance, 600, *KINDS)],
        "posts": [talk(chance) for _ in range(400)],
    }


def main() -> None:
    chance = random.Random(0)
    folder = Path(__file__).parent / "data"
    folder.mkdir(exist_ok=True)
    tables = sources(chance)
    for name in ("examples", "test"):
        tables[name] = drawn(chance, 150, *KINDS)
    for name, rows in tables.items():
        if name not in ("examples", "test"):
            chance.shuffle(rows)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
        print(f"{name}.jsonl: {len(rows):,} lines")


if __name__ == "__main__":
    main()
