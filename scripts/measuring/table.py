"""Every figure of docs/performance.md, round by round, each on an empty database."""
import http.client, json, statistics, sys, time

from .server import Server, bench, raw


def drain(store, tasks):
    """Tasks that do nothing, worked off by the program's own worker."""
    with Server(store, WORKER_ENABLED="false", WORKER_CONCURRENCY="1000") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        one = {"title": "nothing", "kind": "sleep", "payload": {"seconds": 0}}
        body = json.dumps({"tasks": [one] * 1000})
        for _ in range(tasks // 1000):
            connection.request("POST", "/api/v1/tasks/bulk", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status < 300, answer.status
        server.stop()
        server.start(WORKER_ENABLED="true")
        begun = None
        while True:
            done = server.get("/api/v1/tasks/stats/summary")["completed"]
            now = time.monotonic()
            if begun is None and done > tasks // 50:
                begun, first = now, done
            if done >= tasks * 49 // 50:
                return (done - first) / (now - begun)
            time.sleep(0.01)


def once(store, seconds):
    """One round: each figure on an empty database, the yardsticks first."""
    figures = {}
    yard = raw(store, seconds)
    figures["raw cycle"], figures["raw commit"] = yard["cycle_per_second"], yard["one_row_commits_per_second"]
    for name, scenario, more in [
        ("bare", "bare", []),
        ("bare alone", "bare", ["--connections", "1"]),
        ("create", "create", []),
        ("create alone", "create", ["--connections", "1"]),
        ("bulk", "bulk", []),
        ("sync", "sync", []),
        ("cycle", "cycle", []),
        ("bulk cycle", "bulk-cycle", []),
    ]:
        with Server(store) as server:
            figures[name] = bench(server, scenario, seconds, *more)[0]["rate_per_second"]
    with Server(store) as server:
        for told in bench(server, "pickup", seconds):
            for part in ["p50", "p99"]:
                figures[f"{told['name']} {part} ms"] = told["latency_us"][part] / 1000
    figures["drain"] = drain(store, 100_000)
    return figures


def table(store, rounds, seconds):
    all_rounds = []
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        all_rounds.append(once(store, seconds))
    middle = {name: statistics.median(figures[name] for figures in all_rounds) for name in all_rounds[0]}
    ratio = lambda name, of: statistics.median(figures[name] / figures[of] for figures in all_rounds)
    of = {"create": "bare", "create alone": "raw commit", "cycle": "raw cycle", "bulk cycle": "raw cycle"}
    print(f"\n{store}: medians of {rounds} rounds of {seconds} s")
    for name, value in middle.items():
        shown = f"{value:,.0f}/s" if "ms" not in name else f"{value:.2f} ms"
        lowest, highest = min(f[name] for f in all_rounds), max(f[name] for f in all_rounds)
        related = f"  {ratio(name, of[name]):.2f} of {of[name]}" if name in of else ""
        print(f"  {name:24}{shown:>14}  ({lowest:,.2f}..{highest:,.2f}){related}")
