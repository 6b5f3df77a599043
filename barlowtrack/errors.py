"""What barlowtrack raises on purpose: the CLI turns these into one line and exit code 2."""


class BarlowtrackError(Exception):
    """Base of every error that is the input's or the settings' fault, not a bug of ours."""


class InputError(BarlowtrackError):
    """A recording, table or array that cannot be used; says what, where, expected, got."""


class ConfigError(BarlowtrackError):
    """A setting that does not exist or is out of bounds; says which, and the nearest valid one."""


class StorageError(BarlowtrackError):
    """A run folder that cannot be used: in use by another process, damaged, or not ours."""


class InUseError(StorageError):
    """A run folder in which somebody else is at work; it can be used when they are done."""


class MachineError(BarlowtrackError):
    """A machine that has no room, no memory or no GPU left; what was done until then is kept."""
