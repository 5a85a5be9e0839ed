"""Every host is asked what it bears: in turn, at its rate, not while it rests, and not for ever."""

import socket
import time

from curation.images import fetch
from curation.images.hosts import Host
from tests.picture_server import OK, outcome, wanted


def test_hosts_are_asked_in_turn_whatever_the_order_of_the_input(get, server):
    asked = [f"http://{host}.invalid/ok/{i}" for host in "abc" for i in range(30)]
    get(*asked, n_connections=3)
    first = {host.partition(".")[0] for host, _ in server.asked[:12]}
    assert first == {"a", "b", "c"}, "not one host after the other"


def test_a_rate_is_never_exceeded(get, server):
    times = []
    kept, server.asked = server.asked, Times(times)
    try:
        get(*(f"/ok/{i}" for i in range(25)), n_connections=16, per_host=16, max_per_second=20.0)
    finally:
        server.asked = kept
    assert len(times) == 25
    for start in times:  # no window of a second holds more than the rate allows
        assert sum(start <= t < start + 1.0 for t in times) <= 20


class Times(list):
    """Keeps when something was appended, not what."""

    def __init__(self, times):
        self.times = times

    def append(self, _):
        self.times.append(time.monotonic())

    def clear(self):
        self.times.clear()


def test_a_host_that_refuses_is_given_up_and_others_go_on(get, server):
    refused = [f"http://no.invalid/status/403?{i}" for i in range(60)]
    rows = get(*refused, "http://yes.invalid/ok/1", tries=1)
    reasons = [row["error"] for row in rows]
    assert set(reasons[:-1]) == {"http_403", "host_refuses"} and reasons[-1] is None
    assert sum(host.startswith("no.") for host, _ in server.asked) < 30
    assert {r["status"] for r in rows if r["error"] == "host_refuses"} == {"transient"}, (
        "asked again one day"
    )


def test_a_host_that_is_not_there_costs_few_tries(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    limits = fetch.Limits(8, 8, 1, 1, 1000, 1, 0, silent_s=0.5)
    fetcher = fetch.Fetcher(tmp_path, limits, {"*.invalid": f"127.0.0.1:{port}"}, part_rows=1000)
    (part,) = fetcher.fetch(wanted(*((f"http://gone.invalid/{i}", None) for i in range(300))))
    errors = part.column("error").to_pylist()
    assert set(errors) == {"connection_failed", "host_unreachable"}
    assert errors.count("connection_failed") < 40
    asked = part.column("n_asked").to_pylist()
    assert [n == 0 for n in asked] == [e == "host_unreachable" for e in errors]


def test_a_host_that_is_away_for_a_moment_is_not_given_up():
    host = Host("h", iter(range(1000)), most=32, interval_s=0.0, silent_s=60.0)
    for k in range(200):  # however many requests fail at once
        host.failed(100.0 + k / 1000)
    assert host.given_up is None and host.limit < 8 and host.free_at > 105
    host.answered(200)
    for k in range(30):
        host.failed(200.0 + 2 * k)
    assert host.given_up is None, "a minute counts from the first failure after an answer"
    host.failed(261.0)
    assert host.given_up == "host_unreachable"


def test_a_redirect_waits_for_its_turn_at_the_host_it_leads_to(get, server):
    asked = [f"http://a.invalid/far/http:!!b.invalid!ok!{i}" for i in range(12)]
    times = []
    kept, server.asked = server.asked, Times(times)
    started = time.monotonic()
    try:
        rows = get(*asked, n_connections=8, per_host=8, host_rates={"b.invalid": 10.0})
    finally:
        server.asked = kept
    assert {outcome(row) for row in rows} == {OK}
    assert time.monotonic() - started >= 11 * 0.1, "never more than ten a second"


def test_a_host_that_asks_for_a_long_pause_is_left_for_this_run(get, server):
    rows = get(*(f"/once/429/5000?{i}" for i in range(20)), tries=3, n_connections=1)
    assert sorted(row["error"] for row in rows) == [*["host_asks_to_wait"] * 19, "http_429"]
    assert {row["status"] for row in rows} == {"transient"} and len(server.asked) == 1
    assert sorted(row["n_asked"] for row in rows) == [*[0] * 19, 1]


def test_two_hosts_that_redirect_to_each_other_do_not_lock_up(get):
    one = [f"http://a.invalid/far/http:!!b.invalid!ok!{i}" for i in range(20)]
    other = [f"http://b.invalid/far/http:!!a.invalid!ok!{i}" for i in range(20)]
    rows = get(*one, *other, n_connections=8, per_host=1)
    assert {outcome(row) for row in rows} == {OK}


def test_an_answer_of_429_halves_what_a_host_is_asked_at_once():
    host = Host("h", iter(range(1000)), most=32, interval_s=0.0)
    assert host.limit == 8, "a quarter to begin with"
    for _ in range(64 * 4):
        host.answered(200)
    assert host.limit == 12
    host.slow_down(now=100.0, wait_s=7.0)
    host.slow_down(now=100.1, wait_s=0.0)
    assert host.limit == 6 and host.free_at == 107.0, "one burst of refusals is one message"
    for _ in range(64 * 100):
        host.answered(200)
    assert host.limit == 32, "never more than the recipe allows"


def test_a_host_that_redirects_everything_to_a_busy_one_leaves_the_others_their_turns(get, server):
    away = [f"http://a.invalid/far/http:!!b.invalid!ok!{i}" for i in range(8)]
    kept, server.asked = server.asked, []
    try:
        rows = get(*away, *(f"http://c.invalid/ok/{i}" for i in range(20)), n_connections=4, per_host=4,
                   host_rates={"b.invalid": 5.0})  # fmt: skip
        asked = [host for host, _ in server.asked]
    finally:
        server.asked = kept
    assert {outcome(row) for row in rows} == {OK}
    last_c, last_b = (
        max(i for i, host in enumerate(asked) if host.startswith(f"{n}.")) for n in "cb"
    )
    assert last_c < last_b, "nobody waited behind the redirects"


def test_a_pause_without_end_is_left_for_another_run_whatever_the_status(get):
    started = time.monotonic()
    (row,) = get("/once/500/86400", tries=3)
    assert (row["status"], row["error"]) == (
        "transient",
        "http_500",
    ) and time.monotonic() - started < 5
