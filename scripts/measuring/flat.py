"""Rates in a database of many tasks against an empty one, in turn: two servers on one machine, of which one
works at a time. A third of the tasks are pending, of the same queue and kind as those that are measured."""
import statistics, time

from .server import Server, bench, keep, kept

SCENARIOS = {"create": "created one by one", "bulk": "created in bulk of 100", "sync": "claimed and completed by 100"}


def once(server, seconds, full):
    """The rates of one server. A full one claims from its own mountain, an empty one from a stock."""
    rates = {}
    for scenario in SCENARIOS:
        more = ["--keep", "--stock", "1"] if full else []
        rates[scenario] = bench(server, scenario, seconds, *more)[0]["rate_per_second"]
    return rates


def first_answer(server):
    """Milliseconds from the start to the first answer of an existing database."""
    server.stop()
    begun = time.perf_counter()
    server.start()
    return (time.perf_counter() - begun) * 1000


def flat(store, rounds, seconds, sizes):
    found = []
    for tasks in sizes:
        with Server(store, WORKER_ENABLED="false") as full:
            full.fill(tasks, tasks * 2 // 3)
            size, _ = full.disk()
            ratios = {scenario: [] for scenario in SCENARIOS}
            rates = {scenario: [] for scenario in SCENARIOS}
            for _ in range(rounds):
                with Server(store, WORKER_ENABLED="false") as empty:
                    alone = once(empty, seconds, False)
                among = once(full, seconds, True)
                for scenario in SCENARIOS:
                    ratios[scenario].append(among[scenario] / alone[scenario])
                    rates[scenario].append(among[scenario])
            starts = [first_answer(full) for _ in range(5)]
            one = {"tasks": tasks, "disk_mib": round(size), "start_ms": round(statistics.median(starts), 1),
                   "rate": {name: round(statistics.median(all)) for name, all in rates.items()},
                   "of_empty": {name: round(statistics.median(all), 3) for name, all in ratios.items()}}
        print(f"{store}: {one}", flush=True)
        found.append(one)
    # Sizes that were not asked for stay as they were measured before.
    found += [one for one in kept(f"flat-{store}") if one["tasks"] not in sizes]
    keep(f"flat-{store}", sorted(found, key=lambda one: one["tasks"]))
