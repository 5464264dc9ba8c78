"""A long run: tasks created one by one and worked off by `sync` at 70 % of the rate that the server keeps up
with, ended ones removed after a minute. What must stay flat is noted every minute. Beside the load one client creates
twenty tasks a second: what it waits is the server's doing, while the load generator also waits for the processor."""
import http.client, json, statistics, threading, time

from .server import Server, bench, keep

KEPT_SECONDS = 60
SHARE = 0.7

ONE = json.dumps({"title": "a task of the benchmark", "queue": "bench", "kind": "bench.noop"})


def beside(server, over, took):
    """Creates twenty tasks a second until it is over, and notes how long each took in milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    while not over.wait(0.05):
        begun = time.perf_counter()
        connection.request("POST", "/api/v1/tasks", ONE, {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 201, answer.status
        took.append((time.perf_counter() - begun) * 1000)


def minute_of(server, rate):
    """The load of a minute, and what the client beside it waited."""
    over, took = threading.Event(), []
    client = threading.Thread(target=beside, args=(server, over, took))
    client.start()
    try:
        # So many connections that none of them is late because an answer took some milliseconds.
        one = bench(server, "cycle", 60, "--rate", str(rate), "--connections", "256")[0]
    finally:
        over.set()
        client.join()
    took.sort()
    return one, {part: round(took[min(len(took) - 1, int(len(took) * share))], 1)
                 for part, share in [("p50", 0.5), ("p99", 0.99), ("max", 1)]}


def hour(store, minutes):
    settings = {"WORKER_ENABLED": "false", "RETENTION_COMPLETED_SECONDS": str(KEPT_SECONDS)}
    with Server(store, **settings) as server:
        # The peak of a server that removes as much as is created: the first minute it removes nothing.
        rates = [bench(server, "cycle", 30)[0]["rate_per_second"] for _ in range(6)]
        peak = statistics.median(rates[3:])
        rate = int(peak * SHARE)
        print(f"{store}: peak {peak:,.0f}/s of {[round(r) for r in rates]}, from now on {rate:,}/s", flush=True)
        found, begun = [], time.monotonic()
        for minute in range(1, minutes + 1):
            one, client = minute_of(server, rate)
            size, dead = server.disk()
            ended = server.get("/api/v1/tasks/stats/summary")["completed"]
            found.append({
                "minute": minute, "seconds": round(time.monotonic() - begun),
                "rate": round(one["rate_per_second"]), "errors": one["errors"],
                "create_ms": client,
                "load_create_ms": {part: one["latency_us"][part] / 1000 for part in ["p50", "p99", "max"]},
                "note": one["notes"], "rss_mib": round(server.memory(), 1),
                "disk_mib": round(size), "dead": dead, "ended": ended,
            })
            print(f"{store}: {found[-1]}", flush=True)
            keep(f"hour-{store}", {"peak": round(peak), "rate": rate, "minutes": found})
