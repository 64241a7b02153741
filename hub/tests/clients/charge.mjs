#!/usr/bin/env node
// A charger on mqtt.js: one charge from the first heartbeat to the stored record. Needs `npm install mqtt` beside it.
//
// PILE_CODE and PILE_SECRET say who it is, PILE_HOST and PILE_PORT where the hub is; PILE_CA, PILE_CERT and PILE_KEY
// are files for TLS. It tells its steps on standard output; exit code 3 when the hub refuses it.

import assert from "node:assert";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import process from "node:process";
import mqtt from "mqtt";

const { PILE_HOST: HOST = "127.0.0.1", PILE_CODE: CODE, PILE_SECRET: SECRET, PILE_CA, PILE_CERT, PILE_KEY } = process.env;
const PORT = Number(process.env.PILE_PORT || (PILE_CA ? 8883 : 1883));
const WITHIN_MS = 60_000;

const inbox = [];
let woken = () => {};

const tell = (...words) => console.log(...words);
const within = () => ({ signal: AbortSignal.timeout(WITHIN_MS) });
const file = (path) => (path ? readFileSync(path) : undefined);

/** Connects and subscribes to both down topics; ends the program when the hub says no. */
async function connect() {
  const client = mqtt.connect({
    protocol: PILE_CA ? "mqtts" : "mqtt",
    host: HOST,
    port: PORT,
    protocolVersion: 4,
    clientId: CODE,
    username: CODE,
    password: SECRET,
    keepalive: 30,
    reconnectPeriod: 0,
    ca: file(PILE_CA),
    cert: file(PILE_CERT),
    key: file(PILE_KEY),
  });
  client.on("message", (topic, payload) => {
    inbox.push([topic, payload]);
    woken();
  });
  try {
    await once(client, "connect", within());
  } catch (error) {
    tell("refused:", error.code, error.message);
    process.exit(3);
  }
  client.on("error", (error) => tell("error:", error.message));
  const granted = await client.subscribeAsync([`pile/${CODE}/command`, `pile/${CODE}/record/ack`], { qos: 1 });
  assert.deepEqual(granted.map(({ qos }) => qos), [1, 1]);
  return client;
}

/** Publishes with QoS 1 and waits until the hub has stored the frame. */
const send = (client, leaf, frame) => client.publishAsync(`pile/${CODE}/${leaf}`, JSON.stringify(frame), { qos: 1 });

async function receive(leaf) {
  const late = setTimeout(() => assert.fail(`nothing came on ${leaf}`), WITHIN_MS);
  while (inbox.length === 0) await new Promise((resolve) => (woken = resolve));
  clearTimeout(late);
  const [topic, payload] = inbox.shift();
  assert.equal(topic, `pile/${CODE}/${leaf}`);
  return JSON.parse(payload);
}

let client = await connect();
await send(client, "heartbeat", { pileCode: CODE, status: 1, timestamp: Date.now() });
tell("online");

const command = await receive("command");
assert.equal(command.type, "startCharging");
const [order, begin] = [command.orderNo, Date.now()];
await send(client, "command/ack", { commandId: command.commandId, orderNo: order, result: "accepted", timestamp: begin });
tell("started", order);

// The mobile network drops a charger without telling either side. It dials again, and the hub lets go of the old
// connection, which is still open here.
const dropped = once(client, "close", within());
client = await connect();
await dropped;
tell("taken over");

for (const [at, kwh] of [1.111, 2.222, 3.333].entries()) {
  const seq = at + 1;
  const frame = { orderNo: order, connectorId: 1, seq, voltage: 400, current: 166, currentPower: 66.6 };
  await send(client, "charging/status", { ...frame, totalPower: kwh, timestamp: begin + seq * 60_000 });
}
tell("charged");

const record = { orderNo: order, connectorId: 1, seq: 4, totalPower: 3.333, stopReason: 2 };
await send(client, "charging/finished", { ...record, startTime: begin, endTime: begin + 180_000 });
const answer = await receive("record/ack");
assert.deepEqual([answer.orderNo, answer.result], [order, "stored"]);
tell("record", answer.result);
await client.endAsync();
