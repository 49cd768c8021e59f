"""What goes wrong outside the code: told to the user in a line, without a traceback."""


class DynpruneError(Exception):
    """Something that a user can mend; the message says what and how."""


class SpecError(DynpruneError, ValueError):
    """What was asked for cannot be: a setting, a name or a combination that is not allowed."""


class DataError(DynpruneError):
    """A data set that is missing, incomplete or damaged."""


class StoreError(DynpruneError):
    """A file of the store that cannot be read or written."""


class StoreNotWritable(StoreError):
    """A file or folder of the store cannot be written: nothing can be kept."""


class RunLocked(StoreError):
    """Another process is making this run."""


class DeviceBusy(DynpruneError):
    """A run wants a device alone, and another run is on it."""


class TrainingDiverged(DynpruneError):
    """A loss that is not a finite number."""


class SweepError(DynpruneError):
    """Runs that were asked for and are not there."""


class NotebookError(DynpruneError):
    """A notebook that failed, or was given a parameter that it does not have."""


class PrivateFolderError(DynpruneError):
    """A folder for locks and caches that is not this user's alone, or cannot be made."""
