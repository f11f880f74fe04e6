"""Tests one server from deployment to the last page: uploads files to S3 and reads their invoices from the API."""
import csv
import io
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path

import boto3
from botocore.config import Config

import grants
import portal
from proxy import Proxy
from servers import HOME, ROOT, Server

STACK = "notaflux"
NOTAFLUX = ROOT / "target" / "debug" / "notaflux"
FILES = HOME / "files"
# Values that differ from the defaults, to test that the parameters take effect. The others keep their defaults.
PARAMETERS = ["Workers=4", "MaxReceives=3", "Shards=3", "StateIndex=false", "MaxWriteUnits=8000"]
ARCHIVE_KEY = "caixa de entrada/Notas São Paulo +2026 (ação).zip"
BURST = 50
SCHEMA = {"PK": {"S": "SCHEMA"}, "SK": {"S": "SCHEMA"}}
# Longest wait for steps that usually take seconds.
PATIENCE_SECONDS = 1200


class Flow:
    """A deployed stack and the results of its checks."""

    def __init__(self, server, call):
        self.server, self.run_command, self.passed = server, call, 0
        self.ingested = []

    def check(self, what, is_right, found=""):
        if not is_right:
            raise SystemExit(f"FAILED on {self.server.name}: {what}\n{found}\nThe server's log: {self.server.log}")
        self.passed += 1
        print(f"  ok  {what}", flush=True)

    def client(self, service):
        # A server that runs the functions may answer slowly.
        config = Config(read_timeout=120, retries={"max_attempts": 10}, s3={"addressing_style": "path"})
        return boto3.client(service, endpoint_url=self.server.url, config=config)

    def wait(self, what, condition):
        limit = time.monotonic() + PATIENCE_SECONDS
        while not (found := condition()):
            if time.monotonic() > limit:
                self.check(what, False, f"did not happen within {PATIENCE_SECONDS} s\n{self.function_log()[-3000:]}")
            time.sleep(0.3)
        return found

    # ---- deployment

    def deploy(self):
        self.run_command(ROOT / "target/e2e/tools/bin/sam", "deploy", "--template", ROOT / "template.yaml",
                         "--stack-name", STACK, "--resolve-s3", "--capabilities", "CAPABILITY_IAM",
                         "--no-confirm-changeset", "--no-progressbar", "--parameter-overrides", *PARAMETERS,
                         AWS_ENDPOINT_URL=self.server.url)
        self.cloudformation = self.client("cloudformation")
        stack = self.cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self.s3, self.sqs = self.client("s3"), self.client("sqs")
        self.dynamodb, self.functions = self.client("dynamodb"), self.client("lambda")
        self.account = self.client("sts").get_caller_identity()["Account"]
        self.api_id = re.match(r"https://([^.]+)", self.outputs["ApiUrl"]).group(1)
        keys = self.client("apigateway")
        self.api_key = keys.get_api_key(apiKey=self.outputs["ApiKeyId"], includeValue=True)["value"]
        self.check("the stack is deployed", stack["StackStatus"] == "CREATE_COMPLETE", stack["StackStatus"])
        table = self.dynamodb.describe_table(TableName=self.outputs["TableName"])["Table"]
        indexes = sorted(index["IndexName"] for index in table["GlobalSecondaryIndexes"])
        self.check("the table has the indexes of the parameters", indexes == ["issuer", "month", "recipient"], indexes)

    def stand_between(self):
        """Makes the functions call the server through proxies that record each call."""
        # S3's test event may have started the ingest function already. Delete SCHEMA, so that the proxy sees a first start.
        self.until_empty()
        self.dynamodb.delete_item(TableName=self.outputs["TableName"], Key=SCHEMA)
        self.proxies = {}
        for role, output in (("IngestRole", "IngestFunctionName"), ("QueryRole", "QueryFunctionName")):
            proxy = self.proxies[role] = Proxy(self.server.port, "us-east-1", self.account)
            name = self.outputs[output]
            variables = self.functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
            variables |= {f"AWS_ENDPOINT_URL_{service}": proxy.url for service in ("S3", "DYNAMODB", "SQS", "SECRETS_MANAGER")}
            self.functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
            self.functions.get_waiter("function_updated_v2").wait(FunctionName=name)

    # ---- the API

    def get(self, path, key="", asked=None, **query):
        """Sends a request with the headers `asked`. Returns status, body and headers."""
        given = f"?{urllib.parse.urlencode(query)}" if query else ""
        url = f"{self.server.url}/_aws/execute-api/{self.api_id}/prod{path}{given}"
        request = urllib.request.Request(url, headers=({"x-api-key": key} if key else {}) | (asked or {}))
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers

    def ask(self, path, **query):
        status, body, headers = self.get(path, self.api_key, **query)
        self.check_quietly(f"GET {path} is answered", status == 200, f"{status} {body}")
        return json.loads(body), headers

    def check_quietly(self, what, is_right, found):
        if not is_right:
            self.check(what, False, found)

    def refusals(self):
        for what, key in (("without a key", ""), ("with a wrong key", "0" * 40)):
            status, body, _ = self.get("/v1/invoices/1", key)
            is_refused = status == 403 and json.loads(body) == {"message": "Forbidden"}
            self.check(f"the API refuses a request {what}", is_refused, f"{status} {body}")
        status, body, headers = self.get("/v1/invoices/1", self.api_key)
        problem = json.loads(body).get("type") if status == 404 else None
        self.check("the API answers 404 for an invoice before the first ingestion", problem == "/problems/not-found", f"{status} {body}")
        self.check("the 404 is application/problem+json", headers["content-type"] == "application/problem+json", headers)
        status, body, _ = self.get("/v1/invoices", self.api_key, issuer="1", cursor="AAAA")
        self.check("an invalid cursor is refused", status == 400 and b"invalid-cursor" in body, body)

    def pages(self, path, **query):
        """Reads all pages of a list. Returns the items and the number of pages."""
        found, cursor, pages = [], {}, 0
        while True:
            page, headers = self.ask(path, **query, **cursor)
            found, pages = found + page["items"], pages + 1
            if "next_cursor" not in page:
                self.check_quietly("the last page has no Link header", headers["link"] is None, headers["link"])
                return found, pages
            cursor = {"cursor": page["next_cursor"]}
            is_linked = urllib.parse.urlencode(cursor) in (headers["link"] or "")
            self.check_quietly("the Link header has the cursor of the next page", is_linked, headers["link"])

    # ---- uploads

    def archive(self):
        """Makes a Portal zip: two files of invoices and two other files. Returns the expected invoices and counts."""
        first = portal.generate(NOTAFLUX, FILES / "first.csv", 1500, 11)
        second = portal.generate(NOTAFLUX, FILES / "second.csv", 700, 12, "portal-v2")
        portal.archive(FILES / "notas.zip", {
            "202601_NFe_NotaFiscal.csv": first.read_bytes(),
            "LEIA-ME.txt": "Dados abertos. Não é uma nota.\r\n".encode("cp1252"),
            "202601_NFe_NotaFiscalEvento.csv": "CHAVE DE ACESSO;EVENTO\r\n".encode("cp1252"),
            "202602_NFe_NotaFiscal.csv": second.read_bytes(),
        })
        expected, others = portal.invoices(first), portal.invoices(second)
        assert not set(expected) & set(others), "the two files share a key, so their counts cannot be added"
        return expected | others, portal.counts([first, second])

    def put(self, key, path):
        version = self.s3.put_object(Bucket=self.outputs["UploadsBucketName"], Key=key, Body=path.read_bytes())
        return version.get("VersionId")

    def ledger(self):
        """Returns the report of each ingestion, by the key of its object."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.outputs["TableName"], ConsistentRead=True, FilterExpression="SK = :meta",
            ExpressionAttributeValues={":meta": {"S": "META"}})
        reports = [json.loads(item["report"]["S"]) for page in pages for item in page["Items"]]
        return {report["source"]["key"]: report for report in reports}

    def ended(self, keys):
        """Returns the reports when all of these objects are completed or failed, else None."""
        reports = self.ledger()
        known = [reports.get(key, {}).get("state") for key in keys]
        return reports if all(state in ("completed", "failed") for state in known) else None

    def invoice_items(self):
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.outputs["TableName"], ConsistentRead=True, Select="COUNT", FilterExpression="SK = :head",
            ExpressionAttributeValues={":head": {"S": "H"}})
        return sum(page["Count"] for page in pages)

    def one_archive(self):
        expected, counts = self.archive()
        self.put(ARCHIVE_KEY, FILES / "notas.zip")
        report = self.wait("the archive is ingested", lambda: self.ended([ARCHIVE_KEY]))[ARCHIVE_KEY]
        self.check("the archive is ingested", report["state"] == "completed", report)
        found = {name: report[name] for name in counts}
        self.check("its counts equal those of tools/count.py", found == counts, f"{found} {counts}")
        layouts = [entry["layout"] for entry in report["entries"]]
        self.check("two entries are invoices; two are skipped with a reason",
                   layouts == ["portal-invoice"] * 2 and len(report["skipped"]) == 2, report)
        self.check("the table has one item per key", self.invoice_items() == counts["written"], counts)
        self.rejects(report)
        answered, _ = self.ask(f"/v1/ingestions/{report['ingestion']}")
        self.check("the API returns the report", answered == report, answered)
        item = self.dynamodb.get_item(TableName=self.outputs["TableName"], Key=SCHEMA)["Item"]
        self.check("the table records the shards of the parameter", item["shards"] == {"N": "3"}, item)
        self.walk(expected, report["ingestion"])
        return report

    def rejects(self, report):
        bucket, _, prefix = report["rejects_location"].removeprefix("s3://").partition("/")
        listed = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
        bodies = [self.s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in listed]
        lines = [json.loads(line) for body in bodies for line in body.splitlines()]
        self.check("each reject is in the work bucket, with its line and reason",
                   len(lines) == report["rejected"] and all(line["reason"] and line["line"] for line in lines), lines[:3])
        found, pages = self.pages(f"/v1/ingestions/{report['ingestion']}/rejects", limit=max(1, len(lines) // 3))
        self.check(f"the API returns them on {pages} pages", found == lines and pages > 2, found[:3])

    def walk(self, expected, ingestion):
        """Compares the invoices of the largest issuers, read over HTTP, with the rows of the file."""
        issuers = {}
        for invoice in expected.values():
            issuers.setdefault(invoice["issuer"]["tax_id"], set()).add(invoice["id"])
        busiest = max(issuers, key=lambda issuer: len(issuers[issuer]))
        few = sorted(issuers, key=lambda issuer: (-len(issuers[issuer]), issuer))[:25]
        most_pages, seen = 0, {}
        for issuer in few:
            found, pages = self.pages("/v1/invoices", issuer=issuer, limit=40)
            times = [invoice["issued_at"] for invoice in found]
            self.check_quietly("pages are sorted by time of issue", times == sorted(times), times)
            self.check_quietly(f"the pages of {issuer} contain each invoice once",
                               sorted(invoice["id"] for invoice in found) == sorted(issuers[issuer]), found)
            seen |= {invoice["id"]: invoice for invoice in found}
            most_pages = max(most_pages, pages)
        self.check(f"the pages of {len(few)} issuers ({most_pages} pages for {busiest}) contain each invoice once, in order",
                   most_pages > 3, most_pages)
        for invoice in seen.values():
            self.compare(invoice, expected[invoice["id"]], ingestion)
        self.check(f"each of these {len(seen)} invoices equals its row, field by field", len(seen) > 100, len(seen))
        chosen = next(invoice for invoice in seen.values() if invoice["status"] == "cancelled")
        alone, _ = self.ask(f"/v1/invoices/{chosen['id']}")
        self.check("an invoice read by id equals the one in the list", alone == chosen | {"lines": [], "events": []},
                   f"{alone}\n{chosen}")
        self.standing = next(invoice for invoice in seen.values() if invoice["status"] == "authorized")
        self.other_lists(expected, ingestion)
        self.other_forms(chosen)

    def other_lists(self, expected, ingestion):
        """Tests lists by recipient and month, with filters, in descending order."""
        values = {
            "month": lambda invoice: invoice["issued_at"][:7],
            "recipient": lambda invoice: invoice["recipient"].get("tax_id"),
            "issuer_uf": lambda invoice: invoice["issuer"].get("uf"),
            "status": lambda invoice: invoice["status"],
        }
        commonest = lambda of: Counter(value for invoice in expected.values() if (value := of(invoice))).most_common(1)[0][0]
        for names in (["month"], ["recipient"], ["month", "issuer_uf", "status"]):
            given = {name: commonest(values[name]) for name in names}
            wanted = [each for each in expected.values() if all(values[name](each) == given[name] for name in names)]
            wanted = sorted(wanted, key=lambda invoice: (invoice["issued_at"], invoice["id"]), reverse=True)
            found, pages = self.pages("/v1/invoices", **given, order="desc", limit=100)
            self.check(f"the {len(wanted)} invoices by {' and '.join(given)} come on {pages} pages, latest first",
                       wanted and [each["id"] for each in found] == [each["id"] for each in wanted], found[:3])
        status, body, _ = self.get("/v1/invoices", self.api_key, status="cancelled")
        self.check("a list without an index in the table is refused with the reason",
                   status == 400 and b"the table has no index for it" in body, body)
        listed, _ = self.pages("/v1/ingestions", state="completed", limit=1)
        self.check("the ingestion is listed", [each["ingestion"] for each in listed] == [ingestion], listed)

    def other_forms(self, invoice):
        """Tests other formats and conditional requests, through the gateway."""
        given = {"issuer": invoice["issuer"]["tax_id"], "limit": 2}
        lines, page = self.get("/v1/invoices", self.api_key, {"Accept": "application/x-ndjson"}, **given), self.ask("/v1/invoices", **given)
        found = [json.loads(line) for line in lines[1].splitlines()]
        self.check("a list is available as NDJSON", lines[0] == 200 and found == page[0]["items"], lines[1])
        rows = self.get("/v1/invoices", self.api_key, {"Accept": "text/csv"}, **given)
        rows = list(csv.DictReader(io.StringIO(rows[1].decode())))
        self.check("a list is available as CSV", [row["issuer_name"] for row in rows] == [each["issuer"]["name"] for each in found], rows)
        path = f"/v1/invoices/{invoice['id']}"
        tag = self.get(path, self.api_key)[2]["etag"]
        known = self.get(path, self.api_key, {"If-None-Match": tag})
        self.check("a client that has the current invoice gets 304", (known[0], known[1]) == (304, b""), known)

    def lines_and_events(self):
        """Uploads lines and a cancellation of an existing invoice as separate files."""
        invoice = self.standing
        for key, content, metadata in (
            ("depois/itens.csv", portal.lines(invoice["id"], 3), {}),
            ("depois/eventos.csv", portal.cancellation(invoice["id"]), {"layout": "portal-event"}),
        ):
            self.s3.put_object(Bucket=self.outputs["UploadsBucketName"], Key=key, Body=content, Metadata=metadata)
            report = self.wait(f"{key} is ingested", lambda: self.ended([key]))[key]
            self.check(f"{key} is ingested", report["state"] == "completed" and report["rejected"] == 0, report)
        found, _ = self.ask(f"/v1/invoices/{invoice['id']}")
        numbers = [line["number"] for line in found["lines"]]
        self.check("the invoice has its lines, in order", numbers == ["1", "2", "3"], found)
        kinds = [event["kind"] for event in found["events"]]
        self.check("the invoice has its event and is cancelled", (kinds, found["status"]) == (["cancellation"], "cancelled"), found)
        listed, _ = self.pages("/v1/invoices", issuer=invoice["issuer"]["tax_id"], limit=1000)
        listed = next(each for each in listed if each["id"] == invoice["id"])
        self.check("the invoice is cancelled in the list too", listed["status"] == "cancelled", listed)

    def compare(self, found, row, ingestion):
        source, rest = found["source"], {name: value for name, value in found.items() if name not in ("source", "warnings")}
        self.check_quietly(f"{found['id']} equals its row", rest == row, f"API {rest}\nfile {row}")
        self.check_quietly("the invoice names its ingestion", source["ingestion"] == ingestion, source)

    # ---- events of other kinds

    def send(self, body):
        self.sqs.send_message(QueueUrl=self.outputs["QueueUrl"], MessageBody=body if isinstance(body, str) else json.dumps(body))

    def waiting(self, output):
        """Returns the number of messages in a queue, including those in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.outputs[output], AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names if name in found)

    def until_empty(self):
        self.wait("the queue is empty", lambda: self.waiting("QueueUrl") == 0)

    def other_events(self):
        """Sends events of other kinds. None may reach the dead-letter queue or change the table."""
        bucket, before = self.outputs["UploadsBucketName"], self.invoice_items()
        proxy = self.proxies["IngestRole"]
        key = "ponte/Notas 100%+ São Paulo.csv"
        version = self.put(key, portal.generate(NOTAFLUX, FILES / "bridged.csv", 60, 13))
        self.wait("the object is ingested", lambda: self.ended([key]))
        before = self.invoice_items()
        self.until_empty()

        heads = proxy.total()
        bridged = {"version": "0", "source": "aws.s3", "detail-type": "Object Created", "account": self.account,
                   "detail": {"version": "0", "bucket": {"name": bucket}, "object": {"key": key, "version-id": version}}}
        self.send(bridged)
        self.wait("the EventBridge event is processed", lambda: proxy.total() > heads)
        self.until_empty()
        # Only lookups in the uploads bucket count: in the work bucket the function looks for a plan before one exists.
        gone = lambda action: proxy.calls.get((action, f"arn:aws:s3:::{bucket}"), 0)
        both = lambda: gone("s3:ListBucket") + gone("s3:ListBucketVersions")
        self.check("an EventBridge event in the queue finds its object by its unencoded key", both() == 0, proxy.calls)

        bare = {"S3": self.s3_event(bucket, urllib.parse.quote_plus(key)), "EventBridge": bridged}
        for origin, event in bare.items():
            answer = self.functions.invoke(FunctionName=self.outputs["IngestFunctionName"], Payload=json.dumps(event))
            payload = json.loads(answer["Payload"].read())
            self.check(f"a direct {origin} event is accepted, and an ingested object is not ingested again",
                       "FunctionError" not in answer and payload == {"batchItemFailures": []}, payload)
        self.check("both direct events find their object", both() == 0)

        self.send({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": bucket})
        self.send(self.s3_event(bucket, "gone.csv"))
        self.send(self.s3_event(bucket, urllib.parse.quote_plus(key), "0" * 32))
        self.wait("both missing objects are detected", lambda: gone("s3:ListBucket") and gone("s3:ListBucketVersions"))
        self.until_empty()
        self.check("S3's test event and events of missing objects do not reach the dead-letter queue", self.waiting("DeadLetterQueueUrl") == 0)
        self.check("none of these events changed the table", self.invoice_items() == before)

    @staticmethod
    def s3_event(bucket, encoded_key, version=None):
        object_ = {"key": encoded_key, "size": 1, "sequencer": "0A"} | ({"versionId": version} if version else {})
        return {"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
                             "eventTime": "2026-11-02T10:00:00.000Z", "eventName": "ObjectCreated:Put",
                             "userIdentity": {}, "requestParameters": {}, "responseElements": {},
                             "s3": {"bucket": {"name": bucket}, "object": object_}}]}

    # ---- invalid messages, and many files at once

    def poison(self):
        poison, before = "this is no event: ação", self.invoice_items()
        # Messages return after six times the timeout. Shorten that here to save minutes.
        queue = self.outputs["QueueUrl"]
        visibility = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout"])["Attributes"]
        self.check("the visibility timeout is six times the function timeout", visibility["VisibilityTimeout"] == "5400", visibility)
        self.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "5"})
        self.send(poison)
        self.wait("the invalid message reaches the dead-letter queue", lambda: self.waiting("DeadLetterQueueUrl") > 0)
        self.sqs.set_queue_attributes(QueueUrl=queue, Attributes=visibility)
        self.until_empty()
        self.dead_letters("an invalid message is in the dead-letter queue", [poison])
        self.check("the invalid message changes nothing in the table", self.invoice_items() == before)
        self.poisoned = [poison]

    def dead_letters(self, what, expected):
        """Reads all dead letters without removing them."""
        found, queue = {}, self.outputs["DeadLetterQueueUrl"]
        for _ in range(3):
            answer = self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
            found |= {message["MessageId"]: message["Body"] for message in answer.get("Messages", [])}
        self.check(what, list(found.values()) == expected and self.waiting("DeadLetterQueueUrl") == len(expected), found)

    def burst(self):
        paths = [portal.generate(NOTAFLUX, FILES / f"burst-{number}.csv", 100, 100 + number) for number in range(BURST)]
        before = self.invoice_items()
        keys = [f"burst/{path.name}" for path in paths]
        for key, path in zip(keys, paths):
            self.put(key, path)
        reports = self.wait(f"{BURST} files at once are ingested", lambda: self.ended(keys))
        self.check(f"{BURST} files at once are all completed", all(reports[key]["state"] == "completed" for key in keys), reports)
        found, expected = {}, portal.counts(paths)
        for name in expected:
            found[name] = sum(reports[key][name] for key in keys)
        self.check("their counts equal those of tools/count.py", found == expected, f"{found} {expected}")
        self.check("the table has one item for each of their keys", self.invoice_items() == before + expected["written"])

    # ---- logs, metrics and permissions

    def function_log(self):
        logs, lines = self.client("logs"), []
        names = [self.outputs["IngestFunctionName"], self.outputs["Logs"].rpartition(" ")[2]]
        for page in logs.get_paginator("describe_log_groups").paginate():
            for group in page["logGroups"]:
                if any(name in group["logGroupName"] for name in names):
                    events = logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
                    lines += [event["message"].strip() for page in events for event in page["events"]]
        return "\n".join(lines)

    def log_lines(self):
        """Returns the function's own lines, which are JSON objects. The server adds other lines about requests."""
        own = {"START", "END", "REPORT", "INIT_START"}
        lines = [line for text in self.function_log().splitlines() if (line := text.strip())]
        lines = [line for line in lines if line.split(" ")[0].rstrip(":") not in own]
        for line in lines:
            self.check_quietly("each line of the log is JSON", line.startswith("{") and line.endswith("}"), line)
        return [json.loads(line) for line in lines]

    def logs(self):
        reports = self.ledger()
        wanted = {report["ingestion"]: report for report in reports.values()}
        metrics = lambda: [line for line in self.log_lines() if "_aws" in line]
        self.wait("each ingestion has a line of metrics", lambda: len(metrics()) >= len(wanted))
        found = {line["ingestion"]: line for line in metrics()}
        self.check("each ingestion has exactly one line of metrics", len(metrics()) == len(wanted) and found.keys() == wanted.keys())
        names = {"Records": "records_read", "Rejects": "rejected", "Bytes": "bytes_read", "WriteUnits": "write_units",
                 "Throttles": "throttled"}
        agree = lambda line, report: all(line[name] == report[field] for name, field in names.items())
        self.check("the metrics equal the numbers of the report", all(agree(found[each], wanted[each]) for each in wanted), found)
        ingested = [line for line in self.log_lines() if line.get("fields", {}).get("message") == "ingested"]
        told = {span.get("ingestion") for line in ingested for span in line["spans"]} - {None}
        bare = [line for line in ingested if not any("ingestion" in span for span in line["spans"])]
        self.check("log lines contain the id of their ingestion", told == wanted.keys() and not bare,
                   (told ^ wanted.keys(), bare[:2]))

    def injected(self):
        """Checks that the server made the errors that it was configured to make."""
        throttled = sum(report["throttled"] + report["retried"] for report in self.ledger().values())
        self.check(f"writes were throttled or retried {throttled} times, without any effect on the results", throttled > 20, throttled)

    def permissions(self):
        resources = self.cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
        arns = {resource["LogicalResourceId"]: self.arn(resource) for resource in resources}
        for role, proxy in self.proxies.items():
            granted = grants.granted(ROOT / "template.yaml", role, arns)
            calls = sorted(proxy.calls)
            denied = grants.not_granted(granted, calls)
            self.check(f"{role} allows all {len(calls)} different calls that its function made", calls and not denied, denied)
            idle = grants.not_needed(granted, calls)
            self.check(f"{role} allows no call that its function did not make", not idle, idle)

    def arn(self, resource):
        kind, name = resource["ResourceType"], resource["PhysicalResourceId"]
        forms = {
            "AWS::S3::Bucket": "arn:aws:s3:::{name}",
            "AWS::DynamoDB::Table": "arn:aws:dynamodb:us-east-1:{account}:table/{name}",
            "AWS::SQS::Queue": "arn:aws:sqs:us-east-1:{account}:{last}",
            "AWS::Logs::LogGroup": "arn:aws:logs:us-east-1:{account}:log-group:{name}:*",
        }
        return forms.get(kind, "{name}").format(name=name, account=self.account, last=name.rpartition("/")[2])


def run(name, call):
    """Runs the whole flow on one server. Returns the number of checks."""
    FILES.mkdir(parents=True, exist_ok=True)
    print(f"{name}:", flush=True)
    with Server(name) as server:
        flow = Flow(server, call)
        flow.deploy()
        flow.stand_between()
        flow.refusals()
        flow.one_archive()
        flow.lines_and_events()
        flow.other_events()
        flow.poison()
        flow.burst()
        flow.logs()
        if name == "localstack":
            flow.injected()
        flow.permissions()
        flow.dead_letters("at the end the dead-letter queue contains only the invalid message", flow.poisoned)
    return flow.passed
