"""The ratios that may not fall: a bench of at most two minutes, and what was recorded."""
import json, statistics, sys

from .server import POSTGRES, ROOT, Server, bench, raw

RECORD = ROOT / "scripts" / "measure.json"
# The ratios that the guard holds: a scenario to its yardstick.
GUARDED = {"create": "bare", "bulk-cycle": "raw"}


def ratios(store, rounds=3, seconds=2):
    found = {name: [] for name in GUARDED}
    for _ in range(rounds):
        with Server(store) as server:
            bare = bench(server, "bare", 1)[0]["rate_per_second"]
            create = bench(server, "create", seconds)[0]["rate_per_second"]
        found["create"].append(create / bare)
        yard = raw(store, seconds / 2)["cycle_per_second"]
        with Server(store) as server:
            cycle = bench(server, "bulk-cycle", seconds)[0]["rate_per_second"]
        found["bulk-cycle"].append(cycle / yard)
    return {name: round(statistics.median(values), 3) for name, values in found.items()}


def guard(record):
    stores = ["sqlite"] + (["postgres"] if POSTGRES else [])
    now = {store: ratios(store) for store in stores}
    if record:
        RECORD.write_text(json.dumps(now, indent=2) + "\n")
        return print(json.dumps(now))
    recorded, fallen = json.loads(RECORD.read_text()), False
    for store in stores:
        for name, ratio in now[store].items():
            low = recorded[store][name] * 0.75
            fallen |= ratio < low
            print(f"{store} {name}: {ratio:.3f} of {GUARDED[name]}, at least {low:.3f}")
    if fallen:
        sys.exit("scripts/measure: slower than recorded by more than a quarter; see scripts/measure table")
