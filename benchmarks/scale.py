"""Simulate a profile on several GPUs, in hours at the speed of your GPU.

    python benchmarks/scale.py paper --images-per-second 20000

`python benchmarks/training.py --profile short` measures the speed. `docs/cluster.md` has the same in passes.
"""

import argparse

from dynprune_lib.experiments.profile import load_profile
from dynprune_lib.report.scaling import hours, run_passes, simulate

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile")
    parser.add_argument("--images-per-second", type=float, required=True)
    options = parser.parse_args()
    passes = run_passes(load_profile(options.profile).runs())["passes"]
    print(simulate(hours(passes, options.images_per_second).tolist(), "hours").to_string(index=False))
