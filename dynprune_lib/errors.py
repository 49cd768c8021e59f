"""Errors that the command line reports in one line, without a traceback."""

OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")  # torch's messages


class DynpruneError(Exception):
    """Error that a user can fix; the message says what and how."""


class SpecError(DynpruneError, ValueError):
    """Setting, name or combination that is not allowed."""


class DataError(DynpruneError):
    """Data set that is missing, incomplete or damaged."""


class StoreError(DynpruneError):
    """File of the store that cannot be read or written."""


class StoreNotWritable(StoreError):
    """Folder that cannot be written: nothing can be saved."""


class Busy(DynpruneError):
    """Run that another process makes, or device that another run uses while a run needs it to itself."""


class TrainingDiverged(DynpruneError):
    """Loss that is not finite."""


class SweepError(DynpruneError):
    """Runs that were asked for and are missing."""


class NotebookError(DynpruneError):
    """Notebook that failed, or a parameter that no notebook has."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the memory of the machine or of the device was too small."""
    return isinstance(error, MemoryError) or any(word in str(error) for word in OUT_OF_MEMORY)
