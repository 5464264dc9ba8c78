"""The program on a database of its own, its load generator and the yardsticks. It measures nothing."""
import http.client, itertools, json, os, pathlib, shutil, socket, subprocess, sys, tempfile, time, urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RELEASE = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release"
RESULTS = ROOT / "docs" / "measurements"
POSTGRES = os.environ.get("TEST_DATABASE_URL", "")
NUMBERS = itertools.count()


def build():
    packages = ["-p", "taskflow", "-p", "taskflow-sqlite", "-p", "taskflow-postgres"]
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", *packages, "--bin", "taskflow",
                    "--example", "raw_sqlite", "--example", "raw_postgres"],
                   cwd=ROOT, check=True)


class Server:
    """The program on an empty database of its own."""

    def __init__(self, store, under=(), **settings):
        """`under`: the program that runs it, with its words, such as a profiler."""
        self.folder = tempfile.mkdtemp(prefix="taskflow-measure-")
        self.database = f"taskflow_measure_{os.getpid()}_{next(NUMBERS)}"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        if store == "postgres":
            self.sql(f"CREATE DATABASE {self.database}")
            url = urllib.parse.urlsplit(POSTGRES)._replace(path="/" + self.database).geturl()
        else:
            url = f"sqlite:///{self.folder}/t.db"
        self.store, self.url, self.under = store, url, under
        self.settings = {"WORKER_ENABLED": "true", **settings}
        self.filling = None
        self.start()

    def start(self, **settings):
        environment = {**os.environ, **self.settings, **settings, "DATABASE_URL": self.url, "API_KEY": "",
                       "PORT": str(self.port), "LOG_LEVEL": "warn"}
        self.process = subprocess.Popen([*self.under, RELEASE / "taskflow", "serve"], env=environment, cwd=self.folder)
        until = time.monotonic() + 30
        while True:
            try:
                if self.get("/api/v1/health/ready", parse=False)[0] == 200:
                    return
            except OSError:
                pass
            if time.monotonic() > until or self.process.poll() is not None:
                self.process.kill()
                self.__exit__()
                sys.exit("scripts/measure: the server does not start")
            time.sleep(0.02)

    def post(self, path, body):
        """One connection for all calls of a server's life: fillings are long."""
        if self.filling is None:
            self.filling = http.client.HTTPConnection("127.0.0.1", self.port)
        self.filling.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = self.filling.getresponse()
        told = answer.read()
        assert answer.status < 300, told
        return json.loads(told)

    def memory(self):
        """What the process holds, in MiB."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024

    def disk(self):
        """The database in MiB, and its dead rows or free pages."""
        if self.store == "postgres":
            sql = ("SELECT pg_database_size(current_database()), "
                   "(SELECT sum(n_dead_tup) FROM pg_stat_user_tables)")
            size, dead = self.numbers(sql)
            return size / 2**20, dead
        files = [pathlib.Path(self.folder) / ("t.db" + end) for end in ["", "-wal"]]
        size = sum(file.stat().st_size for file in files if file.exists()) / 2**20
        import sqlite3
        with sqlite3.connect(f"file:{self.folder}/t.db?mode=ro", uri=True) as reader:
            free = reader.execute("PRAGMA freelist_count").fetchone()[0]
        return size, free

    def fill(self, tasks, ended, queue="bench", kind="bench.noop"):
        """Lays in so many tasks, the first `ended` of them completed."""
        one = {"title": "a task of the benchmark", "queue": queue, "kind": kind, "payload": {"n": 1}}
        for _ in range(tasks // 1000):
            self.post("/api/v1/tasks/bulk", {"tasks": [one] * 1000})
        done, left = [], ended
        while left > 0 or done:
            wish = {"claim": {"limit": min(1000, left), "kinds": [kind]}} if left > 0 else {}
            told = self.post("/api/v1/workers/fill/sync", {"finished": done, **wish})
            done = [{"id": t["id"], "lease_token": t["lease_token"], "outcome": "completed"}
                    for t in told.get("tasks", [])]
            left -= len(done)

    def get(self, path, parse=True):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return json.loads(body) if parse else (answer.status, body)

    def numbers(self, sql):
        """The numbers of one row, asked of PostgreSQL."""
        told = subprocess.run(["psql", "-qtA", "-F", " ", "-d", self.url, "-c", sql], check=True,
                              capture_output=True, text=True).stdout.split()
        return [int(number) for number in told]

    def sql(self, text):
        subprocess.run(["psql", "-q", "-d", POSTGRES, "-c", text], check=True)

    def stop(self):
        self.filling = None
        self.process.terminate()
        self.process.wait(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        if self.store == "postgres":
            self.sql(f"DROP DATABASE {self.database} WITH (FORCE)")
        shutil.rmtree(self.folder)


def bench(server, scenario, seconds, *more):
    words = [RELEASE / "taskflow", "bench", "--server", f"http://127.0.0.1:{server.port}", "--json",
             "--scenario", scenario, "--seconds", str(seconds), *more]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return json.loads(told)["scenarios"]


def raw(store, seconds):
    """What the barest queue reaches on this machine."""
    where = POSTGRES if store == "postgres" else tempfile.gettempdir()
    told = subprocess.run([RELEASE / "examples" / f"raw_{store}", where, str(seconds)], check=True,
                          capture_output=True, text=True).stdout
    return json.loads(told)


def keep(name, figures):
    """Writes what was measured to where the graphs are drawn from."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")


def kept(name):
    """What was written before."""
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else []
