"""The store of run records: a folder of small json files, written whole or not at all."""

import contextlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch

from dynprune_lib.errors import RunIsTaken, StoreError, StoreNotWritable
from dynprune_lib.runs import Cost, RunRecord, RunSpec, StaticScores


@dataclass(frozen=True)
class Store:
    """Records in `folder`: NAME.json, beside it NAME.npz with how often each sample was selected. Scores that were
    computed before training are in `scores`, as such pairs too. Checkpoints and locks of runs under way are in the
    hidden folder `.running`, which is not worth keeping."""

    folder: Path

    def load(self, spec: RunSpec) -> RunRecord | None:
        """The record of this run, None if it has not been made.

        Raises:
            StoreError: the record is damaged, or was made when a default had another value.
        """
        path = self._path(spec, ".json")
        if not path.exists():
            return None
        record = _read_record(path)
        if record.spec != spec:
            raise StoreError(f"{path} is of {record.spec}, not of {spec}: remove it and the run is made again")
        return record

    def has(self, spec: RunSpec) -> bool:
        """Is there a record of this run?"""
        return self._path(spec, ".json").exists()

    def records(self) -> list[RunRecord]:
        """All the records, in the order of their names."""
        return [_read_record(path) for path in sorted(self.folder.glob("*.json"))]

    def selections(self, spec: RunSpec) -> np.ndarray:
        """In how many epochs of the run each training sample was selected, (N,) unsigned integers.

        Raises:
            StoreError: the record came without them: the repository keeps those that a notebook reads.
        """
        return self._kept(spec, "selections")

    def trace(self, spec: RunSpec) -> np.ndarray:
        """Mean scores of the run's traced samples after every epoch, (epochs, samples) float16; inf: not scored yet.

        Raises:
            StoreError: the record came without them.
        """
        return self._kept(spec, "trace")

    def save(self, record: RunRecord, arrays: dict[str, np.ndarray]) -> None:
        """Keeps a finished run and forgets its checkpoint. The record comes last: where it is, all of it is."""
        self._save_pair(self._path(record.spec, ""), arrays, record.to_json())
        self._running(record.spec, ".pt").unlink(missing_ok=True)

    def load_scores(self, spec: RunSpec) -> StaticScores | None:
        """The scores of a scoring, None if it has not been made.

        Raises:
            StoreError: they are damaged.
        """
        path = self._scores(spec, ".json")
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text())
            values = self._array(path.with_suffix(".npz"), "scores")
            return StaticScores(
                spec=RunSpec.from_dict(content["spec"]),
                values=torch.from_numpy(values),
                cost=Cost(**content["cost"]),
                environment=content["environment"],
            )
        except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
            raise StoreError(f"{path} has no whole scores ({error}): remove it and they are made again") from error

    def save_scores(self, scores: StaticScores) -> None:
        """Keeps the scores of a finished scoring and forgets its checkpoint."""
        content = {"spec": asdict(scores.spec), "cost": asdict(scores.cost), "environment": scores.environment}
        self._save_pair(self._scores(scores.spec, ""), {"scores": scores.values.numpy()}, json.dumps(content, indent=2))
        self._running(scores.spec, ".pt").unlink(missing_ok=True)

    def save_checkpoint(self, spec: RunSpec, state: dict[str, Any]) -> None:
        """Keeps the state of a run under way in place of an earlier one."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_whole(self._running(spec, ".pt"), buffer.getvalue())

    def load_checkpoint(self, spec: RunSpec) -> dict[str, Any] | None:
        """The last state of an interrupted run, on the CPU; None if there is none.

        Raises:
            StoreError: it is damaged.
        """
        path = self._running(spec, ".pt")
        try:
            return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise StoreError(f"{path} is no whole checkpoint: remove it and the run begins anew") from error

    @contextlib.contextmanager
    def claim(self, spec: RunSpec) -> Iterator[None]:
        """Holds the run for this process; the system lets go of it however the process ends.

        Raises:
            RunIsTaken: another process holds it.
            StoreNotWritable: the folder cannot be written.
        """
        path = self._running(spec, ".lock")
        _make_folder(path.parent)
        lock = filelock.FileLock(path, timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise RunIsTaken(f"{spec.name} is being trained by another process") from None
        except OSError as error:
            raise StoreNotWritable(f"cannot write {path}: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()

    def _kept(self, spec: RunSpec, name: str) -> np.ndarray:
        path = self._path(spec, ".npz")
        if not path.exists():
            raise StoreError(f"{path} is not here: remove the record beside it and the run is made again, with both")
        return self._array(path, name)

    @staticmethod
    def _array(path: Path, name: str) -> np.ndarray:
        with np.load(path) as file:
            return file[name]

    @staticmethod
    def _save_pair(path: Path, arrays: dict[str, np.ndarray], text: str) -> None:
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)
        write_whole(path.with_name(path.name + ".npz"), packed.getvalue())
        write_whole(path.with_name(path.name + ".json"), text.encode())

    def _scores(self, spec: RunSpec, suffix: str) -> Path:
        return self.folder / "scores" / (spec.name + suffix)

    def _path(self, spec: RunSpec, suffix: str) -> Path:
        return self.folder / (spec.name + suffix)

    def _running(self, spec: RunSpec, suffix: str) -> Path:
        return self.folder / ".running" / (spec.name + suffix)


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that at every moment, whatever happens, it is the old one or the new one.

    Raises:
        StoreNotWritable: it cannot be written; the message says why.
    """
    _make_folder(path.parent)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreNotWritable(f"cannot write {path}: {error.strerror}") from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreNotWritable(f"cannot make the folder {folder}: {error.strerror}") from error


def _read_record(path: Path) -> RunRecord:
    try:
        return RunRecord.from_json(path.read_text())
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is no whole run record ({error}): remove it and the run is made again") from error
