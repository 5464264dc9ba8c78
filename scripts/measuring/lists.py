"""Pages of lists and statistics, and of the dashboard, at many tasks."""
import http.client, json, time

from .server import Server


def lists(store, tasks, names):
    """Pages of a hundred, a hundred times each, of tasks in 20 queues and 10 kinds, a third of them ended; or in as many
    of both as `names` says, which as many workers take."""
    queues, kinds = (names, names) if names else (20, 10)
    with Server(store, WORKER_ENABLED="false") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)

        def post(path, body):
            connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            told = answer.read()
            assert answer.status < 300, told
            return json.loads(told)

        priorities = ["low", "medium", "medium", "high"]
        for first in range(0, tasks, 1000):
            new = [{"title": f"task {n}", "queue": f"q{n % queues}", "kind": f"k{n % kinds}", "payload": {"n": n},
                    "priority": priorities[n * 7 % 4], "tags": [f"t{n % 1000}"] if n % 10 == 0 else []}
                   for n in range(first, first + 1000)]
            post("/api/v1/tasks/bulk", {"tasks": new})
        ended = []
        for number in range(tasks // 3000 + 1):
            told = post("/api/v1/workers/measure/sync", {"finished": ended, "claim": {"limit": 1000}})
            ended = [{"id": t["id"], "lease_token": t["lease_token"],
                      **({"outcome": "failed", "error": "no", "retryable": False} if number % 20 == 0
                         else {"outcome": "completed"})} for t in told["tasks"]]
        for number in range(names or 0):
            post(f"/api/v1/workers/w{number}/sync", {"claim": {"limit": 1, "kinds": [f"k{number}"]}})
        filters = ["", "status=pending", "status=in_progress", "status=completed", "status=failed",
                   "priority=high", "queue=q3", "kind=k3", "tag=t500", "pending_reason=ready",
                   "status=failed&queue=q3", "status=completed&kind=k3", "status=pending&tag=t500"]
        paths = [f"/api/v1/tasks?limit=100&{filter}" for filter in filters]
        paths += ["/api/v1/stats", "/api/v1/tasks/stats/summary"]
        paths += ["/", "/?span=day", "/tasks", "/tasks?status=failed", "/tasks?queue=q3&status=completed", "/tasks?q=777",
                  f"/tasks/{tasks // 2}", f"/tasks/{tasks // 2}/edit", "/tasks/new", "/queues", "/queues/q3", "/workers",
                  "/workers/measure", "/failed", "/tasks/many?do=retry&status=failed", "/tasks/many?do=delete",
                  "/tasks/many?do=cancel&tag=t500", "/tasks/many?do=cancel&priority=high", "/tasks/many?do=cancel&q=777",
                  "/tasks/many?do=cancel&pending_reason=ready"]
        for path in paths:
            took = []
            for _ in range(100):
                begun = time.perf_counter()
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                took.append((time.perf_counter() - begun) * 1000)
                assert answer.status == 200, path
            took.sort()
            print(f"  p50 {took[49]:6.2f} ms  p99 {took[98]:6.2f} ms  {path}", flush=True)
