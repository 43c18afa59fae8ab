//! Cut cables: every NATS server and every hub in a network namespace of its own, behind one bridge.
//!
//! Needs root, and a network namespace for the test itself, which `tests/faults` gives it: the names of namespaces are
//! those of the machine, so one test at a time.

use crate::administrator::Administrator;
use crate::scene::Scene;
use crate::server::place::Place;
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;
use tokio::time::sleep;

/// One end of each cable is in the namespace of the test, at a bridge.
pub(crate) struct Network {
    nodes: Vec<String>,
}

fn run(line: &str) {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Network {
    pub(crate) fn new() -> Self {
        run("ip link set lo up");
        run("ip link add bridge0 type bridge");
        run("ip addr add 10.99.0.254/24 dev bridge0");
        run("ip link set bridge0 up");
        Self { nodes: Vec::new() }
    }

    /// Adds a node, and returns its place.
    pub(crate) fn add(&mut self) -> Place {
        let number = self.nodes.len() + 1;
        let (node, addr) = (format!("throng{}-{number}", std::process::id()), format!("10.99.0.{number}"));
        run(&format!("ip netns add {node}"));
        run(&format!("ip link add cable{number} type veth peer name eth0 netns {node}"));
        run(&format!("ip link set cable{number} master bridge0 up"));
        run(&format!("ip -n {node} addr add {addr}/24 dev eth0"));
        run(&format!("ip -n {node} link set eth0 up"));
        run(&format!("ip -n {node} link set lo up"));
        self.nodes.push(node.clone());
        Place { namespace: Some(node), ip: addr.parse().unwrap(), clock: None }
    }

    /// Cuts two nodes from each other, in both directions; each still reaches the others.
    fn cut(&self, one: &Place, other: &Place) {
        for (node, away) in [(one, other.ip), (other, one.ip)] {
            self.route(node, "add", away);
        }
    }

    fn mend(&self, one: &Place, other: &Place) {
        for (node, away) in [(one, other.ip), (other, one.ip)] {
            self.route(node, "del", away);
        }
    }

    fn route(&self, node: &Place, verb: &str, away: IpAddr) {
        run(&format!("ip -n {} route {verb} blackhole {away}/32", node.namespace.as_ref().unwrap()));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for (index, node) in self.nodes.iter().enumerate() {
            // A namespace is there until its programs have ended; the next test has a cable of this name.
            run(&format!("ip link del cable{}", index + 1));
            run(&format!("ip netns del {node}"));
        }
        run("ip link del bridge0");
    }
}

/// Three NATS servers and three hubs, each with a cable of its own.
async fn scene() -> (Network, Scene) {
    let mut network = Network::new();
    let places: Vec<_> = (0..6).map(|_| network.add()).collect();
    let scene = Scene::start_at(&places[..3], &places[3..], 4, "").await;
    (network, scene)
}

/// Cuts the pairs of nodes for 15 s under load; NATS servers come first, then hubs.
async fn cut_for_a_while(pairs: &[(usize, usize)]) {
    let (network, mut scene) = scene().await;
    scene.publish(&[0, 1, 2], 100.0);
    sleep(Duration::from_secs(2)).await;
    let places = scene.places.clone();
    for (one, other) in pairs {
        network.cut(&places[*one], &places[*other]);
    }
    sleep(Duration::from_secs(15)).await;
    for (one, other) in pairs {
        network.mend(&places[*one], &places[*other]);
    }
    sleep(Duration::from_secs(10)).await;
    scene.judge_without_gaps().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a network namespace: tests/faults"]
async fn hub_that_is_cut_from_one_nats_server_goes_on_with_another() {
    cut_for_a_while(&[(3, 0)]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a network namespace: tests/faults"]
async fn hub_that_is_cut_from_two_of_three_nats_servers_goes_on_with_the_third() {
    cut_for_a_while(&[(3, 0), (3, 1)]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a network namespace: tests/faults"]
async fn hub_that_is_cut_from_all_catches_up() {
    cut_for_a_while(&[(3, 0), (3, 1), (3, 2)]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a network namespace: tests/faults"]
async fn nats_server_that_is_cut_from_the_others_acknowledges_nothing() {
    cut_for_a_while(&[(0, 1), (0, 2)]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a network namespace: tests/faults"]
async fn nats_servers_that_are_all_cut_from_each_other_acknowledge_nothing() {
    cut_for_a_while(&[(0, 1), (0, 2), (1, 2)]).await;
}

/// The leader with the hubs on the side of the minority.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a network namespace: tests/faults"]
async fn leader_in_the_minority_forks_nothing() {
    let (network, mut scene) = scene().await;
    scene.publish(&[0, 1, 2], 100.0);
    sleep(Duration::from_secs(2)).await;
    let administrator: Administrator = scene.administrator().await;
    let leader = administrator.leader(&scene.nats, 0).await;
    let places = scene.places.clone();
    let cut: Vec<_> = (0..6).filter(|node| *node != leader && *node != 3).collect();
    for node in &cut {
        network.cut(&places[leader], &places[*node]);
    }
    sleep(Duration::from_secs(20)).await;
    for node in &cut {
        network.mend(&places[leader], &places[*node]);
    }
    sleep(Duration::from_secs(10)).await;
    scene.judge_without_gaps().await;
}
