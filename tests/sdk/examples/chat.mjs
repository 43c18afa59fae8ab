// node chat.mjs [ADDRESS]: says hello in a channel, shows what is said there, and recovers what it missed.
import { Centrifuge } from "centrifuge";

const address = process.argv[2] ?? "ws://localhost:8080/connection/websocket";
// For clients with a token: new Centrifuge(address, { getToken: () => fetchTokenFromYourBackend() })
const client = new Centrifuge(address);
client.on("connecting", ({ code, reason }) => console.log(`connecting: ${code} ${reason}`));
client.on("disconnected", ({ code, reason }) => console.log(`disconnected: ${code} ${reason}`));

const lobby = client.newSubscription("lobby");
lobby.on("publication", ({ data }) => console.log("publication:", data));
lobby.on("join", ({ info }) => console.log("join:", info.client));
lobby.on("leave", ({ info }) => console.log("leave:", info.client));
lobby.on("unsubscribed", ({ code, reason }) => console.log(`unsubscribed: ${code} ${reason}`));
lobby.on("subscribed", ({ wasRecovering, recovered }) => {
  console.log(wasRecovering ? `subscribed again, recovered: ${recovered}` : "subscribed");
});
lobby.subscribe();
client.connect();

await lobby.ready();
const { publications } = await lobby.history({ limit: 10 });
console.log("history:", publications.length);
const { numClients } = await lobby.presenceStats();
console.log("clients:", numClients);
await lobby.publish("hello from JavaScript");
