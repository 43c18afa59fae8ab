"""The published Python SDK against a running hub, in both formats."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import subprocess
import time
import unittest
import urllib.request

import centrifuge

KEY = "a-key-of-the-sdk-tests"
SECRET = b"a secret of the tests that is long enough"
HERE = pathlib.Path(__file__).parent
# What public suites are run against, and the secret that they have built in.
SUITE = HERE.parent.parent / "deploy" / "examples" / "sdk-suite.toml"
SUITE_SECRET = b"secret"
# Longer than on any machine, in seconds: reaching it is a failure.
TIMEOUT = 120


def sign(claims, secret):
    """Makes a token that says just this."""
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    text = b".".join(part(json.dumps(one).encode()) for one in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (text + b"." + part(hmac.new(secret, text, hashlib.sha256).digest())).decode()


def token(**claims):
    """Makes a token, as the backend of an application does."""
    return sign({"exp": int(time.time()) + 3600, **claims}, SECRET)


class Events:
    """Collects what a client or a subscription is told; every event wakes those who wait."""

    def __init__(self):
        self.seen = []
        self.changed = asyncio.Event()

    def __getattr__(self, name):
        if not name.startswith("on_"):
            raise AttributeError(name)

        async def note(context):
            self.seen.append((name[3:], context))
            self.changed.set()

        return note

    def all(self, event):
        return [context for name, context in self.seen if name == event]

    async def wait(self, event, count=1):
        """Waits for so many events of that name and returns the last of them."""
        while len(self.all(event)) < count:
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), TIMEOUT)
        return self.all(event)[count - 1]


class Running:
    """A hub, and what an application does with it. `write` and `read` are what it does with its values."""

    settings = ["--config", str(HERE / "hub.toml"), "--api-keys", KEY]

    @classmethod
    def setUpClass(cls):
        command = [os.environ["THRONG_BIN"], "--addr", "127.0.0.1:0", "--lb-grace", "0s", "--drain-time", "0s"]
        command += cls.settings
        cls.hub = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        cls.url = re.search(r"http://[^\s/]+", cls.hub.stdout.readline())[0]

    @classmethod
    def tearDownClass(cls):
        cls.hub.terminate()
        assert cls.hub.wait(TIMEOUT) == 0, "the hub's exit code"
        cls.hub.stdout.close()

    def client(self, **options):
        client = centrifuge.Client(
            self.url.replace("http", "ws") + "/connection/websocket",
            events=Events(), use_protobuf=self.is_protobuf, min_reconnect_delay=0.01, max_reconnect_delay=0.1,
            timeout=TIMEOUT, max_server_ping_delay=TIMEOUT, proxy=None, **options,
        )
        self.addAsyncCleanup(client.disconnect)
        return client

    async def connected(self, **options):
        client = self.client(**options)
        await client.connect()
        await client.events.wait("connected")
        return client

    async def subscribed(self, client, channel, **options):
        """Subscribes and waits until the hub has said so. Returns the subscription and its events."""
        events = Events()
        subscription = client.new_subscription(channel, events=events, **options)
        await subscription.subscribe()
        await events.wait("subscribed")
        return subscription, events

    async def api(self, method, body):
        """Calls a method of the API."""
        request = urllib.request.Request(
            f"{self.url}/api/{method}", json.dumps(body).encode(),
            {"X-API-Key": KEY, "Content-Type": "application/json"},
        )
        call = lambda: json.load(urllib.request.urlopen(request, timeout=TIMEOUT))
        answer = await asyncio.get_running_loop().run_in_executor(None, call)
        self.assertNotIn("error", answer)

    def write(self, value):
        return json.dumps(value).encode() if self.is_protobuf else value

    def read(self, data):
        return json.loads(data) if self.is_protobuf else data

    def values(self, events):
        return [self.read(context.pub.data) for context in events.all("publication")]


class Sdk(Running):
    """What both formats have to do."""

    async def test_publications_come_in_order_and_with_their_publisher(self):
        writer, reader = await self.connected(token=token(sub="42")), await self.connected()
        subscription, events = await self.subscribed(reader, self.channel("kept"))
        for value in range(1, 51):
            await writer.publish(self.channel("kept"), self.write({"value": value}))
        last = await events.wait("publication", 50)
        self.assertEqual(self.values(events), [{"value": value} for value in range(1, 51)])
        self.assertEqual([one.pub.offset for one in events.all("publication")], list(range(1, 51)))
        self.assertEqual(last.pub.info.user, "42")
        await subscription.unsubscribe()
        self.assertEqual((await events.wait("unsubscribed")).code, 0)

    async def test_history_and_presence_are_read(self):
        client = await self.connected(token=token(sub="42"))
        channel = self.channel("kept")
        subscription, events = await self.subscribed(client, channel)
        for value in range(1, 6):
            await self.api("publish", {"channel": channel, "data": value})
        result = await subscription.history(limit=-1)
        self.assertEqual([self.read(one.data) for one in result.publications], [1, 2, 3, 4, 5])
        self.assertEqual(result.offset, 5)
        result = await subscription.history(limit=2, reverse=True)
        self.assertEqual([self.read(one.data) for one in result.publications], [5, 4])
        since = centrifuge.StreamPosition(offset=3, epoch=result.epoch)
        result = await subscription.history(limit=1, since=since)
        self.assertEqual([self.read(one.data) for one in result.publications], [4])
        clients = (await subscription.presence()).clients
        self.assertEqual([info.user for info in clients.values()], ["42"])
        stats = await subscription.presence_stats()
        self.assertEqual((stats.num_clients, stats.num_users), (1, 1))

    async def test_what_was_published_during_a_disconnect_is_recovered(self):
        client = await self.connected(token=token(sub="cut"))
        channel = self.channel("kept")
        subscription, events = await self.subscribed(client, channel)
        for round in range(3):
            await self.api("publish", {"channel": channel, "data": round * 10})
            await events.wait("publication", round * 10 + 1)
            await self.api("disconnect", {"user": "cut", "disconnect": {"code": 4000, "reason": "elsewhere"}})
            for value in range(1, 10):
                await self.api("publish", {"channel": channel, "data": round * 10 + value})
            again = await events.wait("subscribed", round + 2)
            self.assertTrue(again.was_recovering and again.recovered)
            await events.wait("publication", round * 10 + 10)
        self.assertEqual(self.values(events), list(range(30)), "in order, once each")
        self.assertEqual(client.events.all("connecting")[1].code, 4000)

    async def test_deltas_make_the_same_publications(self):
        client, channel = await self.connected(token=token(sub="deltas")), self.channel("delta")
        delta = centrifuge.DeltaType.FOSSIL
        subscription, events = await self.subscribed(client, channel, delta=delta)
        scores = [{"home": "Alpha", "away": "Béta", "minute": minute, "rain": "é" * 40} for minute in range(30)]
        for score in scores[:10]:
            await self.api("publish", {"channel": channel, "data": score})
        await events.wait("publication", 10)
        await self.api("disconnect", {"user": "deltas", "disconnect": {"code": 4000, "reason": "elsewhere"}})
        for score in scores[10:20]:
            await self.api("publish", {"channel": channel, "data": score})
        again = await events.wait("subscribed", 2)
        self.assertTrue(again.was_recovering and again.recovered)
        for score in scores[20:]:
            await self.api("publish", {"channel": channel, "data": score})
        await events.wait("publication", 30)
        self.assertEqual(self.values(events), scores)

    async def test_refused_commands_have_the_codes_of_the_protocol(self):
        client = await self.connected()
        for channel, code in [("unknown:x", 102), ("login:x", 103), ("x" * 256, 107)]:
            events = Events()
            await client.new_subscription(channel, events=events).subscribe()
            self.assertEqual((await events.wait("unsubscribed")).code, code, channel)
        for channel, code in [("unknown:x", 102), ("silent:x", 103)]:
            with self.assertRaises(centrifuge.ReplyError) as refused:
                await client.publish(channel, self.write({}))
            self.assertEqual(refused.exception.code, code, channel)
        with self.assertRaises(centrifuge.ReplyError) as refused:
            await client.rpc("method", self.write({}))
        self.assertEqual(refused.exception.code, 108)
        self.assertEqual(client.state, centrifuge.ClientState.CONNECTED)

    async def test_tokens_are_refused_replaced_and_ended(self):
        refused = self.client(token=token(sub="42") + "x")
        await refused.connect()
        self.assertEqual((await refused.events.wait("disconnected")).code, 3500)

        async def fresh():
            return token(sub="99")

        client = await self.connected(token=token(sub="99", exp=int(time.time()) - 60), get_token=fresh)
        await self.api("disconnect", {"user": "99"})
        self.assertEqual((await client.events.wait("disconnected")).code, 3503)

    async def test_ten_quick_rounds_leave_presence_exact(self):
        client = await self.connected()
        subscription, _ = await self.subscribed(client, self.channel("kept"))
        for _ in range(10):
            await subscription.unsubscribe()
            await subscription.subscribe()
        await subscription.ready()
        stats = await subscription.presence_stats()
        self.assertEqual((stats.num_clients, stats.num_users), (1, 1))

    async def test_a_token_is_refreshed_before_it_expires(self):
        asked = []
        replaced = asyncio.Event()

        async def fresh():
            asked.append(True)
            if len(asked) == 2:
                replaced.set()
            # The second one lives long: a busy machine may present it late.
            return token(sub="42", exp=int(time.time()) + (2 if len(asked) == 1 else 3600))

        client = await self.connected(get_token=fresh)
        await asyncio.wait_for(replaced.wait(), TIMEOUT)
        # The reply to this comes after the one to the refresh.
        with self.assertRaises(centrifuge.ReplyError):
            await client.rpc("none", self.write(1))
        self.assertEqual(len(client.events.all("connecting")), 1, "it has never been away")

    async def test_a_backend_subscribes_and_unsubscribes_a_running_client(self):
        client = await self.connected(token=token(sub="served"))
        channel = self.channel("kept")
        await self.api("subscribe", {"user": "served", "channel": channel})
        self.assertEqual((await client.events.wait("subscribed")).channel, channel)
        await self.api("publish", {"channel": channel, "data": "for it"})
        self.assertEqual(self.read((await client.events.wait("publication")).pub.data), "for it")
        await self.api("unsubscribe", {"user": "served", "channel": channel})
        self.assertEqual((await client.events.wait("unsubscribed")).channel, channel)


class Suite(Running):
    """What the public suite of this SDK expects of a server. Its tokens are for the user 42 and never expire."""

    settings = ["--config", str(SUITE)]

    async def user(self):
        async def connection_token():
            return sign({"sub": "42"}, SUITE_SECRET)

        return await self.connected(get_token=connection_token)

    async def of_user(self, client, channel, **options):
        async def subscription_token(of):
            return sign({"sub": "42", "channel": of}, SUITE_SECRET)

        return await self.subscribed(client, channel, get_token=subscription_token, **options)

    async def test_operations_of_a_subscription(self):
        client = await self.user()
        subscription, events = await self.of_user(client, self.id())
        await subscription.publish(self.write({"input": "test"}))
        history = await subscription.history(limit=-1)
        self.assertEqual((history.offset, len(history.publications)), (1, 1))
        self.assertTrue(history.epoch)
        self.assertEqual(len((await subscription.presence()).clients), 1)
        stats = await subscription.presence_stats()
        self.assertEqual((stats.num_clients, stats.num_users), (1, 1))

    async def test_joins_and_leaves_of_others(self):
        first, second = await self.user(), await self.user()
        _, events = await self.of_user(first, self.id())
        other, _ = await self.of_user(second, self.id())
        ids = [one.events.all("connected")[0].client for one in (first, second)]
        while [one.info.client for one in events.all("join") if one.info.client == ids[1]] != [ids[1]]:
            await events.wait("join", len(events.all("join")) + 1)
        await other.unsubscribe()
        self.assertEqual((await events.wait("leave")).info.client, ids[1])

    async def test_what_others_published_meanwhile_is_recovered_also_into_an_empty_channel(self):
        for number, delta in enumerate((None, centrifuge.DeltaType.FOSSIL)):
            away, stays = await self.user(), await self.user()
            channel = f"{self.id()}-{number}"
            _, events = await self.of_user(away, channel, delta=delta)
            publisher, _ = await self.of_user(stays, channel, delta=delta)
            first = events.all("subscribed")[0]
            self.assertFalse(first.recovered or first.was_recovering)
            await away.disconnect()
            for value in range(10):
                await publisher.publish(self.write({"input": f"number {value}"}))
            await away.connect()
            again = await events.wait("subscribed", 2)
            self.assertTrue(again.recovered and again.was_recovering)
            await events.wait("publication", 10)
            self.assertEqual(self.values(events), [{"input": f"number {value}"} for value in range(10)])

    async def test_wrong_tokens(self):
        async def wrong(*_):
            return "invalid_token"

        refused = self.client(get_token=wrong)
        await refused.connect()
        self.assertEqual((await refused.events.wait("disconnected")).code, 3500)
        client, events = await self.user(), Events()
        await client.new_subscription("channel", events=events, get_token=wrong).subscribe()
        self.assertEqual((await events.wait("unsubscribed")).code, 103)
        self.assertEqual(client.state, centrifuge.ClientState.CONNECTED)

    async def test_a_user_has_a_channel_of_its_own(self):
        client = await self.user()
        self.assertEqual((await client.events.wait("subscribed")).channel, "#42")
        self.assertTrue((await client.events.wait("join")).info.client)
        await client.publish("#42", self.write({"input": "test"}))
        self.assertEqual(self.read((await client.events.wait("publication")).pub.data), {"input": "test"})


class Json:
    is_protobuf = False

    def channel(self, namespace):
        return f"{namespace}:json-{self.id()[-30:]}".replace(" ", "-")


class Protobuf:
    is_protobuf = True

    def channel(self, namespace):
        return f"{namespace}:protobuf-{self.id()[-30:]}".replace(" ", "-")


class SdkInJson(Json, Sdk, unittest.IsolatedAsyncioTestCase):
    pass


class SuiteInJson(Json, Suite, unittest.IsolatedAsyncioTestCase):
    pass


class SuiteInProtobuf(Protobuf, Suite, unittest.IsolatedAsyncioTestCase):
    pass


class SdkInProtobuf(Protobuf, Sdk, unittest.IsolatedAsyncioTestCase):
    async def test_bytes_arrive_as_they_are(self):
        subscription, events = await self.subscribed(await self.connected(), self.channel("kept"))
        every = bytes(range(256))
        await subscription.publish(every)
        self.assertEqual((await events.wait("publication")).pub.data, every)


if __name__ == "__main__":
    unittest.main()
