"""`config.toml`: the profiles' tables and which is the default, read and changed one at a time.

Comments and order survive every change (`config_edits`). Whoever changes it holds the lock.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from cmdstat.config_files import ConfigFile
from cmdstat.errors import ConfigurationError, UsageError
from cmdstat.profile_tables import (
    SANDBOX,
    Profile,
    check_name,
    key_source_values,
    read_profile,
    settings_values,
)
from cmdstat.settings import nearest

_ROOT_KEYS = ("default", "profiles")


class ProfileFile:
    """One `config.toml`. Every method raises `ConfigurationError` for a file that is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = ConfigFile(path)

    def names(self) -> tuple[str, ...]:
        """The profiles in the file's order."""
        return tuple(self._tables())

    def default_name(self) -> str | None:
        """The default profile's name, or None. It may name one that is not there."""
        name = self._content().get("default")
        if name is not None and not isinstance(name, str):
            self._refuse("default must be a profile's name", 'write it as in: default = "prod"')
        return name or None

    def get(self, name: str) -> Profile:
        """A profile. Raises `ConfigurationError` for an unknown one, with the nearest name."""
        tables = self._tables()
        if name not in tables:
            raise ConfigurationError(
                f'there is no profile "{name}"', nearest(name, [*tables, SANDBOX])
            )
        return read_profile(name, tables[name], self._path)

    def add(self, profile: Profile, *, as_default: bool) -> None:
        """Write a new profile's table at the end."""
        from cmdstat.config_edits import add_table

        values = {name: value for name, value in _values(profile).items() if value is not None}
        self._edit(
            lambda text: add_table(text, ("profiles", profile.name), values),
            *([_set_default(profile.name)] if as_default else []),
        )

    def change(self, old: Profile, new: Profile) -> None:
        """Write what differs; everything else in the table stays as its owner wrote it."""
        from cmdstat.config_edits import set_values

        before = _values(old)
        values = {name: value for name, value in _values(new).items() if value != before[name]}
        self._edit(lambda text: set_values(text, ("profiles", new.name), values))

    def set_default(self, name: str) -> None:
        """Make a name the default."""
        self._edit(_set_default(name))

    def rename(self, old: str, new: str) -> None:
        """Rename a table; the default goes with it."""
        from cmdstat.config_edits import rename_table

        self._edit(
            lambda text: rename_table(text, ("profiles", old), new),
            *([_set_default(new)] if self.default_name() == old else []),
        )

    def remove(self, name: str) -> bool:
        """Remove a table; returns whether it was the default, which then there is none."""
        from cmdstat.config_edits import remove_table

        was_default = self.default_name() == name
        self._edit(
            lambda text: remove_table(text, ("profiles", name)),
            *([_set_default(None)] if was_default else []),
        )
        return was_default

    def _edit(self, *changes: Callable[[str], str]) -> None:
        """Make all the changes, in one write."""

        def change(text: str) -> str:
            for each in changes:
                text = each(text)
            return text

        self._file.edit(change)

    def _tables(self) -> dict[str, Any]:
        tables = self._content().get("profiles", {})
        if not isinstance(tables, dict):
            self._refuse("profiles must be [profiles.NAME] tables", "write one for each profile")
        for name in tables:
            try:
                check_name(name)
            except UsageError as error:
                self._refuse(error.message, error.hint)
        return dict(tables)

    def _content(self) -> dict[str, Any]:
        content = self._file.read()
        for key in content:
            if key not in _ROOT_KEYS:
                self._refuse(f'"{key}" is not known there', nearest(key, _ROOT_KEYS))
        return content

    def _refuse(self, problem: str, hint: str) -> NoReturn:
        raise ConfigurationError(f"{self._path}: {problem}", hint)


def _values(profile: Profile) -> dict[str, Any]:
    return settings_values(profile) | key_source_values(profile.key_source)


def _set_default(name: str | None) -> Callable[[str], str]:
    from cmdstat.config_edits import set_values

    return lambda text: set_values(text, (), {"default": name})
