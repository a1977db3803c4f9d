"""Ctrl-C while PyROOT looks a name up."""

from __future__ import annotations

import os
import signal
import threading

import pytest
import ROOT

from hepml_root.interrupts import interrupts
from hepml_root.output import writing


def lose_one() -> None:
    """Press Ctrl-C and drop its exception, as a lookup of PyROOT does."""
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        return
    raise AssertionError("no exception was raised")


def test_one_that_a_lookup_of_root_loses_is_found():
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))

    def look_up_without_end() -> None:
        # Nearly all the time is spent in lookups, where the exception is dropped.
        with interrupts() as check:
            timer.start()
            for number in range(1_000_000):
                hasattr(ROOT, f"no_such_class_{number}")
                check()

    with pytest.raises(KeyboardInterrupt):
        look_up_without_end()


def test_it_is_raised_once():
    with interrupts() as check:
        check()
        lose_one()
        with pytest.raises(KeyboardInterrupt):
            check()
        check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_blocks_inside_of_one_another_share_it():
    with interrupts() as outer:
        with interrupts() as inner:
            lose_one()
            with pytest.raises(KeyboardInterrupt):
                outer()
            inner()
        with pytest.raises(KeyboardInterrupt), interrupts():
            signal.raise_signal(signal.SIGINT)
        outer()  # that one got out
        lose_one()
        with pytest.raises(KeyboardInterrupt):
            outer()


def test_a_file_does_not_get_its_name_after_one(tmp_path):
    def write() -> None:
        with writing(tmp_path / "note.txt") as temporary:
            temporary.write_text("half")
            lose_one()

    with pytest.raises(KeyboardInterrupt):
        write()
    assert os.listdir(tmp_path) == []


def test_a_handler_of_the_program_stays():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        with interrupts() as check:
            signal.raise_signal(signal.SIGINT)
            check()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [1]


def test_outside_of_the_main_thread_nothing_is_changed():
    found = []

    def work() -> None:
        with interrupts() as check:
            check()
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


def test_another_thread_does_not_take_what_the_main_one_lost():
    raised = []

    def work() -> None:
        try:
            with interrupts() as check:
                check()
        except KeyboardInterrupt:
            raised.append("in the thread")

    with interrupts() as check:
        lose_one()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        with pytest.raises(KeyboardInterrupt):
            check()
    assert raised == []
