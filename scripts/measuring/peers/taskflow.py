"""This program, measured as its peers are."""
import json, subprocess

from ..server import RELEASE, Server, bench
from ..table import drain


class Ours:
    """One store of it."""

    def __init__(self, store):
        self.store = store

    def version(self):
        return subprocess.run([RELEASE / "taskflow", "--version"], check=True, capture_output=True,
                              text=True).stdout.split()[-1]

    def measure(self, jobs):
        with Server(self.store) as server:
            one = bench(server, "create", 3)[0]["rate_per_second"]
        with Server(self.store) as server:
            bulk = bench(server, "bulk", 3)[0]["rate_per_second"]
        with Server(self.store) as server:
            told = {line["name"]: line["latency_us"] for line in bench(server, "pickup", 3)}
        pickup = told["pickup-http"]
        return {"one_by_one": one, "bulk": bulk, "drain": drain(self.store, max(jobs, 100_000)),
                "pickup_p50_ms": pickup["p50"] / 1000, "pickup_p99_ms": pickup["p99"] / 1000}


STORES = {"taskflow-sqlite": Ours("sqlite"), "taskflow-postgres": Ours("postgres")}
