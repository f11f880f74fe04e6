#!/usr/bin/env python3
"""Imports an object into a table with pandas and awswrangler, in chunks, so that memory does not grow with the object.

    wrangler_import.py ENDPOINT BUCKET KEY TABLE

Prints {"records": n}. The end of the key gives the format: .csv, .csv.gz or .ndjson.
"""
import io
import json
import sys

import awswrangler as wr
import boto3
import pandas

CHUNK_RECORDS = 10_000
BUFFER_BYTES = 1 << 20


def frames(key, body):
    """Yields the object as data frames of texts. An empty cell is an empty text."""
    if key.endswith(".ndjson"):
        lines = io.BufferedReader(body, BUFFER_BYTES)
        return pandas.read_json(lines, lines=True, chunksize=CHUNK_RECORDS, dtype=False, convert_dates=False)
    return pandas.read_csv(body, sep=";", encoding="latin-1", dtype=str, keep_default_na=False, chunksize=CHUNK_RECORDS,
                           compression="gzip" if key.endswith(".gz") else None)


def main(endpoint, bucket, key, table):
    boto3.setup_default_session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    wr.config.dynamodb_endpoint_url = endpoint
    body = boto3.client("s3", endpoint_url=endpoint).get_object(Bucket=bucket, Key=key)["Body"]
    records = 0
    for frame in frames(key, body):
        frame["PK"] = "INV#" + frame["CHAVE DE ACESSO"]
        frame["SK"] = "H"
        wr.dynamodb.put_df(df=frame.drop_duplicates(subset=["PK", "SK"], keep="last"), table_name=table)
        records += len(frame)
    print(json.dumps({"records": records}))


if __name__ == "__main__":
    main(*sys.argv[1:])
