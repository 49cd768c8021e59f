"""Tables of runs, without training."""

import dataclasses

import pandas as pd

from tests.helpers import make_record, tiny


def table(values, **columns):
    """Return runs from {(method, rate) or (method, rate, variant): accuracies by seed}."""
    rows = [
        {"method": method, "rate": rate, "variant": "".join(variant), "seed": seed, "test_accuracy": accuracy}
        | {"dataset": "digits", "model": "tiny", "epochs": 10, "modifier": "", "own_length": False, "annealed": False}
        | {"passes": 1e6 * (1 - rate), "forward_only": 0.0, "scoring_passes": 0.0, "scoring_forward_only": 0.0}
        | columns
        for (method, rate, *variant), accuracies in values.items()
        for seed, accuracy in enumerate(accuracies)
    ]
    return pd.DataFrame(rows)


RUNS = table(
    {
        ("full", 0.0): [90.0, 91.0, 92.0],
        ("ucb", 0.5): [88.0, 89.5, 91.0],
        ("dynamic-random", 0.5): [87.0, 88.0, 89.0],
        ("ucb", 0.7): [80.0, 81.0, 82.0],
        ("dynamic-random", 0.7): [80.0, 81.5, 81.0],
    }
)


def curve(method, accuracies, cost=1.0, **columns):
    """Return runs from {epochs: accuracies by seed}; an epoch costs `cost` epochs of full data."""
    defaults = {"dataset": "digits", "model": "tiny", "variant": "", "modifier": "", "forward_only": 0.0}
    defaults |= {"settings": {}, "own_length": False, "annealed": False}
    defaults |= {"scoring_passes": 0.0, "scoring_forward_only": 0.0, "rate": 1 - cost, "chosen_by_rule": float("nan")}
    rows = [
        defaults | {"method": method, "epochs": epochs, "seed": seed, "test_accuracy": accuracy}
        | {"passes": 1000 * cost * epochs} | columns
        for epochs, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows)


FULL = curve("full", {1: [79.0, 81.0], 2: [90.0]})


def timed(*seconds, device="cpu", **settings):
    """Return a record with these seconds of training per epoch; selection and scoring take 3 more."""
    record = make_record(tiny(**{"alone": True, "epochs": 4} | settings))
    taken = zip(record.epochs, seconds or (99, 7, 1, 2), strict=True)
    epochs = [dataclasses.replace(epoch, training_seconds=training) for epoch, training in taken]
    return dataclasses.replace(record, epochs=epochs, environment=record.environment | {"device": device})
