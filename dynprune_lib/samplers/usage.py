"""How a training loop uses a sampler: what it trains on in an epoch, and mistakes that raise no error by themselves."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from dynprune_lib.samplers.merge import over_all_processes, world_size
from dynprune_lib.samplers.selection import none_of

TOLD_BELOW = 0.6  # fraction of an epoch that was trained on; a loader that shards again leaves a half or less


class Usage:
    """Record of what this process has trained on since the last `set_epoch`; 1 byte for each of N samples."""

    def __init__(self, num_samples: int) -> None:
        self.trained: Tensor = none_of(num_samples)
        self.num_trained: int = 0
        self.num_batches: int = 0
        self.num_skipped: int = 0  # samples at the start of this epoch that a resumed run had trained on before
        self.not_finite: Tensor | None = None  # a tensor: an int would synchronise the device
        self.resumed_epoch: int | None = None  # of which another process may have trained on a part
        self.is_iterated: bool = False  # since the last `set_epoch`, of a sampler that needs scores
        self.is_started: bool = False  # by `set_epoch`: before, no epoch can have gone wrong
        self.are_shards_checked: bool = False
        self.largest_batch: int = 0
        self.told: set[str] = set()  # kinds of mistakes, which a loop repeats every epoch

    def count_batch(self, index: Tensor) -> None:
        """Count a batch that is trained on, (B,) int64."""
        self.num_trained, self.num_batches = self.num_trained + len(index), self.num_batches + 1
        self.largest_batch = max(self.largest_batch, len(index))
        with torch.inference_mode(False):
            self.trained = self.trained.to(index.device).index_fill_(0, index, True)

    def count_scores(self, usable: Tensor) -> None:
        """Count recorded scores; `usable` (B,) bool marks the finite ones."""
        not_finite = (~usable).sum()
        self.not_finite = not_finite if self.not_finite is None else self.not_finite.to(usable.device) + not_finite

    def start_epoch(self, num_trained: int = 0, num_skipped: int = 0) -> None:
        """Forget the epoch before, and continue a resumed one after so many samples."""
        self.num_trained, self.num_batches, self.num_skipped, self.not_finite = num_trained, 0, num_skipped, None
        self.is_iterated = False
        self.trained.zero_()

    def warn_once(self, kind: str, text: str, stacklevel: int = 3) -> None:
        """Warn of a kind of mistake that a loop would repeat, at the line of the loop."""
        if kind not in self.told:
            self.told.add(kind)
            warnings.warn(text, stacklevel=stacklevel)

    def end_epoch(
        self, epoch: int, new_epoch: int, subset: Tensor | None, order: Callable[[], Tensor], shard: bool
    ) -> None:
        """Warn, or raise an error, of what went wrong in the epoch that is over; see `_check_shards`.

        Its `subset` in all processes together is None if nothing was trained on. `order` returns the indices which this
        process was given, in their order; with `shard`, they are its shard alone.
        """
        if self.not_finite is not None and (number := int(self.not_finite)):
            told = f"{number} scores of epoch {epoch} were not finite and were not recorded"
            warnings.warn(told, stacklevel=3)
        if new_epoch < epoch:
            self.warn_once(
                "back",
                f"the epoch goes back from {epoch} to {new_epoch}: a loader that accelerate or Fabric has prepared"
                " counts the epochs itself, so pass it sampler=sampler.view(); resumed, a loop begins at sampler.epoch;"
                " for another run, make another sampler",
                stacklevel=4,
            )
        if self.is_iterated and new_epoch > epoch and not self.num_trained and self.not_finite is None:
            self.warn_once(
                "nothing",
                f"epoch {epoch}: a loader took the samples, and none was passed to update() or mean_loss(): with"
                " drop_last=True, an epoch smaller than a batch has no batch",
                stacklevel=4,
            )
        is_started, self.is_started = self.is_started, True
        if epoch == self.resumed_epoch or subset is None:
            return
        if world_size() > 1 and new_epoch > epoch and not self.are_shards_checked:
            self._check_shards(epoch, subset, order(), shard)
        if not is_started or not self.num_trained:
            return
        seen, share = self.trained.cpu(), len(subset) // world_size()
        if others := int(seen.sum()) - int(seen[subset.long()].sum()):
            self.warn_once(
                "others",
                f"epoch {epoch}: trained on {others} samples that the sampler has not selected: pass it to the"
                " DataLoader as `sampler=` and do not wrap it (a DistributedSampler around it selects others), and wrap"
                " the outermost data set in indexed(), not one inside a ConcatDataset or a Subset",
                stacklevel=4,
            )
        elif self.num_trained < TOLD_BELOW * share and self.num_trained + self.largest_batch <= share:
            self.warn_once(
                "part",
                f"epoch {epoch}: trained on {self.num_trained} of {share} selected samples. If you did not cut it"
                " short, does the loader limit what the sampler has selected?",
                stacklevel=4,
            )

    def _check_shards(self, epoch: int, subset: Tensor, order: Tensor, shard: bool) -> None:
        """Raise a RuntimeError in all processes if the samples of this epoch were distributed twice, or not at all."""
        world, trained = world_size(), self.trained.cpu()
        times = over_all_processes(trained.int(), "SUM")
        distinct, common = int((times > 0).sum()), int((times == world).sum())
        # an epoch that was cut short has the first samples of every process, one that was distributed twice has gaps
        seen = trained if shard else times > 0  # without shards, the order is that of all processes together
        has_gaps = not bool(seen[order[: int(seen.sum())]].all())
        is_short = self.num_batches < 2  # a single batch may have been filled up with all samples
        found = torch.tensor([is_short, has_gaps], dtype=torch.int32, device="cpu")
        is_short, has_gaps = over_all_processes(found, "MAX").bool().tolist()
        self.are_shards_checked = distinct > 0 and not is_short
        if common and common >= TOLD_BELOW * distinct and not is_short:
            raise RuntimeError(
                f"all {world} processes have trained on the same samples in epoch {epoch}: nothing distributes them;"
                " make the sampler with shard=True"
            )
        if 0 < distinct <= 1.5 * len(subset) / world and has_gaps:
            raise RuntimeError(
                f"the {world} processes have trained on only {distinct} of the {len(subset)} samples of epoch {epoch}:"
                " they were distributed twice; make the sampler with shard=False if the loader distributes samples, as"
                " one does that accelerate has prepared, do not wrap either of them, and pass whole batches to update()"
            )
