#!/usr/bin/env python3
"""A charger on paho-mqtt: one charge from the first heartbeat to the stored record. Needs `pip install paho-mqtt`.

PILE_CODE and PILE_SECRET say who it is, PILE_HOST and PILE_PORT where the hub is; PILE_CA, PILE_CERT and PILE_KEY are
files for TLS. It tells its steps on standard output; exit code 3 when the hub refuses it.
"""

import json
import os
import queue
import sys
import time

import paho.mqtt.client as mqtt

HOST = os.environ.get("PILE_HOST", "127.0.0.1")
CODE, SECRET = os.environ["PILE_CODE"], os.environ.get("PILE_SECRET")
CA, CERT, KEY = (os.environ.get(name) for name in ("PILE_CA", "PILE_CERT", "PILE_KEY"))
PORT = int(os.environ.get("PILE_PORT") or (8883 if CA else 1883))
WITHIN_S = 60

inbox = queue.Queue()


def tell(*words):
    print(*words, flush=True)


def now_ms():
    return int(time.time() * 1000)


def connect():
    """Connects and subscribes to both down topics; ends the program when the hub says no."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=CODE, protocol=mqtt.MQTTv311)
    client.username_pw_set(CODE, SECRET)
    if CA:
        client.tls_set(ca_certs=CA, certfile=CERT, keyfile=KEY)
    answers, granted = queue.Queue(), queue.Queue()
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.put(reason)
    client.on_subscribe = lambda _client, _data, _id, reasons, _properties: granted.put(reasons)
    client.on_message = lambda _client, _data, message: inbox.put(message)
    client.connect(HOST, PORT, keepalive=30)
    client.loop_start()
    answer = answers.get(timeout=WITHIN_S)
    if answer.is_failure:
        tell("refused:", answer)
        sys.exit(3)
    client.subscribe([(f"pile/{CODE}/command", 1), (f"pile/{CODE}/record/ack", 1)])
    assert not any(reason.is_failure for reason in granted.get(timeout=WITHIN_S))
    return client


def send(client, leaf, frame):
    """Publishes with QoS 1 and waits until the hub has stored the frame."""
    client.publish(f"pile/{CODE}/{leaf}", json.dumps(frame), qos=1).wait_for_publish(WITHIN_S)


def receive(leaf):
    message = inbox.get(timeout=WITHIN_S)
    assert message.topic == f"pile/{CODE}/{leaf}", message.topic
    return json.loads(message.payload)


client = connect()
send(client, "heartbeat", {"pileCode": CODE, "status": 1, "timestamp": now_ms()})
tell("online")

command = receive("command")
assert command["type"] == "startCharging", command
order, begin = command["orderNo"], now_ms()
accepted = {"commandId": command["commandId"], "orderNo": order, "result": "accepted", "timestamp": begin}
send(client, "command/ack", accepted)
tell("started", order)

# The mobile network drops a charger without telling either side. It dials again, and the hub lets go of the old
# connection, which is still open here.
dropped = queue.Queue()
client.on_disconnect = lambda *_: dropped.put(True)
client.reconnect_delay_set(min_delay=WITHIN_S, max_delay=WITHIN_S)
old, client = client, connect()
dropped.get(timeout=WITHIN_S)
old.loop_stop()
tell("taken over")

for seq, kwh in enumerate(["1.111", "2.222", "3.333"], start=1):
    frame = {"orderNo": order, "connectorId": 1, "seq": seq, "voltage": 400, "current": 166, "currentPower": 66.6}
    send(client, "charging/status", frame | {"totalPower": float(kwh), "timestamp": begin + seq * 60_000})
tell("charged")

record = {"orderNo": order, "connectorId": 1, "seq": 4, "totalPower": 3.333, "stopReason": 2}
send(client, "charging/finished", record | {"startTime": begin, "endTime": begin + 180_000})
answer = receive("record/ack")
assert (answer["orderNo"], answer["result"]) == (order, "stored"), answer
tell("record", answer["result"])
client.disconnect()
