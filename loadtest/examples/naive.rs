//! A naive chat server: the usual tokio broadcast channel, as a yardstick for the load generator and for throng.
//!
//! One frame per message; up to 64 queued messages are fed before one flush. One thread. A receiver that lags by 1,024
//! messages is closed.
//!
//! `cargo run --release -p loadtest --example naive -- 127.0.0.1:8080`

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{Receiver, Sender, channel};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Utf8Bytes};

/// Messages fed before a flush.
const BATCH: usize = 64;

/// Messages that a receiver may lag by.
const LAG_MAX: usize = 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;
    let (room, _) = channel(LAG_MAX);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, room.clone(), room.subscribe()));
    }
}

/// Serves one member; errors are ends.
async fn serve(stream: TcpStream, room: Sender<Utf8Bytes>, mut queue: Receiver<Utf8Bytes>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let (mut sink, mut source) = accept_async_with_config(stream, Some(config)).await?.split();
    let read = async {
        while let Some(Ok(message)) = source.next().await {
            if let Message::Text(text) = message {
                // A room without receivers is no error.
                drop(room.send(text));
            }
        }
        Ok(())
    };
    let write = async {
        while let Ok(text) = queue.recv().await {
            sink.feed(Message::Text(text)).await?;
            for _ in 1..BATCH {
                let Ok(text) = queue.try_recv() else { break };
                sink.feed(Message::Text(text)).await?;
            }
            sink.flush().await?;
        }
        Ok(())
    };
    tokio::select! { end = read => end, end = write => end }
}
