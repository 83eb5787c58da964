"""Replaces personal data that has a recognisable form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from datachef.core.contracts.transform import TextTransform
from datachef.core.text.personal_data import KINDS, Kind, candidates, phone_number, spans

if TYPE_CHECKING:
    import polars as pl

Name = Literal["email_address", "iban_code", "credit_card", "ip_address", "phone_number"]
Region = Literal[
    "AR", "AT", "AU", "BE", "BR", "CA", "CH", "CL", "CN", "CO", "CZ", "DE", "DK", "EG", "ES", "FI",
    "FR", "GB", "GR", "HU", "ID", "IE", "IL", "IN", "IT", "JP", "KE", "KR", "MX", "MY", "NG", "NL",
    "NO", "NZ", "PE", "PH", "PK", "PL", "PT", "RO", "RU", "SE", "SG", "TH", "TR", "TW", "UA", "US",
    "VN", "ZA",
]  # fmt: skip
ALL: tuple[Name, ...] = (
    "email_address", "iban_code", "credit_card", "ip_address", "phone_number",
)  # fmt: skip


class RedactPersonalData(TextTransform):
    """Replaces e-mail addresses, IBANs, card numbers, public IP addresses and phone numbers.

    Card numbers and IBANs count only with a valid checksum, phone numbers only when they exist in
    the numbering plan, IP addresses only when they are public. Digits of any script, full-width
    letters, spaces and hyphens at which no line breaks, and addresses in any script count too.
    Names and postal addresses have no recognisable form and stay.
    """

    version: ClassVar[int] = 2

    rewrites_arguments: ClassVar[bool] = True

    op: Literal["redact_personal_data"] = "redact_personal_data"

    kinds: tuple[Name, ...] = Field(
        ALL, min_length=1, max_length=len(ALL), description="The kinds of data to replace."
    )
    replacement: Literal["tag", "specimen"] = Field(
        "tag",
        description="tag: the kind in capitals, such as <EMAIL_ADDRESS>; "
        "specimen: a value that belongs to nobody, such as email@example.com.",
    )
    phone_region: Region | None = Field(
        "US",
        description="Country whose national phone number format counts too; "
        "null: only numbers that begin with + and a country code.",
    )

    @field_validator("kinds")
    @classmethod
    def _in_order(cls, kinds: tuple[Name, ...]) -> tuple[Name, ...]:
        if len(set(kinds)) < len(kinds):
            raise ValueError("each kind once")
        return tuple(kind for kind in ALL if kind in kinds)

    def requires(self) -> Mapping[str, str]:
        return {"phonenumbers": "phonenumbers>=8.13"} if "phone_number" in self.kinds else {}

    def rewrite(self, text: pl.Series) -> pl.Series:
        for name in self.kinds:
            known = (phone_number(self.phone_region),) if name == "phone_number" else KINDS[name]
            for kind in known:
                tag = self.replacement == "tag"
                text = _replace(text, kind, f"<{name.upper()}>" if tag else kind.specimen)
        return text


def _replace(text: pl.Series, kind: Kind, replacement: str) -> pl.Series:
    changed: dict[int, str] = {}
    for row, old, plain, found in candidates(text, kind).iter_rows():
        parts: list[str] = []
        done = 0
        for start, end in spans(plain, found, kind):
            parts += (old[done:start], replacement)
            done = end
        if parts:
            changed[row] = "".join([*parts, old[done:]])
    if not changed:
        return text
    return text.clone().scatter(list(changed), list(changed.values()))  # scatter works in place
