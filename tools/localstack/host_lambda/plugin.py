"""A LocalStack executor that runs the bootstrap of a provided.* function as a process on this machine.

LAMBDA_RUNTIME_EXECUTOR=host selects it. There is no container and no isolation, so use it for tests only.
"""
import json
import os
import queue
import subprocess
import threading
import time
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

START_LIMIT_SECONDS = 15
# Log lines come through a pipe and may arrive shortly after the answer of the function.
LOG_PAUSE_SECONDS = 0.05


class RuntimeApi(BaseHTTPRequestHandler):
    """The Lambda Runtime API of one process. The process asks for the next event and posts its answer."""

    protocol_version = "HTTP/1.1"

    @property
    def executor(self):
        return self.server.executor

    def log_message(self, *_):
        pass

    def do_GET(self):
        if not self.path.endswith("/runtime/invocation/next"):
            return self.reply(404)
        self.executor.is_ready()
        event = self.executor.next_event()
        if event is None:
            return None
        config = self.executor.function_version.config
        deadline_ms = int((time.time() + config.timeout) * 1000)
        return self.reply(200, event["payload"].encode(), {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": event["invoke-id"],
            "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": event["invoked-function-arn"],
            "Lambda-Runtime-Trace-Id": event.get("trace-id") or "",
        })

    def do_POST(self):
        body = self.body()
        *_, request_id, kind = self.path.strip("/").split("/")
        if (request_id, kind) == ("init", "error"):
            self.executor.failed_to_start(body)
            return self.reply(202)
        known = self.executor.answered(request_id, body, is_error=kind == "error")
        return self.reply(202 if known else 400)

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        whole = b""
        while True:
            length = int(self.rfile.readline().split(b";")[0], 16)
            whole += self.rfile.read(length)
            self.rfile.readline()
            if not length:
                return whole

    def reply(self, status, body=b"", headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class HostRuntimeExecutor(RuntimeExecutor):
    """One execution environment: a process and the Runtime API that it polls. It handles one event at a time."""

    def __init__(self, id, function_version):
        super().__init__(id=id, function_version=function_version)
        self.events, self.answers, self.ready = queue.Queue(), {}, Future()
        self.process = self.server = None
        self.log, self.logged_before = b"", 0

    def start(self, env_vars):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi)
        self.server.daemon_threads, self.server.executor = True, self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        root = self.function_version.config.code.get_unzipped_code_location()
        bootstrap = os.path.join(root, "bootstrap")
        os.chmod(bootstrap, 0o755)
        environment = {"PATH": os.environ["PATH"], **{name: str(value) for name, value in env_vars.items()}}
        environment["LAMBDA_TASK_ROOT"] = str(root)
        environment["AWS_LAMBDA_RUNTIME_API"] = f"127.0.0.1:{self.server.server_address[1]}"
        self.process = subprocess.Popen([bootstrap], cwd=root, env=environment, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        threading.Thread(target=self.read_log, daemon=True).start()
        self.ready.result(timeout=START_LIMIT_SECONDS)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(2)
            except subprocess.TimeoutExpired:
                self.process.kill()
        if self.server:
            self.server.shutdown()
            self.server.server_close()

    def invoke(self, payload):
        request_id, answer = payload["invoke-id"], Future()
        self.answers[request_id] = answer
        self.logged_before = len(self.log)
        if self.process.poll() is not None:
            return self.result(request_id, self.exit_error(), is_error=True)
        self.events.put(payload)
        timeout = self.function_version.config.timeout
        try:
            return answer.result(timeout=timeout)
        except TimeoutError:
            self.process.kill()
            error = {"errorType": "Sandbox.Timedout", "errorMessage": f"Task timed out after {timeout}.00 seconds"}
            return self.result(request_id, json.dumps(error).encode(), is_error=True)

    def is_ready(self):
        if not self.ready.done():
            self.ready.set_result(True)

    def failed_to_start(self, body):
        if not self.ready.done():
            self.ready.set_exception(RuntimeError(body.decode()))

    def next_event(self):
        """Returns the next event, or None after the process has ended."""
        while self.process is None or self.process.poll() is None:
            try:
                return self.events.get(timeout=1)
            except queue.Empty:
                continue
        return None

    def answered(self, request_id, body, is_error):
        answer = self.answers.pop(request_id, None)
        if answer is None:
            return False
        time.sleep(LOG_PAUSE_SECONDS)
        answer.set_result(self.result(request_id, body, is_error))
        return True

    def read_log(self):
        for line in self.process.stdout:
            self.log += line
        self.process.wait()
        error = self.exit_error()
        self.failed_to_start(error)
        for request_id, answer in list(self.answers.items()):
            if not answer.done():
                answer.set_result(self.result(request_id, error, is_error=True))

    def exit_error(self):
        error = {"errorType": "Runtime.ExitError", "errorMessage": f"exit status {self.process.returncode}"}
        return json.dumps(error).encode()

    def result(self, request_id, body, is_error):
        lines = self.log[self.logged_before:].decode(errors="replace")
        return InvocationResult(request_id, body, is_error=is_error, logs=lines or "\n")

    def get_logs(self):
        return self.log.decode(errors="replace")

    def get_address(self):
        return "127.0.0.1"

    def get_endpoint_from_executor(self):
        return "127.0.0.1"

    def get_runtime_endpoint(self):
        return "http://127.0.0.1"

    @classmethod
    def prepare_version(cls, version):
        if version.config.code:
            version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, version):
        pass


class HostRuntimeExecutorPlugin(RuntimeExecutorPlugin):
    name = "host"

    def load(self, *_, **__):
        return HostRuntimeExecutor
