"""A proxy between a function and the server. It records the service, action and resource of each call, as IAM names them."""
import http.client
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

# Headers that describe one connection, not the message.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "expect", "proxy-connection"}


class Proxy:
    """Listens on a free port of loopback. `calls` counts each (action, resource)."""

    def __init__(self, upstream_port, region, account):
        self.upstream_port, self.region, self.account = upstream_port, region, account
        self.calls, self.lock = {}, threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.proxy = True, self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def note(self, request, body, status):
        for call in calls_of(request, body, status, self.region, self.account):
            with self.lock:
                self.calls[call] = self.calls.get(call, 0) + 1

    def total(self):
        with self.lock:
            return sum(self.calls.values())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def forward(self):
        body = self.read_body()
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.proxy.upstream_port, timeout=120)
        # Keep the host header, because the function has signed it.
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                upstream.putheader(name, value)
        upstream.putheader("Content-Length", str(len(body)))
        upstream.endheaders(body)
        answer = upstream.getresponse()
        content = answer.read()
        self.server.proxy.note(self, body, answer.status)
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        # The answer to HEAD has the length of the body that it omits.
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        self.wfile.write(content)
        upstream.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = forward

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        whole = b""
        while True:
            length = int(self.rfile.readline().split(b";")[0], 16)
            whole += self.rfile.read(length)
            self.rfile.readline()
            if not length:
                return whole


def calls_of(request, body, status, region, account):
    """Returns the pairs of action and resource that IAM would check for a request."""
    scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request", request.headers.get("Authorization", ""))
    service = scope.group(1) if scope else "unsigned"
    if service == "s3":
        return s3_calls(request.command, request.path, status)
    action = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
    parameters = json.loads(body) if action else {}
    if not action:
        form = parse_qs(body.decode(errors="replace"))
        action, parameters = form.get("Action", ["?"])[0], {name: values[0] for name, values in form.items()}
    resources = resources_of(service, parameters, f"arn:aws:{service}:{region}:{account}:")
    return [(f"{service}:{action}", resource) for resource in resources]


def resources_of(service, parameters, prefix):
    if service == "dynamodb":
        tables = list(parameters.get("RequestItems", {})) or [parameters.get("TableName", "?")]
        index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
        return [table if table.startswith("arn:") else f"{prefix}table/{table}{index}" for table in tables]
    if service == "secretsmanager":
        return [parameters.get("SecretId", "?")]
    if service == "sqs":
        return [prefix + parameters.get("QueueUrl", "?").rpartition("/")[2]]
    return ["*"]


def s3_calls(method, target, status):
    """Returns the S3 actions of a path-style request. Source: "Actions, resources, and condition keys for Amazon S3"."""
    url = urlsplit(target)
    query = parse_qs(url.query, keep_blank_values=True)
    bucket, _, key = unquote(url.path).lstrip("/").partition("/")
    arn = f"arn:aws:s3:::{bucket}"
    if not key:
        return [({"GET": "s3:ListBucket", "HEAD": "s3:ListBucket"}.get(method, f"s3:{method} of a bucket"), arn)]
    versioned = "versionId" in query
    if method in ("GET", "HEAD"):
        action = "s3:GetObjectVersion" if versioned else "s3:GetObject"
        calls = [(action, f"{arn}/{key}")]
        if status == 404:
            # S3 answers 404 for a missing object only if the caller may list the bucket. Otherwise it answers 403.
            calls.append(("s3:ListBucketVersions" if versioned else "s3:ListBucket", arn))
        return calls
    if method == "DELETE":
        action = "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"
        return [(action, f"{arn}/{key}")]
    # Creating, uploading parts of and completing a multipart upload all need s3:PutObject.
    return [("s3:PutObject", f"{arn}/{key}")]
