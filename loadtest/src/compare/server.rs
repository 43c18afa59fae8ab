//! A server under test: set up once, started for each run, and gone after it.

use super::interrupt::Interrupt;
use super::plan::{Places, Server};
use super::process::Group;
use super::workspace::{last_words, log_to};
use crate::exit::RunError;
use crate::wire::target::Target;
use rand::Rng;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

/// Ports for servers: below those that Linux assigns to clients.
const PORTS: std::ops::Range<u16> = 20_000..32_768;

/// Ports tried before there seems to be none.
const PORT_TRIES: usize = 100;

/// Time between two attempts to reach a server that does not listen yet: short compared with any interpreter's start.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A loopback connection is there at once, or a backlog is full.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(200);

/// A server that listens.
#[derive(Debug)]
pub(super) struct Running {
    group: Group,
    log: PathBuf,
}

/// Returns a port that is free.
///
/// # Errors
///
/// Fails when the machine has none left.
pub(super) fn free_port() -> io::Result<u16> {
    // Below the ports that the kernel gives to clients: thousands of those come and go meanwhile, and one of them could
    // take it before the server does.
    let candidates = (0..PORT_TRIES).map(|_| rand::rng().random_range(PORTS));
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    candidates.into_iter().find(is_free).ok_or_else(|| io::ErrorKind::AddrInUse.into())
}

/// Raises the limit of descriptors as far as allowed: servers inherit it, and not all raise it themselves.
pub(super) fn raise_descriptors() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // A server that needs more reports it itself.
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).ok();
}

/// Returns runs a server's setup to its end.
///
/// # Errors
///
/// [`RunError::Unreachable`] when it fails, with its last words.
pub(super) fn set_up(server: &Server, places: &Places, log: &Path, interrupt: &Interrupt) -> Result<(), RunError> {
    let text = places.fill(&server.setup.join(" "));
    let fail = |why: String| RunError::Unreachable(format!("server `{}`: setup `{text}` {why}", server.name));
    let mut group =
        spawn(&server.setup, server, places, log).map_err(|error| fail(format!("does not start: {error}")))?;
    group.wait(interrupt)?;
    match group.end() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(fail(format!(
            "failed ({status}) in the current directory, {}; relative paths count from there, {{dir}} is the file's \
             folder. Install what it misses, or leave this server out with --only; its last words:{}",
            std::env::current_dir().unwrap_or_default().display(),
            last_words(log)
        ))),
        Err(error) => Err(fail(error.to_string())),
    }
}

fn spawn(command: &[String], server: &Server, places: &Places, log: &Path) -> io::Result<Group> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(places.fill(program));
    command.args(arguments.iter().map(|argument| places.fill(argument)));
    command.envs(server.env.iter().map(|(name, value)| (name, places.fill(value))));
    log_to(&mut command, log)?;
    Group::spawn(&mut command)
}

impl Running {
    /// Starts a server and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// [`RunError::Unreachable`] when it does not, with its last words.
    pub(super) fn start(
        server: &Server,
        places: &Places,
        timeout: Duration,
        log: PathBuf,
        interrupt: &Interrupt,
    ) -> Result<Self, RunError> {
        let fail = |why: String| RunError::Unreachable(format!("server `{}`: {why}", server.name));
        let address = Target::parse(&places.fill(&server.url)).map_err(|error| fail(error.to_string()))?.address;
        if is_open(address) {
            return Err(fail(format!(
                "another process listens at {address} already; end it, or write {{port}} in `command` and `url`"
            )));
        }
        let group = spawn(&server.command, server, places, &log).map_err(|error| {
            fail(format!(
                "`{}` does not start: {error}; relative paths count from the current directory, {{dir}} is the file's",
                places.fill(&server.command[0])
            ))
        })?;
        let mut running = Self { group, log };
        match running.listens(address, timeout, interrupt)? {
            Waited::Listens => Ok(running),
            Waited::Ended => {
                let end = running.group.end().map_or_else(|error| error.to_string(), |status| status.to_string());
                Err(fail(format!("ended ({end}) before it listened at {address}{}", running.words())))
            }
            Waited::TooLong => {
                let timeout = humantime::format_duration(timeout);
                Err(fail(format!(
                    "does not listen at {address} after {timeout} (`start_timeout`); does `command` use the {{port}} \
                     of `url`?{}",
                    running.words()
                )))
            }
        }
    }

    /// Returns the number of the process to charge.
    pub(super) fn id(&self) -> u32 {
        self.group.id()
    }

    /// Returns how it ended, if it was not the comparison that ended it.
    pub(super) fn own_end(&mut self) -> Option<ExitStatus> {
        self.group.ends_within(Duration::ZERO).then(|| self.group.end().ok()).flatten()
    }

    /// Returns the last lines it wrote, with a heading.
    pub(super) fn words(&self) -> String {
        format!("\n  last words of the server:{}", last_words(&self.log))
    }

    fn listens(&self, address: SocketAddr, timeout: Duration, interrupt: &Interrupt) -> Result<Waited, RunError> {
        let deadline = Instant::now() + timeout;
        loop {
            interrupt.check()?;
            if self.group.ends_within(LOOK_EVERY) {
                return Ok(Waited::Ended);
            }
            if is_open(address) {
                return Ok(Waited::Listens);
            }
            if Instant::now() > deadline {
                return Ok(Waited::TooLong);
            }
        }
    }
}

/// How waiting for a server ended.
#[derive(Debug)]
enum Waited {
    Listens,
    Ended,
    TooLong,
}

fn is_open(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::workspace::Workspace;

    fn server(script: &str) -> Server {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        Server {
            name: "x".to_owned(),
            command: command.clone(),
            url: "ws://127.0.0.1:{port}/".to_owned(),
            metrics: None,
            protocol: None,
            flags: Default::default(),
            env: [("WORD".to_owned(), "at {port}".to_owned())].into(),
            setup: command,
        }
    }

    /// Long enough for a shell on any machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn start(server: &Server, port: u16, timeout: Duration) -> Result<Running, RunError> {
        let workspace = Workspace::new().unwrap();
        let places = Places { port, dir: ".".to_owned(), tmp: ".".to_owned() };
        let log = workspace.path().join("log");
        Running::start(server, &places, timeout, log, &Interrupt::default())
    }

    /// Returns a port at which no process listens, and none begins to: only root may, and what needs root has others.
    fn silent_port() -> u16 {
        (1..1024).find(|port| !is_open(([127, 0, 0, 1], *port).into())).unwrap()
    }

    #[test]
    fn early_end_shows_the_last_words() {
        let port = silent_port();
        let Err(RunError::Unreachable(text)) = start(&server("echo no luck $WORD >&2; exit 9"), port, PATIENCE) else {
            panic!("it cannot have started")
        };
        assert!(text.contains("server `x`: ended (exit status: 9)"), "{text}");
        assert!(text.contains(&format!("no luck at {port}")), "{text}");
    }

    #[test]
    fn silence_and_missing_programs_are_told_apart() {
        let port = silent_port();
        let text = start(&server("exec sleep 600"), port, Duration::from_millis(100)).unwrap_err().to_string();
        assert!(text.contains("after 100ms (`start_timeout`)") && text.contains("wrote nothing"), "{text}");
        let mut missing = server("");
        missing.command = vec!["no/such/program".to_owned()];
        let text = start(&missing, port, PATIENCE).unwrap_err().to_string();
        assert!(text.contains("`no/such/program` does not start: No such file"), "{text}");
    }

    /// Otherwise the figures would be those of another server.
    #[test]
    fn taken_port_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = start(&server("exit 0"), listener.local_addr().unwrap().port(), PATIENCE).unwrap_err().to_string();
        assert!(text.contains("another process listens"), "{text}");
    }

    #[test]
    fn setup_runs_to_its_end_or_says_why_not() {
        let workspace = Workspace::new().unwrap();
        let log = workspace.path().join("log");
        let places = Places { port: 1, dir: ".".to_owned(), tmp: ".".to_owned() };
        let set_up = |script| set_up(&server(script), &places, &log, &Interrupt::default());
        set_up("exit 0").unwrap();
        let text = set_up("echo install it first; exit 2").unwrap_err().to_string();
        assert!(text.contains("failed (exit status: 2)") && text.contains("install it first"), "{text}");
    }
}
