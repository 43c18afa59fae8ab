//! A floor: servers that do the least that a delivery can cost, to be compared with a hub.
//!
//! A delivery cannot be cheaper than the system call that makes it. These programs make that call and do next to
//! nothing else, so that the same generator, in the same interleaved run, shows what a hub adds. One thread, epoll, no
//! queue between threads; the loops that are the floor stand in `fan_out.rs`.
//!
//! | Command | What it does | Floor of |
//! |---|---|---|
//! | `floor write ADDRESS` | one frame per `write`, at once, to every client | a lone message |
//! | `floor writev K ADDRESS` | up to K frames of one turn in one `writev` per client | a burst of K |
//! | `floor batch ADDRESS` | everything read in one turn of the loop in one `send` per client | saturation |
//! | `floor handshake ADDRESS` | the same answer to every request, then silence | upgrades per second |
//! | `floor accept N` | N connections to itself; prints their memory and ends | memory per connection |
//!
//! `floor write 127.0.0.1:8080` prints the address it listens on and serves any path until Ctrl-C or SIGTERM, then says
//! what it did. `handshake` does not read the key: its answer is right for the key of RFC 6455 section 1.3 alone, which
//! is the one that the load generator sends.
//!
//! # What a real server has and a floor has not
//!
//! Channels, time-outs, fragments, UTF-8 checks, a close handshake, TLS, a bound on clients. A client that is full is
//! closed: at its first short write in `write` and `writev`, at 1 MiB of lag in `batch`.

mod client;
mod fan_out;
mod frame;
mod handshake;
mod memory;
mod mode;
mod room;

use crate::mode::{FRAMES_MAX, Mode};
use crate::room::Room;
use anyhow::{Context, Result};
use mio::net::{TcpListener, UnixStream};
use mio::{Events, Interest, Poll, Token};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{ErrorKind, Write, stderr, stdout};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

const USAGE: &str = "usage: floor write|batch|handshake ADDRESS | floor writev K ADDRESS | floor accept N";

/// As the load generator counts it.
const USAGE_CODE: u8 = 2;

/// Events per poll: a turn of the loop is at most this much.
const EVENTS: usize = 1024;

/// Tokens that are no client's index.
const LISTENER: Token = Token(usize::MAX - 1);
const STOP: Token = Token(usize::MAX - 2);

/// The request of the command line.
enum Command {
    Serve(Mode, SocketAddr),
    Measure(usize),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(command) = parse(&arguments) else {
        drop(writeln!(stderr(), "{USAGE}"));
        return USAGE_CODE.into();
    };
    let outcome = raise_descriptor_limit().and_then(|()| match command {
        Command::Serve(mode, address) => serve(mode, address),
        Command::Measure(connections) => memory::measure(connections),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(stderr(), "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Option<Command> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (mode, address) = match words[..] {
        ["accept", connections] => return connections.parse().ok().map(Command::Measure),
        ["write", address] => (Mode::Write, address),
        ["writev", frames, address] => {
            (Mode::Writev(frames.parse().ok().filter(|frames| (1..=FRAMES_MAX).contains(frames))?), address)
        }
        ["batch", address] => (Mode::Batch, address),
        ["handshake", address] => (Mode::Handshake, address),
        _ => return None,
    };
    Some(Command::Serve(mode, address.parse().ok()?))
}

/// Allows as many connections as the system lets this process have.
fn raise_descriptor_limit() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("the descriptor limit stays")
}

/// Serves until a signal comes.
fn serve(mode: Mode, address: SocketAddr) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(address).with_context(|| format!("failed to bind {address}"))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut stop, signalled) = UnixStream::pair()?;
    poll.registry().register(&mut stop, STOP, Interest::READABLE)?;
    let signalled = OwnedFd::from(signalled);
    signal_hook::low_level::pipe::register(SIGINT, signalled.try_clone()?)?;
    signal_hook::low_level::pipe::register(SIGTERM, signalled)?;
    writeln!(stdout(), "{}", listener.local_addr()?)?;

    let mut room = Room::new(mode, poll.registry().try_clone()?);
    let mut events = Events::with_capacity(EVENTS);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            outcome => outcome?,
        }
        for event in &events {
            match event.token() {
                LISTENER => room.accept(&listener)?,
                STOP => {
                    drop(writeln!(stderr(), "{}", room.counts));
                    return Ok(());
                }
                Token(index) => room.turn(index, event),
            }
        }
        // The turn is over: the batch is sent.
        room.fan_out();
    }
}
