//! Servers of one cluster: clients are spread over them, and what is published at one arrives at the clients of all.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::server::correct_server;
use support::{raw_server, relay, run};

#[test]
fn peers_get_clients_in_turn() {
    let (server, count) = (correct_server(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    // Another address of the same server.
    let peer = raw_server(move |_, client| {
        counted.fetch_add(1, Ordering::Relaxed);
        relay(&client, server);
        true
    });
    let run = run("fanout", server, &["--clients", "59", "--rate", "50", "--peer", &format!("ws://{peer}")]);
    run.expect_pass();
    assert_eq!(count.load(Ordering::Relaxed), 30, "half of 59 clients and a publisher");
    assert!(run.stdout.contains("and 1 more"), "{}", run.output());
}
