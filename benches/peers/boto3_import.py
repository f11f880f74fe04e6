#!/usr/bin/env python3
"""Imports an object into a table in the usual way with boto3: one pass over the object's stream, and `Table.batch_writer()`.

    boto3_import.py ENDPOINT BUCKET KEY TABLE

Prints {"records": n}. The end of the key gives the format: .csv, .csv.gz, .ndjson or .json.
"""
import csv
import gzip
import io
import json
import sys

import boto3
from botocore.config import Config

BUFFER_BYTES = 1 << 20


def connect(service, endpoint):
    return boto3.resource(service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test",
                          aws_secret_access_key="test", config=Config(s3={"addressing_style": "path"}))


def rows(key, body):
    """Yields the object's records, each with its columns as strings."""
    if key.endswith(".csv.gz"):
        return csv.DictReader(io.TextIOWrapper(gzip.GzipFile(fileobj=body), encoding="latin-1", newline=""), delimiter=";")
    body = io.BufferedReader(body, BUFFER_BYTES)
    if key.endswith(".csv"):
        return csv.DictReader(io.TextIOWrapper(body, encoding="latin-1", newline=""), delimiter=";")
    if key.endswith(".ndjson"):
        return map(json.loads, body)
    # The module `json` has no streaming parser.
    return json.load(body)


def main(endpoint, bucket, key, table):
    body = connect("s3", endpoint).Object(bucket, key).get()["Body"]
    records = 0
    with connect("dynamodb", endpoint).Table(table).batch_writer(overwrite_by_pkeys=["PK", "SK"]) as batch:
        for row in rows(key, body):
            batch.put_item(Item={"PK": "INV#" + row["CHAVE DE ACESSO"], "SK": "H", **row})
            records += 1
    print(json.dumps({"records": records}))


if __name__ == "__main__":
    main(*sys.argv[1:])
