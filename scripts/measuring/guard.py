"""The ratios that may not fall: a bench of at most two minutes, and what was recorded. A ratio depends on the machine:
one whose processors are slower loses more to switching between threads, and one whose disk is slower for its
processors waits for it. So each sort of machine, told by its bare rate and by its commits of one row a second on
SQLite, has a record of its own, and the nearest one holds."""
import json, math, statistics, sys

from .server import POSTGRES, ROOT, Server, bench, raw

RECORD = ROOT / "scripts" / "measure.json"
# The ratios that the guard holds: a scenario to its yardstick.
GUARDED = {"create": "bare", "bulk-cycle": "raw"}
# Two machines are of one sort when neither is faster than the other by more than this, processors and disk together.
ALIKE = 1.25


def ratios(store, rounds=3, seconds=2):
    """The ratios of a store, and the machine's bare rate and commits of one row."""
    found, bares, commits = {name: [] for name in GUARDED}, [], []
    for _ in range(rounds):
        with Server(store) as server:
            bares.append(bench(server, "bare", 1)[0]["rate_per_second"])
            create = bench(server, "create", seconds)[0]["rate_per_second"]
        found["create"].append(create / bares[-1])
        yard = raw(store, seconds / 2)
        commits.append(yard["one_row_commits_per_second"])
        with Server(store) as server:
            cycle = bench(server, "bulk-cycle", seconds)[0]["rate_per_second"]
        found["bulk-cycle"].append(cycle / yard["cycle_per_second"])
    middle = {name: round(statistics.median(values), 3) for name, values in found.items()}
    return middle, statistics.median(bares), statistics.median(commits)


def guard(record):
    stores = ["sqlite"] + (["postgres"] if POSTGRES else [])
    measured = {store: ratios(store) for store in stores}
    now = {store: found for store, (found, *_) in measured.items()}
    bare = round(statistics.median(rate for _, rate, _ in measured.values()))
    commits = round(measured["sqlite"][2])
    records = json.loads(RECORD.read_text())
    far = lambda machine: math.hypot(math.log(machine["bare"] / bare), math.log(machine["commits"] / commits))
    if record:
        others = [machine for machine in records if far(machine) > math.log(ALIKE)]
        records = sorted([*others, {"bare": bare, "commits": commits, **now}], key=lambda machine: -machine["bare"])
        RECORD.write_text(json.dumps(records, indent=2) + "\n")
        return print(json.dumps(now))
    recorded, fallen = min(records, key=far), False
    print(f"bare {bare:,}/s, {commits:,} commits/s: held to the record of a machine of {recorded['bare']:,} and "
          f"{recorded['commits']:,}/s")
    for store in stores:
        for name, ratio in now[store].items():
            low = recorded[store][name] * 0.75
            fallen |= ratio < low
            print(f"{store} {name}: {ratio:.3f} of {GUARDED[name]}, at least {low:.3f}")
    if fallen:
        sys.exit("scripts/measure: slower than recorded by more than a quarter; see scripts/measure table")
