"""The record of everything that decides the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Provenance:
    """Record of everything that decided the numbers. ``parts`` is filled for ``a+b``."""

    extractor: str
    spec_version: int
    options: Mapping[str, Any]
    checkpoint_name: str | None
    checkpoint_sha256: str | None
    mirfeat_version: str
    library_versions: Mapping[str, str]
    device: str
    parts: tuple[Provenance, ...] = ()

    # Versions of libraries and the device move numbers only within the stated tolerances, and
    # comparing them would make every upgrade refuse to resume a run.
    COMPARED = ("extractor", "spec_version", "options", "checkpoint_sha256")

    def differences(self, other: Provenance) -> list[str]:
        """One line for each field or option in which two ways of making features differ."""
        ours, others = self._compared(), other._compared()
        lines = [
            f"{name}: {ours.get(name)!r} here, {others.get(name)!r} there"
            for name in {**ours, **others}
            if ours.get(name) != others.get(name)
        ]
        for mine_part, their_part in zip(self.parts, other.parts, strict=False):
            lines += [
                f"{mine_part.extractor}: {line}" for line in mine_part.differences(their_part)
            ]
        return lines

    def on(self, device: str) -> Provenance:
        """The same made on another device."""
        return replace(self, device=device, parts=tuple(part.on(device) for part in self.parts))

    def _compared(self) -> dict[str, Any]:
        """What decides the numbers, flat: the options stand beside the other fields."""
        record = {name: _plain(getattr(self, name)) for name in self.COMPARED}
        options = record.pop("options")
        return {**record, **options, "parts": len(self.parts)}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return dict(_plain(asdict(self)))

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Provenance:
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError, TypeError: not such a record; anybody may have written it.
        """
        if not isinstance(record, Mapping):
            raise TypeError(f"a provenance that is {type(record).__name__}")
        parts = tuple(cls.from_dict(part) for part in record.get("parts", ()))
        made = cls(**{**record, "parts": parts})
        texts = (made.extractor, made.mirfeat_version, made.device)
        named = (made.checkpoint_name, made.checkpoint_sha256)
        if not (
            all(isinstance(text, str) for text in texts)
            and all(isinstance(text, str | None) for text in named)
            and isinstance(made.spec_version, int)
            and isinstance(made.options, Mapping)
            and isinstance(made.library_versions, Mapping)
        ):
            raise TypeError("a provenance with an entry of another type")
        return made


def _plain(value: Any) -> Any:
    """Mappings, tuples and scalars as JSON would give them back."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in sorted(value.items())}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
