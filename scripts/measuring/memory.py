"""What the server's process holds: idle, with connections that do nothing, and with claims that wait."""
import json, resource, socket, time

from .server import Server, keep


def opened(server, count, request=b""):
    """So many connections, each with a request that was sent."""
    held = []
    for number in range(count):
        one = socket.create_connection(("127.0.0.1", server.port))
        one.sendall(request or b"GET /api/v1/health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
        if not request:
            assert b"200" in one.recv(4096)
        held.append(one)
        if number % 500 == 499:
            time.sleep(0.05)
    return held


def claim(number):
    body = json.dumps({"worker": f"w{number}", "kinds": ["nothing"], "wait_seconds": 60}).encode()
    head = f"POST /api/v1/tasks/claim HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def memory(store):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found = []

    def note(what, server):
        time.sleep(2)
        found.append({"what": what, "mib": round(server.memory(), 1)})
        print(f"{store}: {found[-1]}", flush=True)

    for count in [0, 1, 1_000, 10_000]:
        if count > most - 200:
            print(f"{store}: {count} connections: the limit of open files is {most}")
            continue
        with Server(store) as server:
            held = opened(server, count)
            note(f"{count:,} idle connections" if count else "idle", server)
            for one in held:
                one.close()
    with Server(store) as server:
        held = [opened(server, 1, claim(number))[0] for number in range(1_000)]
        note("1,000 claims that wait", server)
        for one in held:
            one.close()
    keep(f"memory-{store}", found)
