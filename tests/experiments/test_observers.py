"""What watches a training, against plain Python and NumPy."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprune_lib.experiments.observers import ForgettingEvents, Losses, Selections

EPOCHS = st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=8)


@settings(max_examples=50, deadline=None)
@given(EPOCHS)
def test_absences_and_forgetting_against_plain_python(epochs):
    selections, forgetting = Selections(5), ForgettingEvents(5)
    for marks in epochs:
        selections.begin_epoch(torch.tensor(marks).nonzero().flatten(), None)
        forgetting.after_batch(torch.arange(5), 1 - torch.tensor(marks).float())  # where marked, it is right
    histories = list(zip(*epochs, strict=True))
    assert selections.counts.tolist() == [sum(history) for history in histories]
    for score, history in zip(forgetting.scores(), histories, strict=True):
        events = sum(before and not after for before, after in itertools.pairwise(history))
        assert score == (events if any(history) else float("inf"))
    longest = [max(map(len, "".join(".k"[kept] for kept in history).split("k"))) for history in histories]
    overlap = [None]
    for before, now in itertools.pairwise(epochs):
        left_out = {sample for sample in range(5) if not now[sample]}
        again = {sample for sample in left_out if not before[sample]}
        overlap.append(round(len(again) / len(left_out), 4) if left_out else None)
    found = selections.summary()["left_out"]
    assert (found.overlap, found.longest_absence) == (overlap, max(longest))
    assert found.median_absence == sorted(longest)[2]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=3, max_size=3), min_size=1, max_size=8), st.data())
def test_early_losses_against_numpy(epochs, data):
    observer, history = Losses(3), np.array(epochs)
    is_missing = np.array(data.draw(st.lists(st.booleans(), min_size=history.size, max_size=history.size)))
    history[is_missing.reshape(history.shape)] = np.nan  # drop_last leaves some samples out of some epochs
    for losses in history:
        index = torch.tensor(~np.isnan(losses)).nonzero().flatten()
        observer.after_batch(index, torch.tensor(losses, dtype=torch.float32)[index])
    resumed = Losses(3)
    resumed.load_state_dict(observer.state_dict())
    for sample, losses in enumerate(history.T):
        seen = losses[~np.isnan(losses)]
        variance = seen.var(ddof=1) if len(seen) > 1 else 0.0
        assert resumed.variances()[sample].item() == pytest.approx(variance, rel=1e-3, abs=1e-3)
        assert resumed.last[sample].item() == pytest.approx(seen[-1] if len(seen) else 0.0)
