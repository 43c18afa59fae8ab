//! How many instructions does each hot function take: a figure that no load and no clock can blur?
//!
//! `tests/instructions.sh` runs one case at a time under callgrind, which counts what happens inside [`counted`], and
//! holds the counts to those recorded in `instructions.tsv`. Run by itself it only checks what each case does. Not
//! measured: the kernel, cache misses, waiting.

#[path = "../tests/common/null.rs"]
mod null;

use null::Null;
use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use throng::config::{ChannelOptions, Config, HubLimits};
use throng::hub::shard::log::Log;
use throng::hub::{Channel, HistoryOptions, Hub, MessageShape, Shard, SubscribeOptions};
use throng::metrics::Metrics;
use throng::protocol::centrifuge::Format;
use throng::protocol::websocket::frame::{self, Head, Opcode};
use throng::protocol::{ChannelName, DecoderLimits, Encoding, Event, FrameDecoder, Payload};

/// Bytes of a message.
const LEN: usize = 64;

/// Messages, frames or publications of a case: one pass, and enough that what happens once does not show.
const BATCH: usize = 256;

/// Subscribers of the fan-out.
const SUBSCRIBERS: usize = 1_000;

const JSON: Encoding = Encoding::Centrifuge(Format::Json);
const PROTOBUF: Encoding = Encoding::Centrifuge(Format::Protobuf);

/// A name, and what runs it and returns how many units its count is divided by.
type Case = (&'static str, fn() -> usize);

const CASES: [Case; 11] = [
    ("decoder", decoder),
    ("frame", encode_frame),
    ("log_append", log_append),
    ("publish", publish),
    ("publish_kept", publish_kept),
    ("apply", apply),
    ("apply_json", || apply_as(JSON)),
    ("apply_protobuf", || apply_as(PROTOBUF)),
    ("fan_out", || fan_out(Encoding::Lines)),
    ("fan_out_json", || fan_out(JSON)),
    ("fan_out_protobuf", || fan_out(PROTOBUF)),
];

/// What callgrind counts in: its name is the script's.
#[inline(never)]
fn counted<T>(run: impl FnOnce() -> T) -> T {
    black_box(run())
}

/// Per message cut out of what a client sent.
fn decoder() -> usize {
    let mask: [u8; 4] = [0x9a, 0x08, 0x57, 0xc6];
    let head = [0x81, 0x80 | u8::try_from(LEN).expect("it is short")];
    let mut wire = [&head[..], &mask, &mask.map(|byte| byte ^ b'x').repeat(LEN / 4)].concat().repeat(BATCH);
    let (mut decoder, mut messages) = (FrameDecoder::new(), 0);
    let limits = DecoderLimits::default();
    counted(|| {
        let mut rest = &mut wire[..];
        while let Ok(Some(event)) = decoder.next(&mut rest, &limits) {
            if let Event::Message { body, .. } = event {
                black_box(body);
                messages += 1;
            }
        }
        assert!(rest.is_empty());
    });
    assert_eq!(messages, BATCH);
    BATCH
}

/// Per frame made of a body.
fn encode_frame() -> usize {
    let body = [b'x'; LEN];
    counted(|| {
        for _ in 0..BATCH {
            assert_eq!(black_box(Head::new(black_box(Opcode::Text), black_box(LEN))).as_slice().len(), 2);
            assert_eq!(frame::encode(Opcode::Text, black_box(&body)).len(), 2 + LEN);
        }
    });
    BATCH
}

/// Per publication appended.
fn log_append() -> usize {
    let body = line();
    let mut log = Log::default();
    counted(|| (0..BATCH).for_each(|_| log.push(black_box(&body.data))));
    assert_eq!(log.len(), (BATCH * body.len()) as u64);
    BATCH
}

/// Per publication put into the inbox of one shard.
fn publish() -> usize {
    let mut stage = Stage::new(1);
    counted(|| stage.publish(BATCH));
    stage.pass();
    assert_eq!(stage.deliveries(), BATCH as u64);
    BATCH
}

/// The same in a channel with a history that is full.
fn publish_kept() -> usize {
    let mut stage = Stage::with_history(1, HistoryOptions { size: BATCH, ttl: Duration::from_secs(3600) });
    stage.publish(BATCH);
    stage.pass();
    counted(|| stage.publish(BATCH));
    stage.pass();
    assert_eq!(stage.deliveries(), 2 * BATCH as u64);
    BATCH
}

/// Per publication that one pass takes for a single subscriber.
fn apply() -> usize {
    apply_as(Encoding::Lines)
}

/// The same for a subscriber of another protocol.
fn apply_as(encoding: Encoding) -> usize {
    let mut stage = Stage::with(1, HistoryOptions::default(), encoding);
    stage.publish(BATCH);
    counted(|| stage.pass());
    assert_eq!(stage.deliveries(), BATCH as u64);
    BATCH
}

/// Per delivery of one publication.
fn fan_out(encoding: Encoding) -> usize {
    let mut stage = Stage::with(SUBSCRIBERS, HistoryOptions::default(), encoding);
    stage.publish(1);
    counted(|| stage.pass());
    assert_eq!(stage.deliveries(), SUBSCRIBERS as u64);
    SUBSCRIBERS
}

fn line() -> Payload {
    Payload::line(&[b'x'; LEN]).expect("it is text")
}

/// One shard with the given number of subscribers of one channel.
struct Stage {
    hub: Hub<Null>,
    shard: Shard<Null>,
    channel: Arc<Channel>,
}

impl Stage {
    fn new(subscribers: usize) -> Self {
        Self::with_history(subscribers, HistoryOptions::default())
    }

    fn with_history(subscribers: usize, history: HistoryOptions) -> Self {
        Self::with(subscribers, history, Encoding::Lines)
    }

    fn with(subscribers: usize, history: HistoryOptions, encoding: Encoding) -> Self {
        let shape = MessageShape { encoding, ..MessageShape::default() };
        let mut channel = ChannelOptions::default();
        (channel.options.history_size, channel.options.history_ttl) = (history.size, history.ttl);
        let options = SubscribeOptions { channel: Arc::new(channel), shape, ..SubscribeOptions::default() };
        let limits = HubLimits { connections_max: subscribers, ..Config::default().limits };
        let (hub, mut shards) = Hub::new(&limits, Arc::new(Metrics::new(1)));
        let shard = shards.pop().expect("one was asked for");
        let name = ChannelName::parse("lobby").expect("it is valid");
        let mut channel = None;
        for _ in 0..subscribers {
            let credit = || hub.inbox(0).try_credit(0).expect("they fit the inbox");
            let id = hub.connect(hub.reserve_slot().expect("there is room"), Null, shape, credit());
            channel = hub.subscribe(id, &name, &options, credit()).ok().map(|subscribed| subscribed.channel);
        }
        let mut stage = Self { hub, shard, channel: channel.expect("there is a subscriber") };
        while stage.pass() {}
        stage
    }

    fn publish(&mut self, messages: usize) {
        for _ in 0..messages {
            let body = line();
            self.hub.publish(&self.channel, &body, &mut self.hub.credits(body.len())).expect("they fit the inbox");
        }
    }

    fn pass(&mut self) -> bool {
        let has_work = self.shard.begin_pass(Duration::ZERO);
        while self.shard.step() {}
        self.shard.end_pass(Duration::ZERO);
        has_work
    }

    fn deliveries(&self) -> u64 {
        self.hub.metrics().shards()[0].read().deliveries
    }
}

fn main() -> std::io::Result<()> {
    // cargo adds flags of its own.
    let asked: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for (name, run) in CASES {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            writeln!(std::io::stdout(), "{name} {}", run())?;
        }
    }
    Ok(())
}
