"""Faults on demand, from another thread, as a client sees them."""

from __future__ import annotations

import json
import socket
import time
from itertools import pairwise
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from fxlive.simulator import SimulatorThread
from fxlive.simulator.fixture import SimulatorFactory
from tests.simulator.listener import CHANNELS, PATIENCE_S, Listener, wait_until


@pytest.fixture
def sim(fx_simulator: SimulatorFactory) -> SimulatorThread:
    """A simulator without an account that sends about 700 quotes a second."""
    return fx_simulator(speed=20.0, account=False)


@pytest.fixture
def quiet(fx_simulator: SimulatorFactory) -> SimulatorThread:
    """A simulator that sends no quotes: its market waits for a subscriber to market-data."""
    return fx_simulator(wait_for_subscriber=True)


def number(message: dict[str, Any]) -> int:
    return int(message["id"].removeprefix("msg_"))


def numbers(messages: list[dict[str, Any]]) -> list[int]:
    return [number(message) for message in messages]


def take_after_snapshot(client: Listener, count: int) -> None:
    """Read and forget the snapshot, whose ids have gaps, then read `count` messages of the stream."""
    client.take(10)
    client.messages.clear()
    client.take(count)


# Connections


@pytest.mark.parametrize("code", [1006, 1001, 1011, 1012, 1013, 4000])
def test_drop_ends_the_connection_with_the_given_code(quiet: SimulatorThread, code: int) -> None:
    with Listener(quiet, "system") as client:
        quiet.faults.drop(code)
        assert client.read_close_code() == code
    wait_until(lambda: quiet.connections == 0)


def test_expire_ends_all_connections_with_4401_and_can_revoke_their_tokens(quiet: SimulatorThread) -> None:
    old = quiet.token()
    with Listener(quiet, token=old) as one, Listener(quiet, token=old) as two:
        quiet.faults.expire()
        assert (one.read_close_code(), two.read_close_code()) == (4401, 4401)
    with Listener(quiet, token=old) as three:
        three.receive()
        quiet.faults.expire(revoke=True)
        assert three.read_close_code() == 4401

    with pytest.raises(InvalidStatus, match="401"):
        Listener(quiet, token=old)
    with Listener(quiet, "system", token=quiet.token()):
        pass


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "Authentication failed"),
        (403, "Permission denied"),
        (429, "Rate limit exceeded"),
        (503, "Connection refused"),
    ],
)
def test_refuse_refuses_the_given_number_of_connections(quiet: SimulatorThread, status: int, reason: str) -> None:
    quiet.faults.refuse(status, times=2, retry_after=3)

    for _ in range(2):
        with pytest.raises(InvalidStatus) as refusal:
            Listener(quiet)
        assert refusal.value.response.status_code == status
        assert refusal.value.response.headers["Retry-After"] == "3"
        assert reason in (refusal.value.response.body or b"").decode()
    with Listener(quiet, "system"):
        pass


def test_refuse_without_a_number_lasts_until_accept(quiet: SimulatorThread) -> None:
    quiet.faults.refuse(503, times=None)
    for _ in range(3):
        with pytest.raises(InvalidStatus, match="503"):
            Listener(quiet)
    quiet.faults.accept()
    with Listener(quiet, "system"):
        pass
    with pytest.raises(ValueError, match="418"):
        quiet.faults.refuse(418)


def test_a_stalled_client_that_does_not_answer_pings_is_disconnected(fx_simulator: SimulatorFactory) -> None:
    sim = fx_simulator(speed=None, account=False, ping_interval_s=0.2, ping_timeout_s=0.4)
    with socket.create_connection(("127.0.0.1", sim.port)) as raw:
        # Not with the library's client, which would answer the pings.
        raw.sendall(
            f"GET /api/ws?token={sim.token()} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        request = json.dumps({"type": "subscribe", "channels": ["market-data"]}).encode()
        raw.sendall(b"\x81" + bytes([0x80 | len(request)]) + bytes(4) + request)
        wait_until(lambda: sim.sent["market-data"] > 1_000)  # the client reads nothing, so the buffers fill
        wait_until(lambda: sim.connections == 0)


def test_a_client_that_answers_pings_stays_connected(fx_simulator: SimulatorFactory) -> None:
    sim = fx_simulator(ping_interval_s=0.05, ping_timeout_s=PATIENCE_S)
    with Listener(sim, "market-data") as client:
        client.take(40)
        assert sim.connections == 1


# Silence and slow sending


def test_messages_during_a_silence_are_lost_until_resume(sim: SimulatorThread) -> None:
    with Listener(sim, "market-data") as client:
        take_after_snapshot(client, 10)
        sim.faults.silence()
        before = sim.published["market-data"]
        wait_until(lambda: sim.published["market-data"] > before + 100)
        sim.faults.resume()
        client.take(300)

    ids = numbers(client.of("market-data"))
    jumps = [b - a for a, b in pairwise(ids) if b - a > 50]
    assert len(jumps) == 1
    assert client.socket.protocol.close_code in {None, 1000, 1005}


def test_a_silence_ends_after_the_given_seconds(sim: SimulatorThread) -> None:
    with Listener(sim, "market-data") as client:
        take_after_snapshot(client, 10)
        last = number(client.messages[-1])
        started = time.monotonic()
        sim.faults.silence(0.5)
        # The messages before the silence are without a gap, so a gap shows that sending has resumed.
        while (current := number(client.take(1)[0])) == last + 1:
            last = current
        assert time.monotonic() - started >= 0.5


def test_a_client_that_connects_during_a_silence_receives_only_pongs(quiet: SimulatorThread) -> None:
    quiet.faults.silence()
    with Listener(quiet) as client:
        assert client.socket.ping().wait(PATIENCE_S)
        with pytest.raises(TimeoutError):
            client.receive(0.2)
        quiet.faults.silence(deaf=True)
        assert not client.socket.ping().wait(0.3)
        quiet.faults.resume()
        assert client.socket.ping().wait(PATIENCE_S)


def test_slow_sending_loses_nothing(fx_simulator: SimulatorFactory) -> None:
    sim = fx_simulator(speed=None, quotes=1_500, account=False, wait_for_subscriber=True)
    with Listener(sim) as client:
        sim.faults.slow(delay_s=0.01)
        started = time.monotonic()
        client.subscribe("market-data")
        client.take(30)
        assert time.monotonic() - started > 0.25
        sim.faults.slow()
        client.take(1_470)

    assert numbers(client.of("market-data")) == list(range(1, 1_501))


def test_a_slow_client_does_not_delay_a_market_that_runs_by_the_clock(sim: SimulatorThread) -> None:
    with Listener(sim) as slow:
        sim.faults.slow(delay_s=30.0)
        slow.send({"type": "subscribe", "channels": ["market-data"]})
        wait_until(lambda: sim.sent["market-data"] > 0)
        before = sim.published["market-data"]
        wait_until(lambda: sim.published["market-data"] > before + 1_500)


def test_slow_limits_the_bytes_per_second(fx_simulator: SimulatorFactory) -> None:
    sim = fx_simulator(speed=None, quotes=100, account=False, wait_for_subscriber=True)
    with Listener(sim) as client:
        sim.faults.slow(bytes_per_s=50_000)
        started = time.monotonic()
        client.subscribe("market-data")
        client.take(100)
        size = sum(map(len, client.raw))

    assert time.monotonic() - started > 0.8 * size / 50_000


# Duplicates and order


def test_duplicate_sends_the_next_messages_twice(sim: SimulatorThread) -> None:
    with Listener(sim, "market-data") as client:
        client.take(20)
        sim.faults.duplicate(5)
        client.take(200)

    ids = numbers(client.of("market-data"))
    assert len(ids) - len(set(ids)) == 5


def test_reorder_reverses_the_next_messages(sim: SimulatorThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fxlive.simulator.serving.client._REORDER_WAIT_S", PATIENCE_S)
    with Listener(sim, "market-data") as client:
        take_after_snapshot(client, 10)
        sim.faults.reorder(7)
        client.take(200)

    ids = numbers(client.of("market-data"))
    steps = [b - a for a, b in pairwise(ids)]
    assert steps.count(-1) == 6
    assert sorted(ids) == list(range(min(ids), max(ids) + 1))


def test_reorder_sends_the_messages_after_a_second_when_no_more_come(fx_simulator: SimulatorFactory) -> None:
    sim = fx_simulator(speed=None, quotes=3, account=False, wait_for_subscriber=True)
    with Listener(sim) as client:
        sim.faults.reorder(100)
        client.subscribe("market-data")
        client.take(3)

    assert numbers(client.of("market-data")) == [3, 2, 1]


# Messages


def test_send_raw_sends_text_and_bytes_unchanged(quiet: SimulatorThread) -> None:
    with Listener(quiet) as client:
        client.receive()
        quiet.faults.send_raw('{"type": "anything", "ü": 1}')
        quiet.faults.send_raw(b"\x00\x01")
        quiet.faults.send_raw("x" * 70_000)
        for _ in range(3):
            client.receive()

    assert client.raw[1:] == ['{"type": "anything", "ü": 1}', b"\x00\x01", "x" * 70_000]


def test_malformed_messages_cannot_be_decoded_as_objects(quiet: SimulatorThread) -> None:
    with Listener(quiet) as client:
        client.receive()
        quiet.faults.malformed(12)
        assert [client.receive() for _ in range(12)] == [None] * 12
        quiet.faults.malformed(kind="huge", size=3_000_000)
        assert client.receive() is None

    kinds = client.raw[1:]
    assert "" in kinds
    assert any(isinstance(raw, bytes) for raw in kinds)
    assert len(kinds[-1]) == 3_000_000
    with pytest.raises(ValueError, match="kind"):
        quiet.faults.malformed(kind="strange")


def test_a_text_that_is_not_utf8_ends_the_connection(quiet: SimulatorThread) -> None:
    with Listener(quiet) as client:
        client.receive()
        quiet.faults.malformed(kind="utf8")
        with pytest.raises((ConnectionClosed, UnicodeDecodeError)):
            client.receive()


def test_wrong_types_are_complete_messages_with_an_invalid_field(quiet: SimulatorThread) -> None:
    with Listener(quiet) as client:
        client.receive()
        quiet.faults.wrong_types(12)
        messages = [client.receive() for _ in range(12)]

    assert all(message is not None for message in messages)
    decoded = [message for message in messages if message is not None]
    assert {message["channel"] for message in decoded} == set(CHANNELS)
    assert all(list(message) == ["type", "channel", "data", "timestamp", "id"] for message in decoded)
    assert len(set(numbers(decoded))) == 12


def test_error_sends_a_documented_error(quiet: SimulatorThread) -> None:
    with Listener(quiet) as client:
        quiet.faults.error("Permission denied", "no more", "trades")
        message = client.until_type("error")

    assert list(message) == ["type", "error", "message", "channel", "timestamp", "id"]
    assert (message["error"], message["message"], message["channel"]) == ("Permission denied", "no more", "trades")


def test_unknown_fields_are_added_to_the_data_until_they_are_ended(sim: SimulatorThread) -> None:
    with Listener(sim, "market-data") as client:
        sim.faults.unknown_fields(liquidity=1.5, venue='LD"4', firm=True)
        message = client.until(lambda m: "liquidity" in m.get("data", {}))
        assert (message["data"]["venue"], message["data"]["firm"]) == ('LD"4', True)
        assert message["data"]["bid"] > 0
        sim.faults.unknown_fields()
        client.until(lambda m: m["type"] == "market_data" and "liquidity" not in m["data"])


def snapshot_of(sim: SimulatorThread) -> list[str]:
    """Return the symbols of the market-data snapshot of a new client, whose market stands still."""
    with Listener(sim, "market-data") as client:
        sim.faults.error("Invalid channel", "the end of the snapshot")
        client.until_type("error")
        return [m["data"]["symbol"] for m in client.messages if m["type"] == "market_data"]


@pytest.fixture
def ended(fx_simulator: SimulatorFactory) -> SimulatorThread:
    """A simulator of four pairs whose market has ended, so that a client receives the snapshot alone."""
    sim = fx_simulator(speed=None, quotes=200, account=False, symbols=["EURUSD", "USDJPY", "GBPUSD", "AUDUSD"])
    wait_until(lambda: sim.progress[0] == 200)
    return sim


def test_the_snapshot_is_left_out_or_sent_in_part_until_calm(ended: SimulatorThread) -> None:
    whole = snapshot_of(ended)
    assert len(whole) == 4
    ended.faults.snapshot(0.5)
    assert snapshot_of(ended) == whole[2:]
    ended.faults.snapshot()
    assert snapshot_of(ended) == []
    ended.faults.calm()
    assert snapshot_of(ended) == whole
    with pytest.raises(ValueError, match="share must be from 0 to 1, got 2"):
        ended.faults.snapshot(2)


def test_connections_after_the_first_get_an_incomplete_snapshot_if_the_simulator_is_told_so(
    fx_simulator: SimulatorFactory,
) -> None:
    sim = fx_simulator(speed=None, quotes=200, account=False, symbols=["EURUSD", "USDJPY"], reconnect_snapshot=0.5)
    wait_until(lambda: sim.progress[0] == 200)
    assert [len(snapshot_of(sim)) for _ in range(3)] == [2, 1, 1]
    with pytest.raises(ValueError, match="reconnect_snapshot must be from 0 to 1, got -1"):
        fx_simulator(reconnect_snapshot=-1)


def test_message_ids_begin_again_on_demand_or_with_every_reconnect(fx_simulator: SimulatorFactory) -> None:
    sim = fx_simulator(speed=None, quotes=200, account=False, reconnect_restarts_ids=True)

    def next_number() -> int:
        sim.faults.error("Permission denied")
        return number(client.until_type("error"))

    with Listener(sim, "market-data") as client:
        wait_until(lambda: sim.progress[0] == 200)
        assert next_number() > 200
        sim.faults.restart_ids(5)
        assert [next_number(), next_number()] == [5, 6]
    for _ in range(2):
        with Listener(sim, "market-data") as client:
            assert next_number() == 1


def test_calm_ends_all_lasting_faults(sim: SimulatorThread) -> None:
    with Listener(sim, "market-data") as client:
        sim.faults.silence()
        sim.faults.slow(delay_s=1.0)
        sim.faults.unknown_fields(x=1)
        sim.faults.refuse(503, times=None)
        sim.faults.calm()
        client.until(lambda m: m["type"] == "market_data" and "x" not in m["data"])
        with Listener(sim, "market-data"):
            pass


def test_the_server_keeps_accepting_connections_under_random_faults(
    fx_simulator: SimulatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fxlive.simulator.serving.server.RANDOM_FAULTS_EVERY_S", 0.05)
    sim = fx_simulator(speed=20.0, random_faults_seed=3)
    failures = 0
    while failures < 5 or sim.accepted < 2:
        try:
            with connect(f"{sim.url}?token={sim.token()}", max_queue=None, close_timeout=0.2) as client:
                client.send(json.dumps({"type": "subscribe", "channels": CHANNELS}))
                while True:
                    client.recv(5)
        except (ConnectionClosed, InvalidStatus, EOFError, TimeoutError, OSError):
            failures += 1
    sim.close()
    assert sim.accepted >= 2
