//! sdk ADDRESS json|protobuf [TOKEN]: the Rust SDK as a program that a test operates.
//!
//! Reads one command per line, and prints what becomes of it and what the SDK tells. Data is in hexadecimal digits.
//!
//! ```text
//! subscribe CHANNEL | unsubscribe CHANNEL | publish CHANNEL DATA | rpc METHOD DATA
//! ```

use std::io::{self, BufRead};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_centrifuge::client::{Client, RequestError};
use tokio_centrifuge::config::{BackoffReconnect, Config};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, format, token @ ..] = &arguments[..] else { panic!("sdk ADDRESS json|protobuf [TOKEN]") };
    let delays =
        BackoffReconnect { factor: 2.0, min_delay: Duration::from_millis(10), max_delay: Duration::from_millis(100) };
    let config = Config::new().with_reconnect_strategy(delays).with_read_timeout(Duration::from_secs(60));
    let config = config.with_token(token.first().cloned().unwrap_or_default());
    let config = if format == "protobuf" { config.use_protobuf() } else { config };
    let address = if format == "protobuf" { format!("{address}?cf_protocol=protobuf") } else { address.clone() };
    let client = Client::new(&address, config);
    client.on_connecting(|_| println!("connecting"));
    client.on_connected(|event| println!("connected {}", event.client_id));
    client.on_disconnected(|_| println!("disconnected"));
    client.connect();

    let mut lines = lines();
    while let Some(line) = lines.recv().await {
        operate(&client, &line).await;
    }
}

/// Reads the standard input, on a thread of its own.
fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(100);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

async fn operate(client: &Client, line: &str) {
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["subscribe", channel] => subscribe(client, channel),
        ["unsubscribe", channel] => {
            client.new_subscription(channel).unsubscribe();
        }
        ["publish", channel, data] => println!("publish {}", outcome(client.publish(channel, bytes(data)).await)),
        ["rpc", method, data] => println!("rpc {}", outcome(client.rpc(method, bytes(data)).await)),
        _ => panic!("not a command: {line}"),
    }
}

fn subscribe(client: &Client, channel: &str) {
    let subscription = client.new_subscription(channel);
    subscription.on_subscribed(|event| println!("subscribed {}", event.channel));
    subscription.on_unsubscribed(|event| println!("unsubscribed {} {}", event.channel, event.code));
    let name = channel.to_owned();
    subscription.on_publication(move |publication| {
        let user = publication.info.map(|info| info.user).unwrap_or_default();
        println!("publication {name} {} {} {user}", publication.offset, digits(&publication.data));
    });
    subscription.subscribe();
}

fn outcome<T>(result: Result<T, RequestError>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(RequestError::ErrorResponse(error)) => error.code.to_string(),
        Err(error) => format!("failed: {error}"),
    }
}

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
