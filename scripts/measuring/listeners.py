"""Thousands of listeners to events while tasks are worked off at a fixed rate: what the server's process holds, what
the listeners get, how long a creation takes. One in ten never reads."""
import asyncio, resource, subprocess, json, time

from .server import RELEASE, Server, keep

RATE = 1000


def listeners(store, many, seconds):
    resource.setrlimit(resource.RLIMIT_NOFILE, (4 * many, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    found = []
    with Server(store, WORKER_ENABLED="false") as server:
        for wants, query in [("another queue's events", "?queue=nothing"), ("all events", "")]:
            one = {"listeners": many, "want": wants, "tasks_per_second": RATE}
            one |= asyncio.run(listen_all(server, many, seconds, query))
            print(f"{store}: {one}", flush=True)
            found.append(one)
        keep(f"listeners-{store}", found)


async def listen_all(server, many, seconds, query):
    got, ready = {"bytes": 0, "resyncs": 0}, []

    async def listen(reads):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=4096)
        writer.write(f"GET /api/v1/events{query} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        ready.append(True)
        if not reads:
            await asyncio.Event().wait()
        while part := await reader.read(65536):
            got["bytes"] += len(part)
            got["resyncs"] += part.count(b"event: resync")

    before = server.memory()
    tasks = []
    for number in range(many):
        tasks.append(asyncio.create_task(listen(number % 10 != 0)))
        if number % 200 == 199:
            await asyncio.sleep(0.05)
    while len(ready) < many:
        await asyncio.sleep(0.1)
    there, begun = server.memory(), time.monotonic()
    words = [RELEASE / "taskflow", "bench", "--server", f"http://127.0.0.1:{server.port}", "--json", "--scenario", "cycle",
             "--rate", str(RATE), "--seconds", str(seconds)]
    load = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peak = there
    while load.poll() is None:
        peak = max(peak, server.memory())
        await asyncio.sleep(0.2)
    took = time.monotonic() - begun
    told = json.loads(load.stdout.read())["scenarios"][0]
    for task in tasks:
        task.cancel()
    return {"mib_before": round(before), "mib_listening": round(there), "mib_peak": round(peak),
            "mib_per_second": round(got["bytes"] / 2**20 / took, 1), "resyncs": got["resyncs"],
            "rate": round(told["rate_per_second"]),
            "create_ms": {part: told["latency_us"][part] / 1000 for part in ["p50", "p99"]}}
