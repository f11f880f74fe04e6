// Imports an object into a table with the AWS SDK for JavaScript: one pass over the object's stream, calls of 25 items, and
// several calls in flight.
//
//     node js_import.mjs ENDPOINT BUCKET KEY TABLE
//
// Prints {"records": n}. The end of the key gives the format: .csv, .csv.gz, .ndjson or .json.
import { createInterface } from "node:readline";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { BatchWriteItemCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { marshall } from "@aws-sdk/util-dynamodb";
import { parse } from "csv-parse";

const ITEMS_A_CALL = 25;
const CALLS_IN_FLIGHT = 8;
const MAX_TRIES = 10;

const [endpoint, bucket, key, table] = process.argv.slice(2);
const options = { endpoint, region: "us-east-1", credentials: { accessKeyId: "test", secretAccessKey: "test" } };
const s3 = new S3Client({ ...options, forcePathStyle: true });
const dynamodb = new DynamoDBClient(options);

/** Yields the object's records, each with its columns as strings. */
async function* rows(body) {
  if (key.endsWith(".ndjson")) {
    for await (const line of createInterface({ input: body })) yield JSON.parse(line);
  } else if (key.endsWith(".json")) {
    // JSON.parse cannot read a stream.
    yield* JSON.parse(await body.transformToString());
  } else {
    const through = key.endsWith(".gz") ? [createGunzip()] : [];
    const parser = parse({ delimiter: ";", encoding: "latin1", columns: true });
    // An error in the pipeline ends the loop over the parser.
    pipeline(body, ...through, parser, () => {});
    yield* parser;
  }
}

/** Puts these items, and retries the unprocessed ones. */
async function put(batch) {
  let left = [...batch.values()].map((Item) => ({ PutRequest: { Item } }));
  for (let tries = 0; left.length > 0; tries++) {
    if (tries === MAX_TRIES) throw new Error(`${left.length} items are still unprocessed after ${MAX_TRIES} attempts`);
    if (tries > 0) await new Promise((resume) => setTimeout(resume, Math.random() * 50 * 2 ** tries));
    const answer = await dynamodb.send(new BatchWriteItemCommand({ RequestItems: { [table]: left } }));
    left = answer.UnprocessedItems?.[table] ?? [];
  }
}

const inFlight = new Set();
let records = 0;
// By key, because a call must not contain a key twice.
let batch = new Map();

async function flush() {
  if (inFlight.size === CALLS_IN_FLIGHT) await Promise.race(inFlight);
  const call = put(batch).finally(() => inFlight.delete(call));
  inFlight.add(call);
  batch = new Map();
}

const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
for await (const row of rows(Body)) {
  const item = marshall({ PK: `INV#${row["CHAVE DE ACESSO"]}`, SK: "H", ...row });
  batch.set(item.PK.S, item);
  records++;
  if (batch.size === ITEMS_A_CALL) await flush();
}
if (batch.size > 0) await flush();
await Promise.all(inFlight);
console.log(JSON.stringify({ records }));
