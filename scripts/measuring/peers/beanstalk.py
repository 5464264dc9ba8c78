"""beanstalkd over its own protocol: one phase, as a line of JSON. It has no bulk; what is pipelined here is one
request after the other without waiting for answers, as its documentation allows."""
import json, os, socket, sys, threading, time

PHASE, JOBS = sys.argv[1], int(sys.argv[2])
PORT = int(os.environ["QUEUE_PORT"])
ONES = min(JOBS, 10_000)


class Line:
    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", PORT))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def put(self):
        self.socket.sendall(b"put 0 0 60 2\r\n{}\r\n")
        assert self.file.readline().startswith(b"INSERTED")

    def take(self):
        self.socket.sendall(b"reserve\r\n")
        told = self.file.readline().split()
        self.file.read(int(told[2]) + 2)
        return told[1]

    def done(self, job):
        self.socket.sendall(b"delete " + job + b"\r\n")
        assert self.file.readline().startswith(b"DELETED")


def enqueue():
    each = ONES // 8
    crowd = [threading.Thread(target=lambda line: [line.put() for _ in range(each)], args=(Line(),)) for _ in range(8)]
    begun = time.perf_counter()
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    one_by_one = each * 8 / (time.perf_counter() - begun)
    line = Line()
    begun = time.perf_counter()
    for _ in range(JOBS // 100):
        line.socket.sendall(b"put 0 0 60 2\r\n{}\r\n" * 100)
        for _ in range(100):
            assert line.file.readline().startswith(b"INSERTED")
    return {"one_by_one": one_by_one, "bulk": JOBS / (time.perf_counter() - begun)}


def drain():
    lines, begun = [Line() for _ in range(4)], time.perf_counter()
    share = (JOBS + ONES // 8 * 8) // 4

    def worker(line):
        for _ in range(share):
            line.done(line.take())

    crowd = [threading.Thread(target=worker, args=(line,)) for line in lines]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    return {"drain": share * 4 / (time.perf_counter() - begun)}


def pickup():
    maker, taker, took = Line(), Line(), []
    arrived = []

    def worker():
        for _ in range(200):
            job = taker.take()
            arrived.append(time.perf_counter())
            taker.done(job)

    thread = threading.Thread(target=worker)
    thread.start()
    for number in range(200):
        time.sleep(0.01)
        sent = time.perf_counter()
        maker.put()
        while len(arrived) <= number:
            time.sleep(0.001)
        took.append((arrived[number] - sent) * 1000)
    thread.join()
    took.sort()
    return {"pickup_p50_ms": took[100], "pickup_p99_ms": took[198]}


print(json.dumps({"enqueue": enqueue, "drain": drain, "pickup": pickup}[PHASE]()))
