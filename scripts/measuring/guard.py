"""The ratios that may not fall: a bench of at most two minutes, and what was recorded. A ratio depends on the machine:
one whose processors are slower loses more to switching between threads and to its disk. So each sort of machine, told
by its bare rate, has a record of its own, and the nearest one holds."""
import json, math, statistics, sys

from .server import POSTGRES, ROOT, Server, bench, raw

RECORD = ROOT / "scripts" / "measure.json"
# The ratios that the guard holds: a scenario to its yardstick.
GUARDED = {"create": "bare", "bulk-cycle": "raw"}
# Two machines are of one sort when neither is faster than the other by more than this.
ALIKE = 1.5


def ratios(store, rounds=3, seconds=2):
    """The ratios of a store, and the machine's bare rate."""
    found, bares = {name: [] for name in GUARDED}, []
    for _ in range(rounds):
        with Server(store) as server:
            bares.append(bench(server, "bare", 1)[0]["rate_per_second"])
            create = bench(server, "create", seconds)[0]["rate_per_second"]
        found["create"].append(create / bares[-1])
        yard = raw(store, seconds / 2)["cycle_per_second"]
        with Server(store) as server:
            cycle = bench(server, "bulk-cycle", seconds)[0]["rate_per_second"]
        found["bulk-cycle"].append(cycle / yard)
    return {name: round(statistics.median(values), 3) for name, values in found.items()}, statistics.median(bares)


def guard(record):
    stores = ["sqlite"] + (["postgres"] if POSTGRES else [])
    measured = {store: ratios(store) for store in stores}
    now = {store: found for store, (found, _) in measured.items()}
    bare = round(statistics.median(rate for _, rate in measured.values()))
    records = json.loads(RECORD.read_text())
    far = lambda machine: abs(math.log(machine["bare"] / bare))
    if record:
        others = [machine for machine in records if far(machine) > math.log(ALIKE)]
        records = sorted([*others, {"bare": bare, **now}], key=lambda machine: -machine["bare"])
        RECORD.write_text(json.dumps(records, indent=2) + "\n")
        return print(json.dumps(now))
    recorded, fallen = min(records, key=far), False
    print(f"bare {bare:,}/s: held to the record of a machine of {recorded['bare']:,}/s")
    for store in stores:
        for name, ratio in now[store].items():
            low = recorded[store][name] * 0.75
            fallen |= ratio < low
            print(f"{store} {name}: {ratio:.3f} of {GUARDED[name]}, at least {low:.3f}")
    if fallen:
        sys.exit("scripts/measure: slower than recorded by more than a quarter; see scripts/measure table")
