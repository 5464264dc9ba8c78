"""How much one commit carries: tasks per transaction, and what a task writes into the log."""
import pathlib, struct

from .server import Server, bench

SCENARIOS = [
    ("created one by one, 64 connections", "create", []),
    ("created one by one, 1 connection", "create", ["--connections", "1"]),
    ("created in bulk of 100", "bulk", []),
    ("whole cycle, created one by one", "cycle", []),
    ("whole cycle, created in bulk", "bulk-cycle", []),
]


def commits(server):
    """Transactions so far, and bytes of the log where the database counts them."""
    if server.store == "postgres":
        sql = ("SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()), "
               "(SELECT wal_bytes FROM pg_stat_wal)")
        return server.numbers(sql)
    # The counter `iChange` in the header of the WAL index (https://sqlite.org/walformat.html, 2.1).
    index = (pathlib.Path(server.folder) / "t.db-shm").read_bytes()
    return struct.unpack_from("=I", index, 8)[0], 0


def batches(store, seconds):
    """What background duties commit meanwhile is counted too: some ten transactions a second."""
    for name, scenario, more in SCENARIOS:
        with Server(store, WORKER_ENABLED="false") as server:
            before = commits(server)
            rate = bench(server, scenario, seconds, "--keep", *more)[0]["rate_per_second"]
            after = commits(server)
            # Those of the warming-up too.
            tasks = server.get("/api/v1/tasks?limit=1")[0]["id"]
        many, log = after[0] - before[0], after[1] - before[1]
        written = f", {log / tasks:,.0f} bytes of log a task" if log else ""
        print(f"{store}: {name}: {rate:,.0f} tasks/s, {many:,} commits of {tasks:,} tasks, "
              f"{tasks / many:.1f} tasks a commit{written}", flush=True)
