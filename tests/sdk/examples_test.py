"""The examples of tests/centrifuge, read by the Protobuf classes of the Python SDK: both formats say the same."""

import json
import pathlib
import unittest

from centrifuge.protocol import client_pb2
from google.protobuf.message import Message

EXAMPLES = pathlib.Path(__file__).parent.parent / "centrifuge"
# Fields that hold one JSON value.
DATA = {"data", "conn_info", "chan_info"}
# Fields that are newer than the SDK.
NEWER = {(of, name) for of in ("subscribe", "publish", "sub_refresh") for name in ("type", "phase", "limit", "cursor")}
NEWER |= {("publish", "key"), ("publish", "removed")}


def examples(name):
    for block in (EXAMPLES / name).read_text().strip().split("\n\n"):
        title, text, protobuf = block.splitlines()
        yield title, json.loads(text), bytes.fromhex(protobuf)


def value(field, one, has_deltas):
    if isinstance(one, Message):
        return plain(one, has_deltas)
    if field.type != field.TYPE_BYTES:
        return one
    # Data is one JSON value; in a publication that may be a delta it is the string of its text.
    return one.decode() if has_deltas and field.containing_type.name == "Publication" else json.loads(one)


def plain(message, has_deltas=False):
    """Returns a message as what its JSON would be."""
    has_deltas = has_deltas or message.DESCRIPTOR.name == "SubscribeResult" and message.delta
    result = {}
    for field, one in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            inner = field.message_type.fields_by_name["value"]
            result[field.name] = {key: value(inner, of, has_deltas) for key, of in one.items()}
        elif isinstance(one, (list, tuple)) or hasattr(one, "append"):
            result[field.name] = [value(field, of, has_deltas) for of in one]
        else:
            result[field.name] = value(field, one, has_deltas)
    return result


def without_defaults(one, name=""):
    """Drops from JSON what Protobuf cannot tell from nothing, and what is newer than the SDK."""
    if isinstance(one, list):
        return [without_defaults(of) for of in one]
    if not isinstance(one, dict):
        return one
    kept = {}
    for inner, of in one.items():
        if inner in DATA:
            kept[inner] = of
        elif of not in ("", 0, False, []) and (inner, of) != ("presence", {}) and (name, inner) not in NEWER:
            kept[inner] = without_defaults(of, inner)
    return kept


class Examples(unittest.TestCase):
    def check(self, name, kind):
        count = 0
        for title, expected, protobuf in examples(name):
            length, message = protobuf[0], protobuf[1:]
            self.assertEqual(length, len(message), title)
            self.assertEqual(plain(kind.FromString(message)), without_defaults(expected), title)
            count += 1
        self.assertGreater(count, 15)

    def test_commands(self):
        self.check("commands.txt", client_pb2.Command)

    def test_replies(self):
        self.check("replies.txt", client_pb2.Reply)


if __name__ == "__main__":
    unittest.main()
