"""Replaces personal data that has a recognisable form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator

from datachef.core import Outcome, PersonalDataKind, TextTransform, redact_personal_data

Region = Literal[
    "AR", "AT", "AU", "BE", "BR", "CA", "CH", "CL", "CN", "CO", "CZ", "DE", "DK", "EG", "ES", "FI",
    "FR", "GB", "GR", "HU", "ID", "IE", "IL", "IN", "IT", "JP", "KE", "KR", "MX", "MY", "NG", "NL",
    "NO", "NZ", "PE", "PH", "PK", "PL", "PT", "RO", "RU", "SE", "SG", "TH", "TR", "TW", "UA", "US",
    "VN", "ZA",
]  # fmt: skip
ALL: tuple[PersonalDataKind, ...] = (
    "email_address", "iban_code", "credit_card", "ip_address", "phone_number",
)  # fmt: skip


class RedactPersonalData(TextTransform):
    """Replaces e-mail addresses, IBANs, card numbers, public IP addresses and phone numbers.

    Card numbers and IBANs count only with a valid checksum, phone numbers only when they exist in
    the numbering plan, IP addresses only when they are public. Digits of any script, full-width
    letters, spaces and hyphens at which no line breaks, and addresses in any script count too.
    Names and postal addresses have no recognisable form and stay. The ledger counts what was
    replaced by kind, and `keep_counts` adds a column for each.
    """

    version: ClassVar[int] = 2

    rewrites_arguments: ClassVar[bool] = True

    op: Literal["redact_personal_data"] = "redact_personal_data"

    kinds: tuple[PersonalDataKind, ...] = Field(
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

    keep_counts: bool = Field(
        False, description="Add a column for each kind, such as email_address_count."
    )

    @field_validator("kinds")
    @classmethod
    def _in_order(cls, kinds: tuple[PersonalDataKind, ...]) -> tuple[PersonalDataKind, ...]:
        if len(set(kinds)) < len(kinds):
            raise ValueError("each kind once")
        return tuple(kind for kind in ALL if kind in kinds)

    def requires(self) -> Mapping[str, str]:
        return {"phonenumbers": "phonenumbers>=8.13"} if "phone_number" in self.kinds else {}

    def writes(self) -> set[str]:
        return {f"{kind}_count" for kind in self.kinds} if self.keep_counts else set()

    def process(self, batch: pl.DataFrame) -> Outcome:
        made = super().process(batch)
        tagged = made
        if self.replacement == "specimen":  # which may have stood there before
            tagged = TextTransform.process(self.changed({"replacement": "tag"}), batch)
        given = made.rows.select("id").join(
            batch.select("id", "text"), on="id", how="left", maintain_order="left"
        )
        columns = {}
        for kind in self.kinds:
            before, after = (
                text.str.count_matches(_tag(kind), literal=True).fill_null(0).cast(pl.Int64)
                for text in (given["text"], tagged.rows["text"])
            )
            columns[f"{kind}_count"] = after - before
        rows = made.rows.with_columns(**columns) if self.keep_counts else made.rows
        sums = {kind: int(columns[f"{kind}_count"].sum()) for kind in self.kinds}
        return replace(made, rows=rows, counted={name: n for name, n in sums.items() if n > 0})

    def rewrite(self, text: pl.Series) -> pl.Series:
        for kind in self.kinds:
            tag = _tag(kind) if self.replacement == "tag" else None
            text = redact_personal_data(text, kind, tag, self.phone_region)
        return text


def _tag(kind: PersonalDataKind) -> str:
    return f"<{kind.upper()}>"
