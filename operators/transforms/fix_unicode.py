"""Repairs text that was decoded with the wrong encoding, and normalises its characters."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from datachef.core import TextTransform

if TYPE_CHECKING:
    import ftfy
    import polars as pl

# Without these, ftfy has nothing to do: all but printable ASCII, and entities.
_SUSPECT = r"[^\t\n -~]|&[#A-Za-z]"
# Control characters, ligatures, line breaks and entities: what ftfy replaces besides mojibake.
_SPECIAL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u0132\u0133\u0149\u01c4-\u01cc\u01f1-\u01f3\u2028\u2029"
    r"\u206a-\u206f\ufb00-\ufb06\ufeff\ufff9-\ufffc]|&[#A-Za-z]"
)
# Entities within entities: of a deeper line all are decoded so often, which ftfy would do without
# end in sight, each time in the whole line and with all its other steps.
_DEEP = 4
_DEEPEST = 16
_NESTED_AMPERSANDS = re.compile(r"&(?:(?:amp|AMP|#0{0,9}38|#[xX]0{0,9}26);)+")
# This many marks in a row occur in no language. Where they are not in order, the time that Python's
# normalization takes for them grows with the square of their number.
_MANY_MARKS = 100
_UNESCAPE: dict[str, str | bool] = {"auto": "auto", "always": True, "never": False}


class FixUnicode(TextTransform):
    """Repairs mojibake, HTML entities, control characters, ligatures and line breaks with ftfy.

    Lines in which ftfy would change nothing are kept from it, which makes this several times faster
    and no different. Typographic quotes and full-width characters, which are right in most texts,
    stay unless asked for.
    """

    rewrites_arguments: ClassVar[bool] = True

    version: ClassVar[int] = 2

    op: Literal["fix_unicode"] = "fix_unicode"

    normalization: Literal["NFC", "NFKC", "none"] = Field(
        "NFC", description="Unicode normalization form; NFKC also loses superscripts and the like."
    )
    unescape_html: Literal["auto", "always", "never"] = Field(
        "auto", description="Decode entities such as &amp;; auto: up to the first line with a '<'."
    )
    straighten_quotes: bool = Field(False, description="Turn curly quotes into straight ones.")
    narrow_width: bool = Field(
        False, description="Turn full-width Latin letters and punctuation into ordinary ones."
    )
    split_ligatures: bool = Field(True, description="Turn Latin ligatures such as ﬁ into letters.")

    @cached_property
    def _config(self) -> ftfy.TextFixerConfig:
        import ftfy

        return ftfy.TextFixerConfig(
            unescape_html=_UNESCAPE[self.unescape_html],
            uncurl_quotes=self.straighten_quotes,
            fix_character_width=self.narrow_width,
            fix_latin_ligatures=self.split_ligatures,
            normalization=None if self.normalization == "none" else self.normalization,
            explain=False,
        )

    def rewrite(self, text: pl.Series) -> pl.Series:
        import polars as pl

        if not text.str.contains("\r\r\n", literal=True).any():  # which ftfy reads as two breaks
            text = text.str.replace_all("\r\n", "\n", literal=True)
        suspect = text.str.contains(_SUSPECT).fill_null(False).arg_true()
        if suspect.is_empty():
            return text
        # ftfy, too, works line by line, and leaves entities alone from the first "<" on.
        line = pl.col("line")
        html = line.str.contains("<", literal=True).cum_max().over("row")
        lines = pl.DataFrame(
            {"row": suspect, "line": text.gather(suspect).str.split("\n", inclusive=True)}
        ).explode("line")
        lines = lines.with_columns(line.str.contains(_SUSPECT).alias("suspect"), html.alias("html"))
        at = lines["suspect"].arg_true()
        fixed = [self._fix(*pair) for pair in lines[at].select("line", "html").iter_rows()]
        lines = lines.with_columns(lines["line"].clone().scatter(at, fixed))
        whole = lines.group_by("row", maintain_order=True).agg(line.str.join(""))
        return text.clone().scatter(whole["row"], whole["line"])  # scatter works in place

    def _fix(self, line: str, html: bool) -> str:
        import ftfy

        if self._sound(line):
            return line
        if self.normalization != "none":
            line = _in_order(line, self.normalization)
        config = self._config
        if html and config.unescape_html == "auto":
            config = config._replace(unescape_html=False)
        if config.unescape_html and (flat := _flattened(line)) is not None:
            line, config = flat, config._replace(unescape_html=False)
        return str(ftfy.fix_text(line, config))

    def _sound(self, line: str) -> bool:
        """True only where no step of ftfy applies."""
        from ftfy.badness import is_bad

        if self.straighten_quotes or self.narrow_width or _SPECIAL.search(line):
            return False
        normal = self.normalization
        return (normal == "none" or unicodedata.is_normalized(normal, line)) and not is_bad(line)


def _in_order(line: str, form: Literal["NFC", "NFKC"]) -> str:
    """The line with long runs of marks decomposed and in canonical order (Unicode Standard Annex
    15), which normalization makes the same of as of the line itself."""
    if len(line) < _MANY_MARKS or line.isascii():
        return line
    decomposed = form.replace("C", "D")

    def ordered(run: re.Match[str]) -> str:
        marks = "".join(unicodedata.normalize(decomposed, mark) for mark in run[0])  # type: ignore[arg-type]
        return "".join(sorted(marks, key=unicodedata.combining))

    return _marks(form).sub(ordered, line)


@cache
def _marks(form: Literal["NFC", "NFKC"]) -> re.Pattern[str]:
    """Many characters in a row that are marks, or become such as they are decomposed."""
    marks = "".join(chr(n) for n in range(0x300, 0x20000) if unicodedata.combining(chr(n)))
    more = "\u0f73\u0f75\u0f81" + ("\uff9e\uff9f" if form == "NFKC" else "")
    return re.compile(f"[{marks}{more}]{{{_MANY_MARKS},}}")


def _flattened(line: str) -> str | None:
    """A line whose entities lie deep within one another, with all of them decoded; None for any
    other line."""
    from ftfy.fixes import unescape_html

    text = line
    for _ in range(_DEEP):
        decoded = unescape_html(text)
        if decoded == text:
            return None
        text = decoded
    text = _NESTED_AMPERSANDS.sub("&", text)
    for _ in range(_DEEPEST):
        decoded = unescape_html(text)
        if decoded == text:
            break
        text = decoded
    return text
