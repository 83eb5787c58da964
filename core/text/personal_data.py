"""What counts as personal data: patterns that find candidates, and checks that decide on them.

A pattern is context-free (no anchors, no word boundaries) and linear in Rust's regex engine, so
that it runs over whole columns. The check sees a candidate in its text and returns the end of what
is to be replaced, or None: it does what patterns cannot (checksums, public address ranges, what
stands before and after). Sources: ISO 7812 and ISO 13616 (checksums), the IBAN registry of SWIFT
(lengths), RFC 6890 through `ipaddress` (public ranges), `phonenumbers` (Google's libphonenumber).
"""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Literal

import polars as pl

Check = Callable[[str, int, int], int | None]
PersonalDataKind = Literal[
    "email_address", "iban_code", "credit_card", "ip_address", "phone_number"
]

_WORD = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")


@dataclass(frozen=True)
class PersonalDataPattern:
    """One kind of personal data: where to look, how to decide, and a neutral specimen of it.

    `literal` is a string without which there is no candidate; empty where there is none. An
    `indivisible` candidate is decided on as a whole: no other may begin inside of it.
    """

    pattern: str
    check: Check
    specimen: str
    literal: str = ""
    indivisible: bool = False


def _word_at(text: str, position: int) -> bool:
    return 0 <= position < len(text) and text[position] in _WORD


# Scripts that set words, or what is joined to a word, without a space: their letters stand for a
# whole name or label, since beside Latin letters they are the text around the address.
_JOINED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTER = rf"[[\p{{L}}\p{{M}}]--[{_JOINED}]]"
_LABEL = rf"(?:[{_LETTER}0-9][{_LETTER}0-9\-]*|[{_JOINED}]+)"
_EMAIL = (
    rf"(?:[{_LETTER}0-9][{_LETTER}0-9._%+'\-]*|[{_JOINED}]+)@{_LABEL}(?:\.{_LABEL})*"
    rf"\.(?:{_LETTER}{{2,}}|中国|中國|公司|网络|香港|台湾|台灣|한국|みんな|ไทย)"
)
_FILE_ENDINGS = frozenset(
    (
        "avif", "bmp", "css", "gif", "html", "ico", "jpeg", "jpg", "js", "json", "jsx", "map",
        "md", "pdf", "png", "svg", "ts", "tsx", "txt", "webp", "xml", "yaml",
    )
)  # fmt: skip


def _email(text: str, start: int, end: int) -> int | None:
    """Refuses ssh remotes (`git@host`), retina images (`icon@2x.png`) and `package@1.2.0-rc.b`."""
    local, _, domain = text[start:end].partition("@")
    ending = domain.rpartition(".")[2].lower()
    labels = domain.split(".")
    version = labels[0].isdigit() and labels[1][:1].isdigit()
    wrong = local == "git" or ending in _FILE_ENDINGS or version or _word_at(text, end)
    return None if wrong or "" in labels or len(ending) > 24 else end


_VERSION = re.compile(
    r"(?:version|release|build|firmware|driver|v|ver|rev)[.:=]? ?$", re.IGNORECASE
)


def _ipv4(text: str, start: int, end: int) -> int | None:
    """Refuses object identifiers, versions and section numbers (four single digits)."""
    before = text[start - 1] if start else ""
    if before in _WORD or (before and before in ".-") or _word_at(text, end):
        return None
    if before == "/" and _word_at(text, start - 2):
        return None  # Chrome/103.0.0.0
    if text[end : end + 1] in (".", "-") and _word_at(text, end + 1):
        return None
    if end - start == 7 or _VERSION.search(text, max(0, start - 12), start):
        return None
    try:
        return end if IPv4Address(text[start:end]).is_global else None
    except AddressValueError:
        return None


def _ipv6(text: str, start: int, end: int) -> int | None:
    if text[end - 1] == ":" and text[end - 2] != ":":
        end -= 1
    if _word_at(text, start - 1) or text[start - 1 : start] == ":" or _word_at(text, end):
        return None
    try:
        return end if IPv6Address(text[start:end]).is_global else None
    except AddressValueError:
        return None


_GROUP = r"(?:4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|6[0245][0-9]{2}|35[2-8][0-9])"
_CARD = (
    _GROUP + r"(?: [0-9]{4} [0-9]{4} [0-9]{4}|-[0-9]{4}-[0-9]{4}-[0-9]{4}|[0-9]{9,15})"
    r"|3[0-9]{3}(?: [0-9]{6} |-[0-9]{6}-|[0-9]{6})[0-9]{4,5}"
)
# Issuers by their first digits, with the lengths of their numbers.
_ISSUERS = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    r"|3[47][0-9]{13}"
    r"|3(?:0[0-5]|[68][0-9])[0-9]{11}"
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2}|62[0-9]{2})[0-9]{12,15}"
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}"
)
_CARD_NUMBER = re.compile(_CARD)
_MORE_DIGITS = re.compile(r" [0-9]{4}")


def _luhn(digits: str) -> bool:
    total = sum(map(int, digits[-1::-2]))
    return (total + sum(sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])) % 10 == 0


def _card(text: str, start: int, end: int) -> int | None:
    """Refuses digits inside of longer numbers, decimal fractions and identifiers."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if before in _WORD or (before and before in ".-/=") or _word_at(text, end):
        return None
    if after and after in ".,-/ " and text[end + 1 : end + 2].isdigit() and after != " ":
        return None
    if " " in text[start:end] and _MORE_DIGITS.match(text, end):
        following = _CARD_NUMBER.match(text, end + 1)
        if following is None or not _is_card(following[0]):
            return None
    return end if _is_card(text[start:end]) else None


def _is_card(number: str) -> bool:
    digits = number.replace(" ", "").replace("-", "")
    return len(set(digits)) > 1 and _ISSUERS.fullmatch(digits) is not None and _luhn(digits)


_IBAN_LENGTHS = {
    code: int(length)
    for length, codes in {
        "15": "NO", "16": "BE", "18": "DK FI FO GL NL SD", "19": "MK SI",
        "20": "AT BA EE KZ LT LU MN XK", "21": "CH CR HR LI LV", "22": "BG BH DE GB GE IE ME RS VA",
        "23": "AE GI IL IQ OM SO TL", "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "LY PT ST",
        "26": "IS TR", "27": "BI DJ FR GR IT MC MR SM", "28": "AL AZ BY CY DO GT HU LB NI PL SV",
        "29": "BR EG PS QA UA", "30": "JO KW MU", "31": "MT SC", "32": "LC", "33": "RU",
    }.items()
    for code in codes.split()
}  # fmt: skip


def _iban(text: str, start: int, end: int) -> int | None:
    length = _IBAN_LENGTHS.get(text[start : start + 2])
    if length is None or _word_at(text, start - 1):
        return None
    code = ""
    for position in range(start, end):
        if text[position] != " ":
            code += text[position]
        if len(code) == length:
            number = "".join(str(int(c, 36)) for c in code[4:] + code[:4])
            right = int(number) % 97 == 1 and not _word_at(text, position + 1)
            return position + 1 if right else None
    return None


_SEPARATED = r"(?:[ .\-/]{1,2}[0-9]{2,8}){1,5}"
_INTERNATIONAL = r"\+[0-9]{1,4}(?:[ .\-/]{0,2}\(?[0-9]{1,11}\)?){1,6}"
_NORTH_AMERICA = (
    r"(?:1[ .\-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .\-/])[2-9][0-9]{2}[ .\-][0-9]{4}"
)
_ELSEWHERE = (
    rf"\([0-9]{{2,6}}\) ?[0-9]{{2,8}}(?:[ .\-/][0-9]{{2,8}}){{0,4}}|[0-9]{{2,5}}{_SEPARATED}"
)


@cache
def _phone_number(region: str | None) -> PersonalDataPattern:
    """Phone numbers with `+` and country code, and those written the way `region` writes them.

    Numbers without any separator and without `+` are left alone: they cannot be told from others.
    """
    home = {None: "", "US": _NORTH_AMERICA, "CA": _NORTH_AMERICA}.get(region, _ELSEWHERE)

    @lru_cache(maxsize=10_000)
    def length(candidate: str) -> int | None:
        from phonenumbers import Leniency, PhoneNumberMatcher

        if not 7 <= sum(c.isdigit() for c in candidate) <= 17:
            return None
        # Grouping is a strong sign at home, where numbers of all kinds abound; "+" is one itself.
        leniency = Leniency.VALID if candidate[0] == "+" else Leniency.STRICT_GROUPING
        for match in PhoneNumberMatcher(candidate, region, leniency=leniency, max_tries=4):
            from_start = match.start == 0 or candidate[: match.start] == "("
            return int(match.end) if from_start else None
        return None

    def check(text: str, start: int, end: int) -> int | None:
        before, after = text[start - 1 : start], text[end : end + 1]
        unlikely = "+" if text[start] == "+" else "+.-/=$#"
        if before in _WORD or (before and before in unlikely) or _word_at(text, end):
            return None
        candidate = text[start:end]
        cut_off = after and after in "-./,%" and text[end + 1 : end + 2].isdigit()
        found = None if cut_off else length(candidate)
        space = candidate.rfind(" ")
        while found is None and space > 0:
            # It swallowed what follows; without a + that must be another one, as any number may.
            if candidate[0] == "+" or length(candidate[space + 1 :]) is not None:
                found = length(candidate[:space])
            space = candidate.rfind(" ", 0, space)
        return None if found is None else start + found

    pattern = f"{_INTERNATIONAL}|{home}" if home else _INTERNATIONAL
    return PersonalDataPattern(pattern, check, "+1 202-555-0100", "" if home else "+")


# In the order in which they are replaced: what is more specific first.
PERSONAL_DATA: dict[str, tuple[PersonalDataPattern, ...]] = {
    "email_address": (
        PersonalDataPattern(_EMAIL, _email, "email@example.com", "@", indivisible=True),
    ),
    "iban_code": (
        PersonalDataPattern(
            r"[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4}(?: ?[A-Z0-9]{4}){1,6}(?: ?[A-Z0-9]{1,3})?",
            _iban,
            "GB33BUKB20201555555555",
        ),
    ),
    "credit_card": (PersonalDataPattern(_CARD, _card, "4111 1111 1111 1111"),),
    "ip_address": (
        PersonalDataPattern(
            r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", _ipv4, "198.51.100.1"
        ),
        PersonalDataPattern(r"[23][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){2,7}", _ipv6, "2001:db8::1"),
    ),
}


# Domains that belong to nobody, of RFC 2606.
_NOBODY = re.compile(
    r"@(?:[^@]+\.)?(?:example\.(?:com|net|org)|example|invalid|test)$", re.IGNORECASE
)


@cache
def _plain_characters() -> dict[str, str]:
    """Characters that stand for one of ASCII in numbers and addresses, and what they stand for.

    Digits of any script, full-width letters and signs, spaces and hyphens at which no line breaks.
    One for one, so that places in a text stay what they are; not the signs that end a clause, which
    say that a number is over.
    """
    return {
        **{
            chr(code): str(unicodedata.decimal(chr(code)))
            for code in range(128, sys.maxunicode + 1)
            if unicodedata.category(chr(code)) == "Nd"
        },
        **{chr(code + 0xFEE0): chr(code) for code in map(ord, string.ascii_letters + "@.-+()_")},
        **dict.fromkeys(
            "\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000", " "
        ),
        **dict.fromkeys("\u2010\u2011\u2012\ufe63", "-"),
        "\ufe6b": "@",
    }


def _candidates(text: pl.Series, kind: PersonalDataPattern) -> pl.DataFrame:
    """The rows that hold a candidate: `row` (its index), `text`, `plain` (the text to search in, of
    the same length), and `found`, the candidates."""
    odd = pl.col("text").str.len_bytes() != pl.col("text").str.len_chars()
    plain = pl.col("text").str.replace_many(_plain_characters())
    rows = text.to_frame("text").with_row_index("row")
    ascii_only, rest = rows.filter(~odd), rows.filter(odd)
    rows = pl.concat(
        [ascii_only.with_columns(plain=pl.col("text")), rest.with_columns(plain=plain)]
    )
    if kind.literal:
        rows = rows.filter(pl.col("plain").str.contains(kind.literal, literal=True))
    return rows.filter(pl.col("plain").str.contains(kind.pattern)).with_columns(
        pl.col("plain").str.extract_all(kind.pattern).alias("found")
    )


def _spans(text: str, found: Sequence[str], kind: PersonalDataPattern) -> Iterator[tuple[int, int]]:
    """Where the candidates that pass the check begin and end, in the order of the text.

    `found` are the candidates of the plain `text` from left to right. One may have swallowed the
    beginning of the next, or begin with what is none: so the search goes on where an accepted one
    ends, and right behind the first character of a refused one.
    """
    if kind.indivisible:
        cursor = 0
        for candidate in found:
            start = text.index(candidate, cursor)
            cursor = start + len(candidate)
            end = kind.check(text, start, cursor)
            if end is not None:
                yield start, end
        return
    pattern = re.compile(kind.pattern)
    match = pattern.search(text, text.index(found[0])) if found else None
    while match is not None:
        end = kind.check(text, *match.span())
        if end is not None:
            yield match.start(), end
        match = pattern.search(text, match.start() + 1 if end is None else end)


def redact_personal_data(
    text: pl.Series,
    kind: PersonalDataKind,
    replacement: str | None = None,
    phone_region: str | None = "US",
) -> pl.Series:
    """The texts with personal data of one kind replaced, by a specimen where `replacement` is None.

    `phone_region` is the country whose national format of phone numbers counts beside `+`.
    """
    known = (_phone_number(phone_region),) if kind == "phone_number" else PERSONAL_DATA[kind]
    for pattern in known:
        new = pattern.specimen if replacement is None else replacement
        changed: dict[int, str] = {}
        for row, old, plain, found in _candidates(text, pattern).iter_rows():
            parts: list[str] = []
            done = 0
            for start, end in _spans(plain, found, pattern):
                parts += (old[done:start], new)
                done = end
            if parts:
                changed[row] = "".join([*parts, old[done:]])
        if changed:  # scatter works in place
            text = text.clone().scatter(list(changed), list(changed.values()))
    return text


def holds_personal_data(text: pl.Series, phone_region: str | None = "US") -> pl.Series:
    """Whether each text has an e-mail address, IBAN, card number, public IP address or phone number
    of somebody; false where the text is null.

    Specimens, and addresses at domains that are reserved for examples, are nobody's.
    `phone_region` is the country whose national format of phone numbers counts beside `+`.
    """
    holds = [False] * len(text)
    for kind in (
        kind
        for kinds in (*PERSONAL_DATA.values(), (_phone_number(phone_region),))
        for kind in kinds
    ):
        for row, _, plain, found in _candidates(text, kind).iter_rows():
            holds[row] = holds[row] or any(
                _belongs_to_somebody(plain[start:end], kind)
                for start, end in _spans(plain, found, kind)
            )
    return pl.Series("personal_data", holds, dtype=pl.Boolean)


def _belongs_to_somebody(value: str, kind: PersonalDataPattern) -> bool:
    return value != kind.specimen and not _NOBODY.search(value)
