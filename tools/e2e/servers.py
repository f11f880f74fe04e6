"""Servers that stand in for AWS. The start.sh script of each one starts it."""
import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "target" / "e2e"
# The command line, which is LocalStack's DynamoDB.
NOTAFLUX = ROOT / "target" / "debug" / "notaflux"
# The first start installs packages.
START_LIMIT_SECONDS = 600
HEALTH = {"ministack": "/_ministack/health", "localstack": "/_localstack/health"}
# Share of writes that LocalStack's DynamoDB rejects or leaves unprocessed.
WRITE_ERRORS = "0.3"


class Server:
    """A server on a free port of loopback, for the time of a `with` block."""

    def __init__(self, name):
        self.name, self.port = name, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = HOME / f"{name}.log"
        script = ROOT / "tools" / name / "start.sh"
        environment = {**os.environ, "DYNAMODB_WRITE_ERROR_PROBABILITY": WRITE_ERRORS, "NOTAFLUX": str(NOTAFLUX)}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([script, HOME / name, str(self.port)], env=environment, stdout=log,
                                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)

    def __enter__(self):
        limit = time.monotonic() + START_LIMIT_SECONDS
        while not self.is_up():
            if self.process.poll() is not None or time.monotonic() > limit:
                self.__exit__()
                raise SystemExit(f"{self.tail()}\n{self.name} does not start; its log is {self.log}")
            time.sleep(0.2)
        return self

    def __exit__(self, *_):
        """Stops all processes of its session, including those of the functions."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(15)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue

    def is_up(self):
        try:
            with urllib.request.urlopen(self.url + HEALTH[self.name], timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]
