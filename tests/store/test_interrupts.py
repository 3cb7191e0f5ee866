"""Signals: what ends a program, what waits, what is ignored."""

import os
import signal
import threading

import pytest

from mirfeat.store import interrupts

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals")


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_every_signal_ends_the_block_and_says_which(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as caught, interrupts.all_like_ctrl_c():
        signal.raise_signal(number)
    assert interrupts.exit_code(caught.value) == 128 + number
    assert signal.getsignal(number) is before


def test_a_second_signal_right_after_the_first_changes_nothing() -> None:
    kept = []

    def saved_at_the_end() -> None:
        with interrupts.all_like_ctrl_c():
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGTERM)
                kept.append(1)

    with pytest.raises(KeyboardInterrupt):
        saved_at_the_end()
    assert kept


def test_one_that_comes_later_ends_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_SAME_WISH_SECONDS", -1.0)
    with interrupts.all_like_ctrl_c():
        with pytest.raises(interrupts.Interrupted):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(interrupts.Interrupted):
            signal.raise_signal(signal.SIGTERM)


def test_what_is_to_be_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.all_like_ctrl_c():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_deferred_signal_takes_effect_at_the_end_of_the_block() -> None:
    done = []

    def work() -> None:
        with interrupts.deferred():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append(1)
        done.append(2)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [1]


def test_other_threads_are_left_alone() -> None:
    done = []

    def work() -> None:
        with interrupts.all_like_ctrl_c(), interrupts.deferred():
            done.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [1]


def test_of_an_interrupt_without_a_number_it_is_that_of_ctrl_c() -> None:
    assert interrupts.exit_code(KeyboardInterrupt()) == 130
