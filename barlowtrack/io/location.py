"""Where a recording lies: a path, or the address of one on a server, which a path can carry too."""

from __future__ import annotations

import os
import re
from pathlib import Path

from barlowtrack.errors import InputError

SERVERS = ("http", "https", "s3", "gs", "memory")
"""Of addresses that are opened."""
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+:/{1,2}"  # a path makes one slash of two; one letter is a disk of Windows
_ADDRESS = re.compile(rf"^({_SCHEME})(.+)$", re.DOTALL)
# what follows a colon and is no port is a password, with slashes and question marks in it as it may be
_PORT = r"(?!\d{1,5}(?:[/?:,;)\s'\"]|$))"
_LOGIN_OF_ONE = re.compile(rf"(?!\[)[^/?]*?:{_PORT}.*@|[^/?]*@", re.DOTALL)
_LOGIN_IN_TEXT = re.compile(rf"(\b{_SCHEME})(?:(?!\[)[^\s/?'\"]*?:{_PORT}[^\s'\"]*@|[^\s/?'\"]*@)")
_QUERY_IN_TEXT = re.compile(rf"(\b{_SCHEME}[^\s?'\"]*)\?(?!\.\.\.)[^\s'\"]*?(?=[:,;)]*(?:[\s'\"]|$))")


def as_url(location: Path | str) -> str | None:
    """Returns the address of what lies on a server, also where a path has taken a slash from it; None of a path on this machine."""
    found = _ADDRESS.match(str(location))
    if not found:
        return None
    scheme = found[1].partition(":")[0].lower()
    login = _LOGIN_OF_ONE.match(found[2])
    start = login.end() if login else 0
    place, mark, query = found[2][start:].partition("?")
    return f"{scheme}://{found[2][:start]}{place.rstrip('/')}{mark}{query}"


def without_query(location: Path | str) -> str:
    """Returns a path as it is, and an address without what opens it: user, password, and the values behind a question mark."""
    url = as_url(location)
    if url is None:
        return str(location)
    scheme, _, place = url.partition("://")
    return f"{scheme}://{_LOGIN_OF_ONE.sub('', place, count=1) if _LOGIN_OF_ONE.match(place) else place}".partition("?")[0]


def shown(location: Path | str) -> str:
    """Returns a path or an address for a message; whoever reads it cannot open with it what needs a password or a signature."""
    return without_query(location) + ("?..." if "?" in (as_url(location) or "") else "")


def scrubbed(text: str) -> str:
    """Returns a message without what opens the addresses in it, also where a path has taken a slash from one."""
    return _QUERY_IN_TEXT.sub(r"\1?...", _LOGIN_IN_TEXT.sub(r"\1", text))


def refuse_addresses(location: Path | str) -> None:
    """Refuses an address that cannot be opened, and one with a password in it, which shells and logs would keep.

    Raises:
        InputError: it is one.
    """
    url = as_url(location)
    if url is None:
        return
    scheme, _, place = url.partition("://")
    if scheme not in SERVERS:
        read = ", ".join(f"{name}://" for name in SERVERS[:-1])
        fix = "give the path alone" if scheme == "file" else "copy it to this machine first"
        raise InputError(f"{shown(location)}: expected a path, or an address that can be read ({read}), got {scheme}://; {fix}")
    if _LOGIN_OF_ONE.match(place):
        raise InputError(f"{shown(location)}: expected an address without user and password; give them in fsspec's own configuration")


def whole(location: Path) -> Path:
    """Returns the absolute path of what lies on this machine; an address as it is."""
    return location if as_url(location) else location.absolute()


def is_there(location: Path) -> bool:
    """Says whether something lies there; of a server, whoever opens it will say."""
    return as_url(location) is not None or location.exists()


def beside(location: Path) -> Path:
    """Returns the folder in which a recording lies; of one on a server, the folder we are in."""
    return Path.cwd() if as_url(location) else Path(os.path.abspath(location)).parent


def seen_from(folder: Path, location: Path) -> str:
    """Returns how a run folder writes down where its recording lies: a relative path, or an address."""
    if as_url(location) is not None:
        return without_query(location)
    place = Path(os.path.abspath(location))  # a link keeps its own name, which is that of the recording
    return os.path.relpath(place.parent.resolve() / place.name, folder.resolve())


def location_from(folder: Path, written: str) -> Path:
    """Returns where the recording lies that a run folder wrote down; see seen_from."""
    return Path(written) if as_url(written) else Path(os.path.normpath(folder / written))
