"""How the card of a source reads in a prompt."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from datachef.policy.prompt.cards import Quantiles, SourceCard
from datachef.policy.prompt.quoting import named, quoted

DESCRIPTION_CHARACTERS = 300
EXAMPLE_CHARACTERS = 400
MOST_NAMES = 12


def source_head(card: SourceCard, shown: Collection[str]) -> str:
    """The name, how much there is, what it is, and how long its texts are, as far as shown."""
    lines = [f"{card.name}: {_size(card)}" if "source sizes" in shown else card.name]
    if "source descriptions" in shown:
        if card.description:
            lines.append(f"  description: {quoted(card.description, DESCRIPTION_CHARACTERS)}")
        if card.licence:
            lines.append(f"  licence: {quoted(card.licence, 80)}")
        kind = "conversations" if card.conversational else "documents"
        more = f"; more columns: {_names(card.columns)}" if card.columns else ""
        lines.append(f"  {kind}, from the fields: {_names(card.fields)}{more}")
    if "signals" in shown:
        lines.append(f"  characters: {spelled(card.characters)}")
    return "\n".join(lines)


def signal_line(name: str, signals: Mapping[str, Quantiles]) -> str:
    """What a filter measures of a source; values that several signals share stand once."""
    alike: dict[str, list[str]] = {}
    for signal, quantiles in signals.items():
        alike.setdefault(spelled(quantiles), []).append(signal)
    return f"  {name}: " + "; ".join(
        f"{', '.join(names)} {values}" for values, names in alike.items()
    )


def example_lines(card: SourceCard) -> list[str]:
    """A line per example row, its texts quoted and cut."""
    return [f"  row: {quoted_texts(example)}" for example in card.examples]


def quoted_texts(texts: Mapping[str, str]) -> str:
    """The texts of an example by role, as one JSON object."""
    parts = (f'"{role}": {quoted(text, EXAMPLE_CHARACTERS)}' for role, text in texts.items())
    return f"{{{', '.join(parts)}}}"


def spelled(quantiles: Quantiles) -> str:
    """The quantiles; one that is the same as the others stands once for all."""
    numbers = [amount(value) for value in quantiles]
    return numbers[0] if len(set(numbers)) == 1 else "/".join(numbers)


def amount(value: float) -> str:
    """A number with three significant digits, as people write it."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:.15g}"


def _size(card: SourceCard) -> str:
    if card.rows is None:
        return "size unknown"
    rows = f"about {amount(card.rows)} rows"
    tokens = "" if card.tokens is None else f", {amount(card.tokens)} tokens"
    return rows + tokens + (" (a rough estimate, the files are compressed)" if card.rough else "")


def _names(names: Collection[str]) -> str:
    more = len(names) - MOST_NAMES
    listed = ", ".join(named(name) for name in list(names)[:MOST_NAMES])
    return f"{listed} and {more} more" if more > 0 else listed
