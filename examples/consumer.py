"""A consumer of your own in place of the store: keeps every record and gives the boards their receipt.

    python examples/consumer.py demo 127.0.0.1 1883 records.sqlite

A board deletes a record only when this ack says that it is committed here: commit first, then ack the
highest seq up to which nothing is missing. `body` is CBOR, see docs/protocol.md.
"""

import json
import sqlite3
import struct
import sys
import zlib

import paho.mqtt.client as mqtt

shop, host, port, path = sys.argv[1:5]
db = sqlite3.connect(path, check_same_thread=False)
db.execute("PRAGMA synchronous=FULL")
db.execute("CREATE TABLE IF NOT EXISTS records (board, epoch, seq, body, PRIMARY KEY (board, epoch, seq))")
db.execute("CREATE TABLE IF NOT EXISTS marks (board, epoch, through, PRIMARY KEY (board, epoch))")


def on_message(client, _userdata, message):
    board, kind = message.topic.split("/")[3:5]
    floor = 0
    if kind == "state":  # says where the board's records begin: what is before that will never come
        state = json.loads(message.payload)
        epoch, floor = state.get("epoch"), state.get("first_seq", 1) - 1
        if epoch is None:
            return
    else:
        if len(message.payload) < 19:
            return
        _version, number, seq, _length, crc = struct.unpack(">BQIHI", message.payload[:19])
        epoch, body = f"{number:016x}", message.payload[19:]
        if zlib.crc32(message.payload[:15] + body) != crc:
            return  # damaged on the way: not acknowledged, so the board sends it again
        db.execute("INSERT OR IGNORE INTO records VALUES (?,?,?,?)", (board, epoch, seq, body))
    mark = db.execute("SELECT through FROM marks WHERE board=? AND epoch=?", (board, epoch)).fetchone()
    through = max(mark[0] if mark else 0, floor)
    find = "SELECT 1 FROM records WHERE board=? AND epoch=? AND seq=?"
    while db.execute(find, (board, epoch, through + 1)).fetchone():
        through += 1
    db.execute("INSERT OR REPLACE INTO marks VALUES (?,?,?)", (board, epoch, through))
    db.commit()
    client.publish(
        f"tallygate/1/{shop}/{board}/ack", json.dumps({"epoch": epoch, "through": through}), 1, retain=True
    )


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="own-consumer", protocol=mqtt.MQTTv5)
client.username_pw_set("store")
client.on_connect = lambda c, *_: c.subscribe(
    [(f"tallygate/1/{shop}/+/{kind}", 1) for kind in ("rec", "state")]
)
client.on_message = on_message
client.connect(host, int(port))
client.loop_forever()
