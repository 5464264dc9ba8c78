"""A long run: tasks created one by one and worked off by `sync` at 70 % of the rate that the server keeps up
with, ended ones removed after a minute. What must stay flat is noted every minute."""
import statistics, time

from .server import Server, bench, keep

KEPT_SECONDS = 60
SHARE = 0.7


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
            one = bench(server, "cycle", 60, "--rate", str(rate))[0]
            size, dead = server.disk()
            ended = server.get("/api/v1/tasks/stats/summary")["completed"]
            found.append({
                "minute": minute, "seconds": round(time.monotonic() - begun),
                "rate": round(one["rate_per_second"]), "errors": one["errors"],
                "create_ms": {part: one["latency_us"][part] / 1000 for part in ["p50", "p99", "max"]},
                "note": one["notes"], "rss_mib": round(server.memory(), 1),
                "disk_mib": round(size), "dead": dead, "ended": ended,
            })
            print(f"{store}: {found[-1]}", flush=True)
            keep(f"hour-{store}", {"peak": round(peak), "rate": rate, "minutes": found})
