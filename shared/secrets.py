"""Where a secret lies, read again whenever it changes: rotation needs no restart."""

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, PrivateAttr, model_validator

from shared.errors import SettingsError


class Secret(BaseModel):
    """`{file: /run/secrets/key}` or `{env: SENDGRID_KEY}`; a file is read again after it was replaced or rewritten.

    A file may hold several lines: the first is today's secret, the rest are still believed in what others sign.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Path | None = None
    env: str | None = None
    _seen: tuple[int, int, int] | None = PrivateAttr(default=None)
    _lines: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="before")
    @classmethod
    def _not_itself(cls, given: object) -> object:
        if isinstance(given, str):
            message = "a secret is not written here; say where it lies: {file: PATH} or {env: NAME}"
            raise ValueError(message)  # noqa: TRY004  pydantic tells only these
        return given

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.file is None) == (self.env is None) and not self._lines:
            message = "say where the secret lies: {file: PATH} or {env: NAME}"
            raise ValueError(message)
        return self

    @classmethod
    def given(cls, value: str) -> "Secret":
        """One that settings have read already."""
        made = cls.model_construct(file=None, env=None)
        made._lines = (value,)  # noqa: SLF001  of its own class
        return made

    def value(self) -> str:
        """The secret as it is now. Raises SettingsError if it cannot be read; no message holds it."""
        return self.all()[0]

    def all(self) -> tuple[str, ...]:
        """Today's secret, then former ones."""
        if self.env is not None:
            return _lines(os.environ.get(self.env, ""), f"the environment variable {self.env}")
        if self.file is not None:
            self._look(self.file)
        return self._lines

    def _look(self, path: Path) -> None:
        try:
            found = path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen != self._seen:
                self._lines, self._seen = _lines(path.read_text(), str(path)), seen
        except (OSError, SettingsError, UnicodeDecodeError) as error:
            if self._lines:  # just being replaced or written: the former one holds for the moment
                return
            if isinstance(error, SettingsError):
                raise
            message = (
                f"cannot read the secret {path}: {getattr(error, 'strerror', 'not text')}; mount it there"
            )
            raise SettingsError(message) from error

    def __repr__(self) -> str:
        """Where it lies, never what it is."""
        return f"Secret({self.file or self.env or 'given'})"

    __str__ = __repr__


def _lines(text: str, place: str) -> tuple[str, ...]:
    found = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not found:
        message = f"{place} holds no secret; set it"
        raise SettingsError(message)
    return found
