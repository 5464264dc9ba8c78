"""PostgreSQL: how long a round trip of work takes while another session holds a snapshot, at 1,000 tasks/s. A
snapshot keeps every dead row from being removed, and queues make many."""
import re, subprocess

from .server import Server, bench, keep

RATE = "1000"


def minute(server):
    one = bench(server, "cycle", 60, "--rate", RATE)[0]
    p50, p99 = re.search(r"p50 ([\d.]+) ms, p99 ([\d.]+) ms", one["notes"][0]).groups()
    return {"rate": round(one["rate_per_second"]), "sync_p50_ms": float(p50), "sync_p99_ms": float(p99),
            "create_p99_ms": one["latency_us"]["p99"] / 1000, "dead": server.disk()[1]}


def snapshot(minutes):
    found = {"before": [], "held": []}
    with Server("postgres", WORKER_ENABLED="false") as server:
        for _ in range(3):
            found["before"].append(minute(server))
            print(f"undisturbed: {found['before'][-1]}", flush=True)
        sql = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM taskflow.migrations;"
        holder = subprocess.Popen(["psql", "-q", "-d", server.url], stdin=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL, text=True)
        holder.stdin.write(sql + "\n")
        holder.stdin.flush()
        try:
            for _ in range(minutes):
                found["held"].append(minute(server))
                print(f"snapshot held: {found['held'][-1]}", flush=True)
                keep("snapshot-postgres", found)
        finally:
            holder.stdin.close()
            holder.wait()
