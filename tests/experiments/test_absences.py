import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from dynprune_lib.experiments.absences import Absences

EPOCHS = st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=8)


@given(EPOCHS)
def test_absences_against_plain_python(epochs):
    absences = Absences(6)
    for kept in epochs:
        absences.count(torch.tensor(kept).nonzero().flatten())
    longest = []
    for sample in range(6):
        marks = "".join("k" if kept[sample] else "." for kept in epochs)
        longest.append(max(map(len, marks.split("k"))))
    overlap = [None]
    for before, now in itertools.pairwise(epochs):
        left_out = {sample for sample in range(6) if not now[sample]}
        again = {sample for sample in left_out if not before[sample]}
        overlap.append(round(len(again) / len(left_out), 4) if left_out else None)
    found = absences.summary()
    assert (found.overlap, found.longest_absence) == (overlap, max(longest))
    assert found.median_absence == sorted(longest)[2]  # the lower one of two


def test_counting_resumes_from_a_state():
    subsets = [torch.tensor(subset) for subset in ([0, 1], [0], [2, 3])]
    whole, first, second = Absences(4), Absences(4), Absences(4)
    for subset in subsets:
        whole.count(subset)
    first.count(subsets[0])
    second.load_state_dict(first.state_dict())
    for subset in subsets[1:]:
        second.count(subset)
    assert second.summary() == whole.summary()
    assert len(first.overlap) == 1
