"""Store of run records: a folder of small JSON files, each written whole or not at all."""

import contextlib
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dynprune_lib.errors import StoreError
from dynprune_lib.experiments.locks import lock
from dynprune_lib.experiments.records import Cost, RunRecord, StaticScores
from dynprune_lib.experiments.runs import RunSpec
from dynprune_lib.files import atomic_write, read_if_there, reading

CHECKPOINT = b"dynprune checkpoint, version 3\n"  # the first line of one; the second is the SHA-256 of the rest


@dataclass(frozen=True)
class Store:
    """Store of records in a folder.

    A record is NAME.json, next to it NAME.npz with how often each sample was selected. Scores from before training are
    such pairs in `scores`. The hidden folder `.running` holds checkpoints, locks and failures of unfinished runs.
    Reading a damaged file, or one whose content is not what its name says, raises StoreError with the file and the
    remedy.
    """

    folder: Path

    def load(self, spec: RunSpec) -> RunRecord | None:
        """Return the record of this run, None if there is none."""
        path = self._path(spec, ".json")
        record = self._read_record(path)
        if record and record.spec != spec:
            raise StoreError(f"{path} is of {record.spec}, not of {spec}: remove it and the run is made again")
        return record

    def has(self, spec: RunSpec) -> bool:
        return self._path(spec, ".json").exists()

    def has_selections(self, spec: RunSpec) -> bool:
        return self._path(spec, ".npz").exists()

    def records(self) -> list[RunRecord]:
        """Return all records, in the order of their names."""
        found = (self._read_record(path) for path in sorted(self.folder.glob("*.json")))
        return [record for record in found if record]

    def selections(self, spec: RunSpec) -> np.ndarray:
        """Return in how many epochs of the run each training sample was selected, (N,) unsigned integers.

        The repository keeps only those that a notebook reads.
        """
        with self._kept(spec) as arrays:
            counts = arrays["selections"]
            if counts.ndim != 1 or counts.dtype.kind not in "ui" or counts.max() > spec.epochs or counts.min() < 0:
                raise ValueError(f"selections of {counts.dtype} and shape {counts.shape} up to {counts.max()}")
        return counts

    def trace(self, spec: RunSpec) -> np.ndarray:
        """Return the mean scores of the traced samples after each of `spec.traced_epochs`, (epochs, samples) float16.

        Those of samples without a score yet are infinite.
        """
        with self._kept(spec) as arrays:
            trace = arrays["trace"]
            is_whole = trace.ndim == 2 and len(trace) == len(spec.traced_epochs)
            if not is_whole or trace.dtype != np.float16 or np.isnan(trace).any():
                raise ValueError(f"a trace of {trace.dtype} and shape {trace.shape}")
        return trace

    def save(self, record: RunRecord, arrays: dict[str, np.ndarray]) -> None:
        """Keep a finished run and forget its checkpoint. The record comes last: where it is, all of it is."""
        self._save_pair(self._path(record.spec, ""), arrays, record.to_json())
        self.forget_checkpoint(record.spec)

    def forget_checkpoint(self, spec: RunSpec) -> None:
        """Remove the checkpoint of a run: when it is finished, or left by a process that was killed just then."""
        self._path(spec, ".pt", ".running").unlink(missing_ok=True)

    def load_scores(self, spec: RunSpec) -> StaticScores | None:
        """Return the scores of a scoring, None if there are none."""
        path = self._path(spec, ".json", "scores")
        with reading(path, "is not a complete file of scores", "they are made again"):
            text = read_if_there(path)
            if text is None:
                return None
            content = json.loads(text)
            with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
                values = torch.from_numpy(file["scores"])
            scores = StaticScores(
                spec=RunSpec(**content["spec"]),
                values=values,
                cost=Cost(**content["cost"]),
                environment=content["environment"],
            )
            if scores.spec != spec:
                raise ValueError(f"they are of another scoring, {scores.spec.name}")
            if values.ndim != 1 or values.isnan().any():
                raise ValueError(f"scores of shape {tuple(values.shape)}, {int(values.isnan().sum())} not a number")
        return scores

    def has_scores(self, spec: RunSpec) -> bool:
        return self._path(spec, ".json", "scores").exists()

    def save_scores(self, scores: StaticScores) -> None:
        """Keep the scores of a finished scoring and forget its checkpoint."""
        content = {"spec": asdict(scores.spec), "cost": asdict(scores.cost), "environment": scores.environment}
        text = json.dumps(content, indent=2, allow_nan=False)
        self._save_pair(self._path(scores.spec, "", "scores"), {"scores": scores.values.numpy()}, text)
        self._path(scores.spec, ".pt", ".running").unlink(missing_ok=True)

    def save_checkpoint(self, spec: RunSpec, state: dict[str, Any], conditions: dict[str, str]) -> None:
        """Keep the state of a run under way. It can go on where the conditions, data and precision, are the same."""
        buffer = io.BytesIO()
        torch.save({"spec": asdict(spec), "conditions": conditions, "state": state}, buffer)
        content = buffer.getbuffer()
        digest = hashlib.sha256(content).hexdigest().encode()
        atomic_write(self._path(spec, ".pt", ".running"), b"".join([CHECKPOINT, digest, b"\n", content]))

    def load_checkpoint(self, spec: RunSpec, conditions: dict[str, str]) -> dict[str, Any] | None:
        """Return the last state of an interrupted run, on the CPU; None if there is none.

        Nothing in a checkpoint is executed, and its content is read only if its checksum is right.
        """
        path = self._path(spec, ".pt", ".running")
        with self.reading_checkpoint(spec):
            content = read_if_there(path)
            if content is None:
                return None
            head, digest = content[: len(CHECKPOINT)], content[len(CHECKPOINT) : len(CHECKPOINT) + 65]
            state = memoryview(content)[len(CHECKPOINT) + 65 :]  # a view: models are large
            if head != CHECKPOINT:
                raise ValueError("its first line is wrong: another version made it, or it is damaged")
            if hashlib.sha256(state).hexdigest().encode() + b"\n" != digest:
                raise ValueError("its checksum is wrong")
            found = torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)
            if RunSpec(**found["spec"]) != spec:  # fields that it lacks have their defaults, as in a record
                raise ValueError("it is of another run")
            for name, value in conditions.items():
                if found["conditions"][name] != value:
                    raise ValueError(f"its {name} is {found['conditions'][name]}, here it is {value}")
        return found["state"]

    def reading_checkpoint(self, spec: RunSpec) -> contextlib.AbstractContextManager[None]:
        """Turn whatever is wrong with a run's checkpoint, inside this context, into a StoreError."""
        return reading(self._path(spec, ".pt", ".running"), "is not a usable checkpoint", "the run begins anew")

    @contextlib.contextmanager
    def claim(self, spec: RunSpec) -> Iterator[None]:
        """Hold the run for this process, until it ends; Busy if another process holds it."""
        path = self._path(spec, ".lock", ".running")
        with lock(path):
            try:
                yield
            finally:  # who has opened it meanwhile locks a file that is no more: at worst, a run is made twice
                path.unlink(missing_ok=True)

    def save_failure(self, spec: RunSpec, message: str) -> None:
        """Keep why the run failed, until it is made or begun again."""
        atomic_write(self._path(spec, ".failed", ".running"), message.encode())

    def failure(self, spec: RunSpec) -> str | None:
        """Return why the run failed when it was last tried; None if it did not."""
        message = read_if_there(self._path(spec, ".failed", ".running"))
        return None if message is None else message.decode()

    def forget_failure(self, spec: RunSpec) -> None:
        path = self._path(spec, ".failed", ".running")
        if path.exists():  # the folder of the store may be a file: whoever writes into it tells
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _kept(self, spec: RunSpec) -> Iterator[dict[str, np.ndarray]]:
        path = self._path(spec, ".npz")
        if not path.exists():
            raise StoreError(f"{path} is missing: remove the record next to it and the run is made again, with both")
        then = f"{spec.name}.json too, and the run is made again"
        with reading(path, "is not a complete file of arrays", then), np.load(path, allow_pickle=False) as file:
            yield dict(file)

    @staticmethod
    def _read_record(path: Path) -> RunRecord | None:
        with reading(path, "is not a complete run record", "the run is made again"):
            text = read_if_there(path)
            return None if text is None else RunRecord.from_json(text.decode())

    @staticmethod
    def _save_pair(path: Path, arrays: dict[str, np.ndarray], text: str) -> None:
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]  # NumPy's stub has a flag of its own there
        atomic_write(path.with_name(path.name + ".npz"), packed.getvalue())
        atomic_write(path.with_name(path.name + ".json"), text.encode())

    def _path(self, spec: RunSpec, suffix: str, folder: str = "") -> Path:
        return self.folder / folder / (spec.name + suffix)
