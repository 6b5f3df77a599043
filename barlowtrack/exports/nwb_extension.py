"""The types of ndx-multichannel-volume, from its description that lies beside this file."""

from __future__ import annotations

from importlib import resources
from typing import Any

NAMESPACE = "ndx-multichannel-volume"


def load_extension() -> None:
    """Makes the types of the extension known, unless its own package did so."""
    from pynwb import get_type_map, load_namespaces

    if NAMESPACE not in get_type_map().namespace_catalog.namespaces:
        with resources.as_file(resources.files("barlowtrack.exports").joinpath("nwb_spec")) as folder:
            load_namespaces(str(folder / f"{NAMESPACE}.namespace.yaml"))


def extension(name: str) -> Any:
    """Returns a class of the extension."""
    from pynwb import get_class

    return get_class(name, NAMESPACE)
