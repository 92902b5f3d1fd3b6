"""Where cmdstat's files live: the folders that the platform names, and nothing read or made yet."""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cmdstat.errors import ConfigurationError

_NAME = "cmdstat"
_XDG = {
    "config": ("XDG_CONFIG_HOME", ".config"),
    "state": ("XDG_STATE_HOME", ".local/state"),
    "data": ("XDG_DATA_HOME", ".local/share"),
}


@dataclass(frozen=True, slots=True)
class Paths:
    """The three folders, and the files in them. `journal_override` is `CMDSTAT_JOURNAL`."""

    config_dir: Path
    state_dir: Path
    data_dir: Path
    journal_override: Path | None = None

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Paths:
        """The paths that an environment names; an empty variable is unset."""
        override = env.get("CMDSTAT_JOURNAL")
        return cls(
            config_dir=_folder("config", env),
            state_dir=_folder("state", env),
            data_dir=_folder("data", env),
            journal_override=Path(override).absolute() if override else None,
        )

    @property
    def config_file(self) -> Path:
        """Profiles and their settings; holds no key."""
        return self.config_dir / "config.toml"

    @property
    def credentials_file(self) -> Path:
        """The stored keys, mode 0600."""
        return self.config_dir / "credentials.toml"

    @property
    def config_lock_file(self) -> Path:
        """Held while either of the two is written; always empty, never removed."""
        return self.config_dir / ".lock"

    @property
    def journal_file(self) -> Path:
        """What was sent and what came of it."""
        return self.journal_override or self.state_dir / "journal.db"

    @property
    def sandbox_file(self) -> Path:
        """The rehearsal server's commands."""
        return self.data_dir / "sandbox.db"


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner can enter, mode 0700 from its first moment; returns it.

    Folders above it that are missing are made in the same way; one that exists keeps its mode.
    Raises `ConfigurationError` where that is not possible.
    """
    try:
        for folder in (*reversed(path.parents), path):
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "something else has that name")
    except OSError as error:
        raise ConfigurationError(
            f"the folder {path} could not be made: {error.strerror or error}",
            "check who owns the folders above it and that the disk is not full",
        ) from error
    return path


def _folder(kind: str, env: Mapping[str, str]) -> Path:
    """One of the folders.

    platformdirs reads the process's own environment, and its import is slow, so what `env` says on
    Linux is looked up here, by the same rules (a relative `XDG_*` is ignored).
    """
    if sys.platform not in ("win32", "darwin"):
        variable, below_home = _XDG[kind]
        named = Path(env.get(variable, ""))
        if named.is_absolute():
            return named / _NAME
        if env.get("HOME"):
            return Path(env["HOME"], below_home, _NAME).absolute()
    import platformdirs

    find = {
        "config": platformdirs.user_config_path,
        "state": platformdirs.user_state_path,
        "data": platformdirs.user_data_path,
    }
    return find[kind](_NAME, appauthor=False)
