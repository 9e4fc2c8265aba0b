from __future__ import annotations

import signal
import threading

import pytest

from neo_bench.training.interrupt import stop_requests

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_interrupts_at_once_outside_the_steps(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), stop_requests():
        signal.raise_signal(number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_becomes_a_request_where_it_is_deferred(number: signal.Signals) -> None:
    with stop_requests() as stop, stop.deferred():
        assert not stop
        signal.raise_signal(number)
        assert stop


def test_a_second_signal_is_not_deferred() -> None:
    with stop_requests() as stop, stop.deferred():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with stop_requests():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_other_threads_run_without_handlers() -> None:
    seen: list[bool] = []

    def work() -> None:
        with stop_requests() as stop, stop.deferred():
            seen.append(bool(stop))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
