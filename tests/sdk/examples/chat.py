# python chat.py [ADDRESS]: says hello in a channel, shows what is said there, and recovers what it missed.
import asyncio
import sys

from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler


class ClientEvents(ClientEventHandler):
    async def on_connecting(self, ctx):
        print(f"connecting: {ctx.code} {ctx.reason}", flush=True)

    async def on_disconnected(self, ctx):
        print(f"disconnected: {ctx.code} {ctx.reason}", flush=True)


class LobbyEvents(SubscriptionEventHandler):
    async def on_subscribed(self, ctx):
        again = f" again, recovered: {str(ctx.recovered).lower()}" if ctx.was_recovering else ""
        print(f"subscribed{again}", flush=True)

    async def on_publication(self, ctx):
        print("publication:", ctx.pub.data, flush=True)

    async def on_join(self, ctx):
        print("join:", ctx.info.client, flush=True)

    async def on_leave(self, ctx):
        print("leave:", ctx.info.client, flush=True)


async def main():
    address = sys.argv[1] if len(sys.argv) > 1 else "ws://localhost:8080/connection/websocket"
    # For clients with a token: Client(address, get_token=fetch_token_from_your_backend, ...)
    client = Client(address, events=ClientEvents())
    lobby = client.new_subscription("lobby", events=LobbyEvents())
    await client.connect()
    await lobby.subscribe()

    await lobby.ready()
    history = await lobby.history(limit=10)
    print("history:", len(history.publications), flush=True)
    stats = await lobby.presence_stats()
    print("clients:", stats.num_clients, flush=True)
    await lobby.publish("hello from Python")
    await asyncio.Event().wait()


asyncio.run(main())
