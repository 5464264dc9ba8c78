"""What one request costs in instructions and in allocations of memory, counted by valgrind's callgrind: the same
figures whatever else the machine is doing. One client, one request at a time, so nothing shares a commit, and a
request's fixed costs are at their highest. Counts the server's process alone, its background duties included."""
import http.client, json, pathlib, re, subprocess, time

from .server import Server

# What the program's allocator is called by, and SQLite's: the C library's.
ALLOCATIONS = {"mi_malloc_aligned", "mi_zalloc_aligned", "mi_realloc_aligned", "malloc", "calloc", "realloc"}
TASK = {"title": "a task of the benchmark", "queue": "bench", "kind": "bench.noop", "priority": "medium",
        "payload": {"n": 1}}


class Client:
    """One connection, and what the last claim gave."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self.finished = []

    def call(self, method, path, body=None):
        self.connection.request(method, path, body and json.dumps(body), {"content-type": "application/json"})
        answer = self.connection.getresponse()
        told = answer.read()
        assert answer.status < 300, told
        return json.loads(told)

    def sync(self):
        wish = {"finished": self.finished, "claim": {"limit": 100, "kinds": ["bench.noop"]}}
        told = self.call("POST", "/api/v1/workers/counted/sync", wish)["tasks"]
        assert len(told) == 100, len(told)
        self.finished = [{"id": one["id"], "lease_token": one["lease_token"], "outcome": "completed"} for one in told]


# What, how often, tasks in each, the call.
CALLS = [
    ("bare, one task parsed and answered", 300, 1, lambda one: one.call("POST", "/api/v1/bench/bare", TASK)),
    ("create one", 300, 1, lambda one: one.call("POST", "/api/v1/tasks", TASK)),
    ("create 100", 40, 100, lambda one: one.call("POST", "/api/v1/tasks/bulk", {"tasks": [TASK] * 100})),
    ("end 100 and claim 100 (sync)", 35, 100, lambda one: one.sync()),
    ("read one", 300, 1, lambda one: one.call("GET", "/api/v1/tasks/1")),
    ("list 100", 40, 100, lambda one: one.call("GET", "/api/v1/tasks?limit=100")),
]


def dump(server):
    """Writes what was counted since the last time, and begins anew. The file's numbers: instructions, allocations."""
    before = set(pathlib.Path(server.folder).glob("callgrind.out.*"))
    subprocess.run(["callgrind_control", "--dump", str(server.process.pid)], check=True, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (new := set(pathlib.Path(server.folder).glob("callgrind.out.*")) - before):
        assert time.monotonic() < until, "callgrind writes nothing"
        time.sleep(0.1)
    return counted(new.pop().read_text())


def counted(text):
    """Of a file of callgrind (https://valgrind.org/docs/manual/cl-format.html): all instructions, and how often
    the allocator was called."""
    names, calls, called = {}, 0, None
    for line in text.splitlines():
        if named := re.match(r"c?fn=\((\d+)\)(?: (.*))?", line):
            number, name = named.groups()
            if name:
                names[number] = name
            called = names[number] if line.startswith("cfn") else called
        elif line.startswith("calls=") and called in ALLOCATIONS:
            calls += int(line[6:].split()[0])
    return int(re.search(r"^(?:totals|summary): (\d+)", text, re.M)[1]), calls


def allocations(store):
    with Server(store, under=["valgrind", "--tool=callgrind", "--quiet"], WORKER_ENABLED="false") as server:
        client = Client(server.port)
        for what, times, many, call in CALLS:
            for _ in range(5):
                call(client)
            dump(server)
            begun = time.monotonic()
            for _ in range(times):
                call(client)
            took = time.monotonic() - begun
            instructions, made = dump(server)
            time.sleep(took)
            idle, kept = dump(server)
            each = (instructions - idle) / times, (made - kept) / times
            print(f"{store}: {what}: {each[0]:,.0f} instructions, {each[1]:,.1f} allocations"
                  + (f"; a task {each[0] / many:,.0f} and {each[1] / many:,.1f}" if many > 1 else ""), flush=True)
