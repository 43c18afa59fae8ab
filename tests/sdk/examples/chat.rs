//! cargo run -- [ADDRESS]: says hello in a channel and shows what is said there.

use tokio_centrifuge::client::Client;
use tokio_centrifuge::config::Config;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let address = std::env::args().nth(1).unwrap_or_else(|| "ws://localhost:8080/connection/websocket".to_owned());
    // For clients with a token: Config::new().with_token(token)
    let client = Client::new(&address, Config::new());
    client.on_connecting(|event| println!("connecting: {} {}", event.code, event.reason));
    client.on_disconnected(|event| println!("disconnected: {} {}", event.code, event.reason));

    let lobby = client.new_subscription("lobby");
    lobby.on_subscribed(|_| println!("subscribed"));
    lobby.on_unsubscribed(|event| println!("unsubscribed: {} {}", event.code, event.reason));
    lobby.on_publication(|publication| println!("publication: {}", String::from_utf8_lossy(&publication.data)));
    let subscribed = lobby.subscribe();
    client.connect();

    if subscribed.await.is_err() {
        return;
    }
    // Data is JSON: this is a string. Config::new().use_protobuf() sends any bytes.
    if let Err(error) = lobby.publish(br#""hello from Rust""#.to_vec()).await {
        eprintln!("publish: {error}");
    }
    std::future::pending().await
}
