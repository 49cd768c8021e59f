"""Write a part of the golden net anew: names, records, subsets or training. The commit says what changed, and why."""

import json
import os
import sys
import tempfile

from tests.golden import FOLDER, names, subsets, training


def write(part):
    if part == "training":
        os.environ["DYNPRUNE_CACHE"] = tempfile.mkdtemp()  # locks of its own: one run has its device to itself
        runs = {name: training.losses(name, tempfile.mkdtemp()) for name in training.RUNS}
        others = [each for each in training.golden() if each["made on"] != training.here()]
        text = json.dumps([*others, {"made on": training.here(), "runs": runs}], indent=1)
    else:
        made = {"names": names.run_names, "records": names.record_lines, "subsets": subsets.all_hashes}[part]()
        text = "\n".join(made)
    (FOLDER / f"{part}.{'json' if part == 'training' else 'txt'}").write_text(text + "\n")


if __name__ == "__main__":
    for part in sys.argv[1:]:
        write(part)
