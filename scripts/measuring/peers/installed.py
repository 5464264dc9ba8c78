"""The others: how each is installed, started and asked. Every peer is a small program beside this file that is
called with a phase (`enqueue`, `drain`, `pickup`) and prints one line of JSON."""
import json, os, pathlib, shutil, socket, subprocess, sys, time, urllib.parse

from ..server import POSTGRES

HERE = pathlib.Path(__file__).resolve().parent
NODE = {"graphile-worker": "graphile-worker", "pg-boss": "pg-boss", "bullmq": "bullmq"}
PYTHON = {"celery": ["celery[redis]"], "rq": ["rq"], "dramatiq": ["dramatiq[redis]"],
          "procrastinate": ["procrastinate"]}
REDIS = {"bullmq", "celery", "rq", "dramatiq"}
DATABASE = {"graphile-worker", "pg-boss", "procrastinate"}
# Jobs of those whose workers need a minute for what others do in a second.
FEWER = {"rq": 3_000, "procrastinate": 5_000}


def run(words, **more):
    return subprocess.run([str(word) for word in words], check=True, **more)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def listening(port):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"nobody listens on port {port}")


class Peer:
    """One of the others."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder

    def version(self):
        if self.name in NODE:
            told = self.folder / "node" / "node_modules" / self.name / "package.json"
            return json.loads(told.read_text())["version"]
        if self.name == "beanstalkd":
            return run(["beanstalkd", "-v"], capture_output=True, text=True).stdout.split()[-1]
        code = f"import importlib.metadata; print(importlib.metadata.version('{self.name}'))"
        return run([self.python(), "-c", code], capture_output=True, text=True).stdout.strip()

    def python(self):
        return self.folder / self.name / "bin" / "python"

    def program(self, phase, jobs):
        if self.name in NODE:
            # Beside the packages: modules are looked for from where a file stands.
            source = self.folder / "node" / "node.mjs"
            shutil.copy(HERE / "node.mjs", source)
            return [self.folder / "node" / "node_modules" / ".bin" / "node", source, self.name, phase, jobs]
        if self.name == "beanstalkd":
            return [sys.executable, HERE / "beanstalk.py", phase, jobs]
        return [self.python(), HERE / "queues.py", self.name, phase, jobs]

    def measure(self, jobs):
        jobs = min(jobs, FEWER.get(self.name, jobs))
        environment = {**os.environ, "PATH": f"{self.folder / self.name / 'bin'}:{os.environ['PATH']}"}
        servers = []
        folder = self.folder / f"data-{self.name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            if self.name in REDIS or self.name == "beanstalkd":
                port = free_port()
                words = {"beanstalkd": ["beanstalkd", "-l", "127.0.0.1", "-p", port, "-b", folder, "-f0"]}.get(
                    self.name, ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", folder,
                                "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""])
                servers.append(subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL))
                listening(port)
                environment["QUEUE_URL"] = f"redis://127.0.0.1:{port}/0"
                environment["QUEUE_PORT"] = str(port)
            if self.name in DATABASE:
                database = "taskflow_peer"
                for sql in [f"DROP DATABASE IF EXISTS {database} WITH (FORCE)", f"CREATE DATABASE {database}"]:
                    run(["psql", "-q", "-d", POSTGRES, "-c", sql], stderr=subprocess.DEVNULL)
                environment["QUEUE_URL"] = urllib.parse.urlsplit(POSTGRES)._replace(path="/" + database).geturl()
            found = {}
            for phase in ["enqueue", "drain", "pickup"]:
                told = run(self.program(phase, jobs), env=environment, cwd=folder, capture_output=True, text=True,
                           timeout=300).stdout
                found.update(json.loads(told.strip().splitlines()[-1]))
            return found
        finally:
            for one in servers:
                one.terminate()
                one.wait(20)
            if self.name in DATABASE:
                run(["psql", "-q", "-d", POSTGRES, "-c", "DROP DATABASE taskflow_peer WITH (FORCE)"])


def prepare(folder, names):
    """Installs those that are asked for (all when none is named) and are not there yet."""
    wanted = names or [*NODE, *PYTHON, "beanstalkd"]
    folder.mkdir(parents=True, exist_ok=True)
    node = [name for name in wanted if name in NODE]
    if node and not all((folder / "node" / "node_modules" / name).exists() for name in [*node, "node"]):
        (folder / "node").mkdir(exist_ok=True)
        (folder / "node" / "package.json").write_text('{"private": true, "type": "module"}')
        # Some of them want a newer Node.js than distributions have: the package "node" brings it.
        run(["npm", "install", "--no-audit", "--no-fund", "--silent", "node@22", "ioredis@latest", *[f"{name}@latest" for name in NODE]], cwd=folder / "node")
    for name in [name for name in wanted if name in PYTHON]:
        if not (folder / name / "ready").exists():
            run([sys.executable, "-m", "venv", folder / name])
            run([folder / name / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *PYTHON[name]])
            (folder / name / "ready").touch()
    programs = {"redis-server"} if REDIS & set(wanted) else set()
    programs |= {"beanstalkd"} & set(wanted)
    if missing := sorted(name for name in programs if not shutil.which(name)):
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], stdout=subprocess.DEVNULL)
    return {name: Peer(name, folder) for name in [*NODE, *PYTHON, "beanstalkd"]}
