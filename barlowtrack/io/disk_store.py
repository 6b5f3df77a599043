"""A zarr on a disk that knows no hard links, as USB disks and some of networks do."""

from __future__ import annotations

from zarr.core.buffer import Buffer
from zarr.storage import LocalStore


class DiskStore(LocalStore):
    """A folder to write into; zarr's own makes a hard link of what must not replace anything. Nobody else may write here meanwhile."""

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        if not (self.root / key).exists():
            await self.set(key, value)
