//! Validators: additional receivers that another library drives, as a second opinion on frames, text and order.
//!
//! The engine cuts frames with its own reader, which is fast and could be wrong in the same way as a server. These
//! connections are read by fastwebsockets' client side, frame by frame, on a thread of their own, and count their own
//! deliveries. They are timed in no figure.

use super::read_tally::Note;
use super::share::Share;
use super::tally::Tally;
use super::tls::Tls;
use crate::audience::Audience;
use crate::config::Config;
use crate::exit::RunError;
use crate::measure::{CloseCount, Counts};
use crate::wire::handshake::{Answer, judge, request};
use crate::wire::meaning::Meaning;
use crate::wire::protocol::CHANNEL;
use crate::wire::record::Format;
use crate::wire::shape::Shape;
use anyhow::{Context, Result, bail};
use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, Role, WebSocket};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// All of them connect within this time, or the run stops.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest message taken, in bytes; coalesced ones are some 64 KiB.
const MESSAGE_MAX: usize = 64 << 20;

/// The validators of a run. They end with their worker.
#[derive(Debug)]
pub(super) struct Validators {
    deliveries: Arc<Mutex<Deliveries>>,
}

/// Their deliveries and closes.
#[derive(Debug)]
struct Deliveries {
    tally: Tally,
    /// By validator.
    is_open: Vec<bool>,
    closes: Vec<CloseCount>,
}

impl Validators {
    /// Connects them all.
    ///
    /// # Errors
    ///
    /// Fails when one cannot connect in time.
    pub(super) fn connect(config: &Config) -> Result<Self> {
        let format = Format::new(config.size, config.seed);
        let mut tally = Tally::new(format, Audience::new(config), Share { index: 0, of: 1 }, 0);
        let nothing = vec![0; tally.audience.publishers()];
        (0..config.validators).for_each(|number| tally.open(number, Some(&nothing)));
        let is_open = vec![true; config.validators];
        let deliveries = Arc::new(Mutex::new(Deliveries { tally, is_open, closes: Vec::new() }));
        let (ready, connected) = sync_channel(config.validators);
        let (config, shared) = (Arc::new(config.clone()), Arc::clone(&deliveries));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                for number in 0..config.validators {
                    tokio::spawn(receive(number, Arc::clone(&config), Arc::clone(&shared), ready.clone()));
                }
                drop(ready);
                std::future::pending::<()>().await;
            });
        });
        for number in 0..is_open_len(&deliveries) {
            match connected.recv_timeout(PATIENCE) {
                Ok(Ok(())) => {}
                Ok(Err(stop)) => return Err(stop.into()),
                Err(_) => {
                    let text = format!("only {number} validators connected within {PATIENCE:?}");
                    return Err(RunError::Unreachable(text).into());
                }
            }
        }
        Ok(Self { deliveries })
    }

    /// Returns the counts of their deliveries and faults.
    pub(super) fn counts(&self) -> Counts {
        lock(&self.deliveries).tally.counts
    }

    /// Returns the start of the first line that was no record.
    pub(super) fn first_unexpected(&self) -> Option<String> {
        lock(&self.deliveries).tally.first_unexpected.clone()
    }

    /// Returns how the server closed them.
    pub(super) fn closes(&self) -> Vec<CloseCount> {
        lock(&self.deliveries).closes.clone()
    }

    /// Deliveries of what was `sent` that have not come, to those that are open and to those that are not.
    pub(super) fn missing(&self, sent: &[u32]) -> (u64, u64) {
        let deliveries = lock(&self.deliveries);
        let missing = |is_wanted: bool| {
            let validators = deliveries.is_open.iter().enumerate().filter(|(_, is_open)| **is_open == is_wanted);
            validators.map(|(number, _)| deliveries.tally.missing(number, sent)).sum()
        };
        (missing(true), missing(false))
    }
}

fn is_open_len(deliveries: &Mutex<Deliveries>) -> usize {
    lock(deliveries).is_open.len()
}

/// Locks the deliveries. They are consistent even if a validator panicked: each change is complete in itself.
fn lock(deliveries: &Mutex<Deliveries>) -> std::sync::MutexGuard<'_, Deliveries> {
    deliveries.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The transport of the library: a socket, or TLS over one.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

type Connection = FragmentCollector<Box<dyn Duplex>>;

/// Runs one validator from connect to close.
async fn receive(
    number: usize,
    config: Arc<Config>,
    deliveries: Arc<Mutex<Deliveries>>,
    ready: SyncSender<Result<(), RunError>>,
) {
    let channels = lock(&deliveries).tally.audience.channels(number);
    let greeted = connect(&config, &channels).await;
    let (mut connection, mut answers) = match greeted {
        Ok(connection) => (connection, config.protocol.answers(channels.len())),
        Err(error) => {
            let stop = RunError::Refused(format!("validator {number} could not connect: {error:#}"));
            // If the receiver is gone, the engine has given up.
            drop(ready.send(Err(stop)));
            return;
        }
    };
    if answers == 0 {
        drop(ready.send(Ok(())));
    }
    let shape = Shape::new(&config.protocol, config.size);
    let (code, reason) = loop {
        let frame = match connection.read_frame().await {
            Ok(frame) => frame,
            Err(error) => break (1006, format!("fastwebsockets: {error}")),
        };
        let payload = match frame.opcode {
            OpCode::Text | OpCode::Binary => frame.payload.to_vec(),
            OpCode::Close => {
                let code = frame.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                break (code, String::from_utf8_lossy(frame.payload.get(2..).unwrap_or_default()).into_owned());
            }
            _ => continue,
        };
        let was_waiting = answers > 0;
        for reply in take(number, &payload, &shape, &config, &deliveries, &mut answers) {
            // Its end is seen by reading.
            drop(connection.write_frame(message(&config, reply.to_vec())).await);
        }
        if was_waiting && answers == 0 {
            drop(ready.send(Ok(())));
        }
    };
    let mut deliveries = lock(&deliveries);
    deliveries.is_open[number] = false;
    deliveries.closes.push(CloseCount { code, reason, count: 1 });
}

/// Files the lines of a message, and returns what has to be answered.
fn take(
    number: usize,
    payload: &[u8],
    shape: &Shape,
    config: &Config,
    deliveries: &Mutex<Deliveries>,
    answers: &mut usize,
) -> Vec<&'static [u8]> {
    let mut notes = Vec::new();
    let mut deliveries = lock(deliveries);
    // Not timed: `timed_clients` is 0.
    let mut read = deliveries.tally.read(number, 0, &mut notes);
    shape.judge_all(payload, &mut read);
    read.close();
    let mut replies = Vec::new();
    for note in notes {
        let Note::Line(line) = note else { continue };
        match config.protocol.meaning(&line) {
            Meaning::Reply(reply) => replies.push(reply),
            Meaning::Ready | Meaning::At(_) => *answers = answers.saturating_sub(1),
            // The engine's own clients are refused as well, and report it.
            Meaning::Nothing | Meaning::Refused(_) => {}
        }
    }
    replies
}

/// Returns a frame with a message of the protocol.
fn message(config: &Config, bytes: Vec<u8>) -> Frame<'static> {
    let payload = Payload::Owned(bytes);
    if config.protocol.opcode() == 2 { Frame::binary(payload) } else { Frame::text(payload) }
}

/// Connects, and sends the first message of the protocol.
async fn connect(config: &Config, channels: &[String]) -> Result<Connection> {
    let socket = TcpStream::connect(config.url.address).await?;
    socket.set_nodelay(true)?;
    let mut stream: Box<dyn Duplex> = match Tls::of(&config.url)? {
        Some(Tls { settings, name }) => Box::new(TlsConnector::from(settings).connect(name, socket).await?),
        None => Box::new(socket),
    };
    let channel = channels.first().map_or("", String::as_str);
    let path = config.url.path.replace(CHANNEL, channel);
    stream.write_all(request(&config.url.host, &path, config.protocol.subprotocol()).as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        // Byte by byte: what follows the answer belongs to the library.
        answer.push(stream.read_u8().await.context("closed during the handshake")?);
        match judge(&answer, config.protocol.subprotocol()) {
            Answer::Unfinished => {}
            Answer::Agreed(_) => break,
            Answer::Refused(why) | Answer::Foreign(why) => bail!(why),
        }
    }
    let mut socket = WebSocket::after_handshake(stream, Role::Client);
    socket.set_max_message_size(MESSAGE_MAX);
    let mut connection = FragmentCollector::new(socket);
    if let Some(hello) = config.protocol.hello(channels) {
        connection.write_frame(message(config, hello)).await?;
    }
    Ok(connection)
}
