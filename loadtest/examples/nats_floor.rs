//! What the client library of NATS takes for publications that a hub follows: the floor of what a hub can take.
//!
//! Subscribes as a hub does, one subscription and one task for each partition, looks at the headers, and does nothing
//! else. Prints how many publications came, and the CPU in microseconds that each took.
//!
//! `cargo run --release -p loadtest --example nats_floor -- nats://127.0.0.1:4222 PREFIX PARTITIONS SECONDS`

use async_nats::ConnectOptions;
use futures_util::StreamExt;
use mimalloc::MiMalloc;
use std::error::Error;
use std::fs::read_to_string;
use std::io::{Write, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// That of a hub.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Messages that may wait, as in a hub.
const CAPACITY: usize = 65_536;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [server, prefix, partitions, seconds] = &arguments[..] else {
        return Err("four arguments are needed: SERVER PREFIX PARTITIONS SECONDS".into());
    };
    let client = ConnectOptions::new().subscription_capacity(CAPACITY).connect(server).await?;
    let count = Arc::new(AtomicU64::new(0));
    for partition in 0..partitions.parse()? {
        let partition: u32 = partition;
        let mut messages = client.subscribe(format!("throng.{prefix}.live.*.{partition}.*")).await?;
        let count = count.clone();
        tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                let is_counted = message.headers.is_some_and(|headers| headers.get("Nats-Sequence").is_some());
                count.fetch_add(u64::from(is_counted), Ordering::Relaxed);
            }
        });
    }
    client.flush().await?;
    let before = cpu_us()?;
    sleep(Duration::from_secs(seconds.parse()?)).await;
    let (count, cpu) = (count.load(Ordering::Relaxed), cpu_us()? - before);
    writeln!(stdout(), "{count} {:.2}", cpu as f64 / count.max(1) as f64)?;
    Ok(())
}

/// Returns the CPU time of this process in microseconds: fields 14 and 15 of `/proc/self/stat`, in ticks of 10 ms.
fn cpu_us() -> Result<u64, Box<dyn Error>> {
    let stat = read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: Result<Vec<u64>, _> = after_name.split(' ').skip(11).take(2).map(str::parse).collect();
    Ok(ticks?.iter().sum::<u64>() * 10_000)
}
