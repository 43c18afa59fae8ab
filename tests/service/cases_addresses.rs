//! Addresses: both families, names, several ports, and Unix sockets; what listens is printed, logged and cleaned up.

use crate::server::process::{Process, fails, logged, throng};
use crate::server::{Client, get, within};
use rustix::process::Signal;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use throng::config::Config;
use throng::server::{BoundSocket, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A machine without IPv6 cannot show what these tests are about; they then check IPv4 only.
fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// Returns a port that was free on both families a moment ago.
fn free_port() -> u16 {
    let taken =
        TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)));
    taken.and_then(|taken| taken.local_addr()).expect("there is one").port()
}

/// Listens on addresses and returns where, or why not. A free port may be taken by another test in between.
async fn listen(addresses: &[&str]) -> Result<Server, String> {
    let addr = addresses.iter().map(|text| text.parse().expect("it is one")).collect();
    let config = Config { addr, ..Config::default() }.complete(1, 10_000).map_err(|error| error.to_string())?;
    Server::bind(&config).await.map_err(|error| error.to_string())
}

/// `localhost` is ::1 first on many machines, so a page that it names must be served on both families.
#[tokio::test]
async fn port_alone_serves_both_families() {
    let process = Process::spawn(&mut throng(&["--addr", ":0"])).await;
    let port = process.addr.port();
    assert_eq!(get((Ipv4Addr::LOCALHOST, port).into(), "/health/live").await.status, 200);
    if has_ipv6() {
        assert!(process.first_line.contains(&format!("open http://localhost:{port}/ here")), "{}", process.first_line);
        assert_eq!(get((Ipv6Addr::LOCALHOST, port).into(), "/health/live").await.status, 200);
    }
}

/// An IPv4 client has its own limits and exemptions at an address that serves both families.
#[tokio::test]
async fn ipv4_client_of_a_dual_stack_address_is_an_ipv4_client() {
    let (process, mut log) = Process::spawn_logging(&mut throng(&["--addr", ":0", "--log", "debug"])).await;
    let _client = Client::connect((Ipv4Addr::LOCALHOST, process.addr.port()).into(), "/ws").await;
    let line = logged(&mut log, "connected").await;
    assert!(line.contains("127.0.0.1") && !line.contains("ffff"), "{line}");
}

/// The way to write both families in nginx; the IPv6 socket must leave IPv4 to the other one.
#[tokio::test]
async fn both_families_can_be_named_with_one_port() {
    if !has_ipv6() {
        return;
    }
    for other in ["0.0.0.0", "127.0.0.1"] {
        let port = free_port();
        let addresses = [format!("{other}:{port}"), format!("[::]:{port}")];
        let server = listen(&[&addresses[0], &addresses[1]]).await.expect("both families are free");
        assert_eq!(server.bound_addresses().len(), 2);
        let server = listen(&["127.0.0.1:0", "[::]:0"]).await.expect("the system picks two ports");
        assert_eq!(server.bound_addresses().len(), 2);
    }
    // Alone it serves both, as everywhere.
    let server = listen(&["[::]:0"]).await.expect("it is free");
    let is_dual = matches!(server.bound_addresses()[0].socket, BoundSocket::Tcp { is_dual_stack: true, .. });
    assert!(is_dual);
}

/// A name is served on each of its addresses, with the same port.
#[tokio::test]
async fn name_listens_on_all_its_addresses() {
    let named = tokio::net::lookup_host(("localhost", 0)).await.expect("every machine has it");
    let mut expected: Vec<_> = named.map(|address| address.ip()).filter(|ip| has_ipv6() || ip.is_ipv4()).collect();
    expected.sort_unstable();
    expected.dedup();
    let server = listen(&["localhost:0"]).await.expect("it is free");
    let bound = server.bound_addresses().into_iter().filter_map(|bound| match bound.socket {
        BoundSocket::Tcp { addr, .. } => Some(addr),
        BoundSocket::Unix(_) => None,
    });
    let bound: Vec<SocketAddr> = bound.collect();
    let mut ips: Vec<_> = bound.iter().map(SocketAddr::ip).collect();
    ips.sort_unstable();
    assert_eq!(ips, expected);
    assert!(bound.iter().all(|addr| addr.port() == bound[0].port() && addr.port() != 0), "{bound:?}");
}

/// Returns a link-local address of this machine and its interface, if there is one.
fn link_local_address() -> Option<(Ipv6Addr, String)> {
    let table = std::fs::read_to_string("/proc/net/if_inet6").ok()?;
    table.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let address = Ipv6Addr::from_bits(u128::from_str_radix(words.first()?, 16).ok()?);
        address.is_unicast_link_local().then(|| Some((address, (*words.last()?).to_owned())))?
    })
}

/// Link-local addresses mean nothing without their interface.
#[tokio::test]
async fn ipv6_address_may_have_a_zone() {
    if !has_ipv6() {
        return;
    }
    // The loopback interface has no link-local address, so the system is asked and says no; a zone that does not exist
    // is another error.
    let error = listen(&["[fe80::1%lo]:0"]).await.expect_err("loopback has no such address");
    assert!(error.starts_with("cannot listen on [fe80::1%lo]:0: Cannot assign requested address"), "{error}");
    let error = listen(&["[fe80::1%nowhere]:0"]).await.expect_err("there is no such interface");
    assert!(error.starts_with("cannot listen on [fe80::1%nowhere]:0: "), "{error}");
    let Some((address, interface)) = link_local_address() else { return };
    let server = listen(&[&format!("[{address}%{interface}]:0")]).await.expect("the interface has it");
    assert_eq!(server.addr().map(|addr| addr.ip()), Some(address.into()));
}

/// Scripts that give port 0 several times have to find every port.
#[tokio::test]
async fn every_bound_address_is_printed_and_logged() {
    let folder = tempfile::tempdir().expect("there is a place for it");
    let path = folder.path().join("hub.sock");
    let addr = format!("127.0.0.1:0,127.0.0.1:0,unix:{}", path.display());
    let mut command = throng(&["--addr", &addr, "--internal-addr", "127.0.0.1:0"]);
    let (process, mut log) = Process::spawn_logging(&mut command).await;
    let line = process.first_line.clone();
    let (clients, operators) = line.split_once("; for operators ").expect("operators have an address of their own");
    let ports = |text: &str| -> Vec<SocketAddr> {
        let urls = text.split("http://").skip(1).filter_map(|rest| rest.split('/').next()?.parse().ok());
        urls.collect()
    };
    assert_eq!((ports(clients).len(), ports(operators).len()), (2, 1), "{line}");
    assert!(clients.contains(&format!("unix:{} from this machine only", path.display())), "{line}");
    for addr in [ports(clients), ports(operators)].concat() {
        assert_eq!(get(addr, "/health/live").await.status, 200);
        logged(&mut log, &format!("listening on {addr} for ")).await;
        if addr == ports(clients)[1] {
            logged(&mut log, &format!("listening on unix:{} for clients from this machine only", path.display())).await;
        }
    }
}

/// What cannot work is found before anything listens, with what to do.
#[tokio::test]
async fn addresses_that_exclude_each_other_are_refused_by_check_config() {
    for addr in [":80,127.0.0.1:80", "127.0.0.1:80,127.0.0.1:80", "0.0.0.0:80,127.0.0.1:80", "unix:/x,proxy+unix:/x"] {
        let arguments = ["check-config", "--addr", addr, "--trusted-proxies", "127.0.0.1"];
        let checked = throng(&arguments).output().await.expect("the binary runs");
        let error = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.code() == Some(2) && error.contains("exclude each other; leave one out"), "{error}");
    }
    let checked = throng(&["check-config", "--addr", "0.0.0.0:80,[::]:80"]).output().await.expect("the binary runs");
    assert!(checked.status.success());
}

#[tokio::test]
async fn error_of_an_address_says_what_to_do_about_this_address() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("it is free");
    let addr = taken.local_addr().expect("it is bound").to_string();
    let (code, error) = fails(&["--addr", "127.0.0.1:0", "--internal-addr", &addr]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("choose another address with --internal-addr HOST:PORT"), "{error}");
    let (_, error) = fails(&["--addr", "unix:/nowhere/hub.sock"]).await;
    assert!(error.contains("make the folder first, or choose another path with --addr unix:PATH"), "{error}");
    let mut command = throng(&[]);
    let output = command.env("THRONG_ADDR", &addr).output().await.expect("the binary runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("(addr from THRONG_ADDR)"), "{error}");
}

async fn get_at(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).await.expect("it listens");
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("it reads");
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.expect("it answers and ends");
    answer
}

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// A typing error must not cost a file.
#[tokio::test]
async fn file_at_the_path_of_a_unix_socket_is_never_deleted() {
    let folder = tempfile::tempdir().expect("there is a place for it");
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "precious").expect("it is ours");
    let (code, error) = fails(&["--addr", &format!("unix:{}", path.display())]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("the path is taken by a file that is no socket; it is left as it is"), "{error}");
    assert!(error.contains("choose another path with --addr unix:PATH"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "precious");
}

/// nginx runs as another user, under whatever umask the unit has; the file is gone after a clean end, and only then.
#[tokio::test]
async fn unix_socket_has_its_mode_and_is_removed_at_a_clean_end() {
    let folder = tempfile::tempdir().expect("there is a place for it");
    let path = folder.path().join("hub.sock");
    let addr = format!("127.0.0.1:0,unix:{}", path.display());
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let arguments =
            ["--addr", &addr, "--unix-mode", "660", "--unix-owner", ":0", "--lb-grace=0s", "--drain-time=0s"];
        let mut command = throng(&arguments);
        if !rustix::process::geteuid().is_root() {
            command = throng(&["--addr", &addr, "--unix-mode", "660", "--lb-grace=0s", "--drain-time=0s"]);
        }
        let process = Process::spawn(&mut command).await;
        assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o660);
        assert!(get_at(&path).await.starts_with("HTTP/1.1 200"));
        process.signal(signal);
        process.ended().await;
        assert_eq!(is_socket(&path), signal == Signal::KILL, "{signal:?}");
    }
    // What the killed one left behind does not keep the next one from starting.
    let process = Process::spawn(&mut throng(&["--addr", &addr])).await;
    assert!(get_at(&path).await.starts_with("HTTP/1.1 200"));
    drop(process);
}

/// The second one says so and leaves the first one alone.
#[tokio::test]
async fn two_hubs_with_one_path_are_a_clear_error() {
    let folder = tempfile::tempdir().expect("there is a place for it");
    let path = folder.path().join("hub.sock");
    let addr = format!("127.0.0.1:0,unix:{}", path.display());
    let _first = Process::spawn(&mut throng(&["--addr", &addr])).await;
    let (code, error) = fails(&["--addr", &addr]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains(&format!("unix:{}: another process listens there", path.display())), "{error}");
    assert!(get_at(&path).await.starts_with("HTTP/1.1 200"), "the first one still serves");
}

/// Hubs that start at the same moment must not take each other's new socket for one that was left over.
#[tokio::test]
async fn of_many_hubs_that_start_at_once_exactly_one_gets_the_path() {
    let folder = tempfile::tempdir().expect("there is a place for it");
    let path = folder.path().join("hub.sock");
    let text = format!("unix:{}", path.display());
    for _ in 0..20 {
        drop(std::os::unix::net::UnixListener::bind(&path).expect("nothing is there"));
        let mut starts = Vec::new();
        for _ in 0..8 {
            let text = text.clone();
            starts.push(std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
                runtime.block_on(listen(&[&text]))
            }));
        }
        let started: Vec<_> = starts.into_iter().map(|start| start.join().expect("it does not panic")).collect();
        assert_eq!(started.iter().filter(|server| server.is_ok()).count(), 1, "{started:?}");
        assert!(is_socket(&path));
        drop(started);
        assert!(!is_socket(&path));
    }
}
