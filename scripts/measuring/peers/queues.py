"""Celery, RQ, Dramatiq and Procrastinate: one phase of one of them, as a line of JSON. Their workers are
processes of their own, as their documentation starts them; jobs are counted by what is left in the queue."""
import json, os, pathlib, subprocess, sys, tempfile, threading, time

if __name__ == "__main__":
    # Workers import this file too, with arguments of their own.
    os.environ["PEER"] = " ".join(sys.argv[1:4])
NAME, PHASE, JOBS = os.environ["PEER"].split()
JOBS = int(JOBS)
URL = os.environ["QUEUE_URL"]
HERE = pathlib.Path(__file__).resolve().parent
ONES = min(JOBS, 3_000)
STARTED = os.environ.get("PICKUP_FILE", "")


def note(sent):
    """What every handler does: nothing, or saying when it began."""
    if sent:
        with open(STARTED, "a") as file:
            file.write(f"{time.time() - sent}\n")


def celery():
    from celery import Celery
    app = Celery("queues", broker=URL)
    app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=64, broker_connection_retry_on_startup=True)
    job = app.task(name="job")(note)
    words = ["celery", "-A", "celery_app", "worker", "--pool=threads", "--concurrency=20", "-l", "error",
             "--without-gossip", "--without-mingle", "--without-heartbeat"]
    (pathlib.Path("celery_app.py")).write_text(
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "import queues; app = queues.celery()['app']\n")
    import redis
    server = redis.Redis.from_url(URL)
    return {"app": app, "add": lambda sent: job.delay(sent), "words": words,
            "left": lambda: server.llen("celery") + server.hlen("unacked")}


def rq():
    import redis
    from rq import Queue
    server = redis.Redis.from_url(URL)
    queue = Queue("nothing", connection=server)
    one = lambda sent: Queue.prepare_data(note, (sent,), result_ttl=0)
    words = ["rq", "worker", "nothing", "--url", URL, "--worker-class", "rq.worker.SimpleWorker", "--quiet",
             "--path", str(HERE)]
    return {"add": lambda sent: queue.enqueue(note, sent, result_ttl=0), "words": words,
            "many": lambda count: queue.enqueue_many([one(0) for _ in range(count)]),
            "left": lambda: len(queue) + len(queue.started_job_registry)}


def dramatiq():
    import dramatiq as library
    from dramatiq.brokers.redis import RedisBroker
    broker = RedisBroker(url=URL)
    library.set_broker(broker)
    actor = library.actor(note, actor_name="note")
    words = ["dramatiq", "queues", "--processes", "2", "--threads", "8", "--path", str(HERE)]
    left = lambda: broker.do_qsize("default") + sum(
        broker.client.scard(key) for key in broker.client.scan_iter("dramatiq:__acks__.*"))
    return {"add": lambda sent: actor.send(sent), "words": words, "left": left}


def procrastinate():
    import procrastinate as library
    app = library.App(connector=library.SyncPsycopgConnector(conninfo=URL))
    job = app.task(name="job")(note)
    app.open()
    if PHASE == "enqueue":
        app.schema_manager.apply_schema()
    pathlib.Path("procrastinate_app.py").write_text(
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "import procrastinate, queues\n"
        "app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=queues.URL))\n"
        "app.task(name='job')(queues.note)\n")
    words = ["procrastinate", "--app", "procrastinate_app.app", "worker", "--concurrency", "20",
             "--delete-jobs", "always"]
    left = lambda: app.connector.execute_query_one("SELECT count(*) AS n FROM procrastinate_jobs")["n"]
    return {"add": lambda sent: job.defer(sent=sent), "words": words, "left": left,
            "many": lambda count: job.batch_defer(*[{"sent": 0}] * count)}


def enqueue(peer):
    share = iter(range(ONES))
    lock = threading.Lock()

    def creator():
        while True:
            with lock:
                if next(share, None) is None:
                    return
            peer["add"](0)

    begun = time.perf_counter()
    crowd = [threading.Thread(target=creator) for _ in range(8)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    found = {"one_by_one": ONES / (time.perf_counter() - begun)}
    begun = time.perf_counter()
    many = peer.get("many") or (lambda count: [peer["add"](0) for _ in range(count)])
    for _ in range(JOBS // 1000):
        many(1000)
    if "many" in peer:
        found["bulk"] = JOBS / (time.perf_counter() - begun)
    return found


def worker(peer):
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    if NAME == "dramatiq":
        environment["DRAMATIQ_WORKER"] = "1"
    return subprocess.Popen(peer["words"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def drain(peer):
    all_of_them = peer["left"]()
    working = worker(peer)
    try:
        while (left := peer["left"]()) > all_of_them * 98 // 100:
            time.sleep(0.01)
        begun, first = time.perf_counter(), left
        while (left := peer["left"]()) > all_of_them * 2 // 100:
            time.sleep(0.01)
        return {"drain": (first - left) / (time.perf_counter() - begun)}
    finally:
        working.terminate()
        working.wait(30)


def pickup(peer):
    global STARTED
    with tempfile.NamedTemporaryFile() as file:
        os.environ["PICKUP_FILE"] = file.name
        working = worker(peer)
        try:
            time.sleep(4)
            for number in range(200):
                peer["add"](time.time())
                until = time.monotonic() + 10
                while pathlib.Path(file.name).read_text().count("\n") <= number and time.monotonic() < until:
                    time.sleep(0.005)
        finally:
            working.terminate()
            working.wait(30)
        took = sorted(float(line) * 1000 for line in pathlib.Path(file.name).read_text().splitlines())
    return {"pickup_p50_ms": took[len(took) // 2], "pickup_p99_ms": took[len(took) * 99 // 100]}


if __name__ == "__main__":
    # Jobs are named after their module: the one that workers import, not the one that is started.
    import queues
    made = {"celery": queues.celery, "rq": queues.rq, "dramatiq": queues.dramatiq,
            "procrastinate": queues.procrastinate}[NAME]()
    print(json.dumps({"enqueue": enqueue, "drain": drain, "pickup": pickup}[PHASE](made)))
elif os.environ.get("DRAMATIQ_WORKER"):
    dramatiq()
