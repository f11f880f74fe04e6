"""Measures size, cold start and memory of the two functions: the real binaries on a Runtime API, with `notaflux serve` as S3 and
DynamoDB. Fails if one invocation cannot ingest 100,000 invoices within 256 MB."""
import json
import queue
import resource
import shutil
import statistics
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3

import portal
from servers import HOME, ROOT, free_port

INVOICES = 100_000
MEMORY_MB = 256
STARTS = 11
PAGES = 50
NOTAFLUX = ROOT / "target" / "debug" / "notaflux"
FOLDER = HOME / "figures"


class RuntimeApi(BaseHTTPRequestHandler):
    """The Lambda Runtime API for one function that handles one event at a time."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        function = self.server.function
        if function.polled_at is None:
            function.polled_at = time.perf_counter()
            function.ready.set()
        event = function.events.get()
        self.reply(200, json.dumps(event).encode(), {
            "Lambda-Runtime-Aws-Request-Id": "1",
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + 900) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:f",
            "Lambda-Runtime-Trace-Id": "",
        })

    def do_POST(self):
        body = b""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while length := int(self.rfile.readline(), 16):
                body += self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.function.answers.put((self.path.rpartition("/")[2], json.loads(body)))
        self.reply(202, b"", {})

    def reply(self, status, body, headers):
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Function:
    """A process of a function. Its own memory is limited to what Lambda would give it."""

    def __init__(self, name, endpoint, **variables):
        self.events, self.answers, self.ready, self.polled_at = queue.Queue(), queue.Queue(), threading.Event(), None
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi)
        self.server.daemon_threads, self.server.function = True, self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        environment = {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server.server_address[1]}", "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY_MB), "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": endpoint, "TABLE": "notaflux", "WORK_BUCKET": "work", **variables,
        }
        limit = MEMORY_MB * 1024 * 1024
        self.started_at = time.perf_counter()
        self.process = subprocess.Popen([bootstrap(name)], env=environment, stdout=subprocess.DEVNULL,
                                        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)))
        if not self.ready.wait(30):
            raise SystemExit(f"notaflux-{name} does not poll the Runtime API")

    def cold_start_ms(self):
        return (self.polled_at - self.started_at) * 1000

    def invoke(self, event):
        self.events.put(event)
        while True:
            try:
                kind, answer = self.answers.get(timeout=1)
                break
            except queue.Empty:
                if self.process.poll() is not None:
                    raise SystemExit(f"the function exited with code {self.process.returncode} with a limit of {MEMORY_MB} MB") from None
        if kind != "response":
            raise SystemExit(f"the function failed: {answer}")
        return answer

    def peak_mb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.server.shutdown()
        self.server.server_close()


class Stack:
    """`notaflux serve` on an empty folder."""

    def __enter__(self):
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        command = [NOTAFLUX, "serve", "--data", FOLDER / "data", "--port", "0", "--aws-port", str(port), "--quiet"]
        with open(FOLDER / "serve.log", "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        limit = time.monotonic() + 30
        while "Serving" not in (FOLDER / "serve.log").read_text():
            if self.process.poll() is not None or time.monotonic() > limit:
                raise SystemExit(f"notaflux serve does not start\n{(FOLDER / 'serve.log').read_text()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)


def bootstrap(name):
    return ROOT / "target" / "lambda" / f"notaflux-{name}" / "bootstrap"


def s3_event(key):
    return {"Records": [{"eventName": "ObjectCreated:Put", "eventTime": "2026-11-02T10:00:00.000Z", "userIdentity": {},
                         "requestParameters": {}, "s3": {"bucket": {"name": "work"}, "object": {"key": key}}}]}


def rest_event(path, query):
    return {"resource": "/{proxy+}", "path": path, "httpMethod": "GET", "headers": {"Host": "h"},
            "multiValueHeaders": {"Host": ["h"]}, "queryStringParameters": query, "body": None, "isBase64Encoded": False,
            "requestContext": {"accountId": "1", "resourceId": "r", "stage": "prod", "requestId": "q", "identity": {},
                               "resourcePath": "/{proxy+}", "httpMethod": "GET", "apiId": "a", "path": "/prod" + path}}


def cold_start(name, endpoint, **variables):
    """Returns the milliseconds from the start of the process to its first request for an event: median and worst."""
    times = []
    for _ in range(STARTS):
        with Function(name, endpoint, **variables) as function:
            times.append(function.cold_start_ms())
    return statistics.median(times), max(times)


def ingest(endpoint):
    path = portal.generate(NOTAFLUX, FOLDER / "invoices.csv", INVOICES, 5)
    # The bucket `work`, because `notaflux serve` itself ingests the objects of `uploads`.
    s3 = boto3.client("s3", endpoint_url=endpoint)
    s3.upload_file(str(path), "work", "figures.csv")
    with Function("ingest", endpoint) as function:
        began = time.perf_counter()
        function.invoke(s3_event("figures.csv"))
        seconds, peak = time.perf_counter() - began, function.peak_mb()
    found = report_of(endpoint)
    expected = portal.counts([path])
    if {name: found[name] for name in expected} != expected or found["state"] != "completed":
        raise SystemExit(f"wrong counts: expected {expected}, found {found}")
    return path, seconds, peak


def report_of(endpoint):
    pages = boto3.client("dynamodb", endpoint_url=endpoint).get_paginator("scan").paginate(
        TableName="notaflux", FilterExpression="SK = :meta", ExpressionAttributeValues={":meta": {"S": "META"}})
    return next(json.loads(item["report"]["S"]) for page in pages for item in page["Items"])


def query(endpoint, path, key):
    """Returns the median milliseconds of a page of 100 of the issuer with the most invoices, and the peak memory."""
    issuers = [invoice["issuer"]["tax_id"] for invoice in portal.invoices(path).values()]
    parameters = {"issuer": statistics.mode(issuers), "limit": "100"}
    with Function("query", endpoint, CURSOR_KEY=key) as function:
        times = []
        for _ in range(PAGES):
            began = time.perf_counter()
            answer = function.invoke(rest_event("/v1/invoices", parameters))
            times.append((time.perf_counter() - began) * 1000)
            body = json.loads(answer["body"])
            if answer["statusCode"] != 200 or len(body["items"]) != 100:
                raise SystemExit(f"expected a page of 100 items, found: {answer}")
            parameters["cursor"] = body["next_cursor"]
        return statistics.median(times), function.peak_mb()


def run():
    """Measures, prints and checks. Returns the number of checks."""
    key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    with Stack() as stack:
        starts = {"ingest": cold_start("ingest", stack.endpoint), "query": cold_start("query", stack.endpoint, CURSOR_KEY=key)}
        path, seconds, ingest_peak = ingest(stack.endpoint)
        page_ms, query_peak = query(stack.endpoint, path, key)
    peaks = {"ingest": ingest_peak, "query": query_peak}
    for name, (median, worst) in starts.items():
        size = bootstrap(name).stat().st_size / 1e6
        print(f"  notaflux-{name}: {size:.1f} MB stripped, cold start {median:.0f} ms (worst of {STARTS}: {worst:.0f} ms), "
              f"peak memory {peaks[name]:.0f} MB")
    print(f"  {INVOICES} invoices in one invocation limited to {MEMORY_MB} MB: {seconds:.1f} s, peak {ingest_peak:.0f} MB")
    print(f"  a page of 100 invoices: {page_ms:.1f} ms")
    if max(peaks.values()) >= MEMORY_MB:
        raise SystemExit(f"peak memory: expected less than {MEMORY_MB} MB, found {peaks}")
    print(f"  ok  {INVOICES} invoices: one invocation ingests them within {MEMORY_MB} MB, and the counts are correct")
    print(f"  ok  {PAGES} pages: one function returns them within {MEMORY_MB} MB")
    return 2
