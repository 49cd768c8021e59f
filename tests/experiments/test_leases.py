"""Leases, with two processes: one holds, the other takes over when the owner has ended or stopped, and never before."""

import dataclasses
import multiprocessing
import os
import signal
import time

import pytest

from dynprune_lib.errors import RunLocked
from dynprune_lib.experiments import leases, owners
from dynprune_lib.experiments.leases import DURATION, Lease

DAY = 86_400.0


def hold(path, pipe, host, clock_error, renewal):
    """Hold the lease on a machine that calls itself `host`, until told to let go; then tell whether it was lost."""
    owners._machine = lambda: host
    true_time = owners.time.time
    owners.time.time = lambda: true_time() + clock_error
    leases.RENEWAL = renewal
    lease = Lease(path)
    pipe.send("held")
    pipe.recv()
    pipe.send(lease.is_lost())
    lease.release()
    pipe.send("released")


class Holder:
    """A process that holds a lease."""

    def __init__(self, path, host, clock_error=0.0, renewal=1_000.0):
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=hold, args=(path, other, host, clock_error, renewal))
        self.process.start()
        self.next()

    def next(self):
        assert self.pipe.poll(60)
        return self.pipe.recv()

    def let_go(self):
        """Release the lease; return whether it was lost."""
        self.pipe.send("let go")
        lost = self.next()
        self.next()
        return lost

    def kill(self):
        self.process.kill()
        self.process.join()


@pytest.fixture
def holder(tmp_path):
    started = []

    def start(host=None, **options):
        started.append(Holder(tmp_path / "run.lock", host or owners._machine(), **options))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.lock"


@pytest.fixture
def pass_time(monkeypatch):
    """Move the clock of this process forward."""
    now = 0.0
    monkeypatch.setattr(leases.time, "monotonic", lambda: now)

    def forward(seconds):
        nonlocal now
        now += seconds

    return forward


def is_held(path):
    try:
        Lease(path).release()
    except RunLocked:
        return True
    return False


def test_a_lease_is_held_once_and_released(path, tmp_path):
    lease = Lease(path)
    with pytest.raises(RunLocked, match="run is being trained by another process"):
        Lease(path)
    leases.check(path)
    lease.release()
    assert list(tmp_path.iterdir()) == []
    Lease(path).release()


def test_a_lease_tells_who_holds_it_and_what_for(path, monkeypatch):
    monkeypatch.setattr(leases, "RENEWAL", 0.01)
    lease = Lease(path)
    leases.note(path, "epoch 3 of 9")
    while leases.read_owner(path).note != "epoch 3 of 9":
        pass
    owner = leases.read_owner(path)
    assert (owner.pid, owner.is_local, owner.has_ended) == (os.getpid(), True, False)
    assert owner.since <= owner.renewed
    lease.release()
    leases.note(path, "nothing that is held")
    assert leases.read_owner(path) is None


def test_a_lease_that_is_put_aside_for_a_moment_is_renewed_afterwards(path, monkeypatch):
    monkeypatch.setattr(leases, "RENEWAL", 0.01)
    lease = Lease(path)
    aside = path.rename(path.with_name("aside"))
    time.sleep(0.2)
    aside.replace(path)
    content, end = path.read_bytes(), time.monotonic() + 20
    while path.read_bytes() == content:
        assert time.monotonic() < end
    assert not lease.is_lost()
    lease.release()


@pytest.mark.slow
def test_the_lease_of_a_killed_process_is_free_at_once_on_its_machine(path, holder):
    other = holder()
    assert is_held(path)
    other.kill()
    assert not is_held(path)


@pytest.mark.slow
@pytest.mark.parametrize("clock_error", [-DAY, DAY])
def test_elsewhere_it_expires_by_the_clock_of_who_waits(path, holder, pass_time, clock_error):
    other = holder("elsewhere", clock_error=clock_error)
    assert is_held(path)
    other.kill()
    pass_time(DURATION - 1)
    assert is_held(path)
    pass_time(1)
    assert not is_held(path)


@pytest.mark.slow
@pytest.mark.parametrize("clock_error", [-DAY, DAY])
def test_a_lease_that_is_renewed_never_expires(path, holder, pass_time, clock_error):
    other = holder("elsewhere", clock_error=clock_error, renewal=0.01)
    for _ in range(5):
        assert is_held(path)
        while path.read_bytes() == leases._seen[path][0]:  # until it is renewed
            pass
        pass_time(DURATION)
    assert is_held(path)
    assert other.let_go() is False
    assert not is_held(path)


@pytest.mark.slow
@pytest.mark.parametrize("host", [None, "elsewhere"])
def test_a_stopped_owner_loses_the_lease_and_learns_it(path, holder, pass_time, host):
    other = holder(host, renewal=0.01)
    os.kill(other.process.pid, signal.SIGSTOP)
    assert is_held(path)
    pass_time(DURATION)
    mine = Lease(path)
    os.kill(other.process.pid, signal.SIGCONT)
    assert other.let_go() is True
    assert not mine.is_lost()  # the other has neither renewed nor released what is no longer its own
    leases.check(path)
    mine.release()


def test_who_has_lost_a_lease_is_told_before_it_writes(path):
    lease = Lease(path)
    leases._remove(path, leases.read_owner(path).token)
    with pytest.raises(RunLocked, match="run was taken over by another process"):
        leases.check(path)
    lease.release()


def test_a_lease_that_was_replaced_meanwhile_is_put_back(path, tmp_path):
    lease = Lease(path)
    leases._remove(path, "the token of an earlier owner")
    leases.check(path)
    assert list(tmp_path.iterdir()) == [path]
    lease.release()


def test_file_systems_without_links_and_answers_that_are_lost(path, tmp_path, monkeypatch):
    link = os.link

    def no_links(*_):
        raise PermissionError(1, "Operation not permitted")

    def asked_twice(own, path):
        link(own, path)
        raise FileExistsError

    for mocked in (no_links, asked_twice):
        monkeypatch.setattr(os, "link", mocked)
        lease = Lease(path)
        assert not lease.is_lost()
        assert list(tmp_path.iterdir()) == [path]
        monkeypatch.setattr(os, "link", no_links)
        assert is_held(path)
        lease.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lease_that_cannot_be_written_leaves_nothing(path, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Lease(path)
    assert list(tmp_path.iterdir()) == []


def test_a_lease_that_says_nothing_expires(path, pass_time):
    path.touch()
    assert is_held(path)
    pass_time(DURATION)
    assert not is_held(path)


def test_a_process_id_that_is_used_again_is_another_process():
    owner = owners.Owner.this_process()
    assert not owner.has_ended
    if owner.started is not None:  # the system says when a process started
        assert dataclasses.replace(owner, started=owner.started - 1).has_ended


@pytest.mark.slow
def test_waiting_ends_when_owners_elsewhere_renew_or_expire(path, holder, pass_time, monkeypatch):
    monkeypatch.setattr(leases.time, "sleep", lambda _: pass_time(10))
    assert not leases.wait_for_expiry([path], lambda: False)  # nobody holds it
    lease = Lease(path)
    assert not leases.wait_for_expiry([path], lambda: False)  # a process of this machine: it is known to be alive
    lease.release()
    other = holder("elsewhere")
    assert not leases.wait_for_expiry([path], lambda: True)
    other.kill()
    assert leases.wait_for_expiry([path], lambda: False)
    assert not is_held(path)


@pytest.mark.slow
def test_waiting_ends_when_an_owner_elsewhere_renews(path, holder):
    holder("elsewhere", renewal=0.01)
    assert not leases.wait_for_expiry([path], lambda: False)
