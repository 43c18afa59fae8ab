//! What `throng top` shows of a cluster: every hub, what is missing, and what to do, at every size.

use serde_json::{Value, json};
use throng::top::{Medium, Sample, Screen, Snapshot, printed};

fn hub(name: &str, state: &str, connections: u32, is_this: bool) -> Value {
    json!({
        "uid": "00000000000000aa", "name": name, "is_this": is_this, "state": state, "version": "0.9.1",
        "addresses": ["10.0.0.1:8080"], "connections": connections, "connections_max": 18_000, "channels": 321,
        "uptime_seconds": 7200, "heartbeat_age_seconds": 1.3, "is_late": false
    })
}

fn cluster(hubs: &[Value]) -> Value {
    json!({
        "hubs": hubs,
        "missing": [{ "uid": "00000000000000bb", "name": "hub-d", "silent_seconds": 61.0 }],
        "versions": ["0.9.0", "0.9.1"],
        "rebalance": { "connections_above_mean": 812, "command": "POST /admin/shed?count=812" },
    })
}

fn shown(cluster: Option<Value>, size: (u16, u16)) -> String {
    let page = "throng_build_info{version=\"0.9.1\"} 1\nthrong_connections{shard=\"0\"} 600\n";
    let mut screen = Screen::new("http://hub-a:8080".to_owned(), Medium::Plain);
    screen.show(Snapshot::new(None, Sample::parse(page), Ok(vec![]), Ok(vec![])).with_cluster(cluster));
    printed(&screen, size)
}

#[test]
fn every_hub_and_what_needs_attention_is_on_the_screen() {
    let hubs =
        [hub("hub-a", "serving", 1234, true), hub("hub-b", "draining", 17, false), hub("hub-c", "serving", 0, false)];
    for size in [(80, 24), (120, 40)] {
        let text = shown(Some(cluster(&hubs)), size);
        for part in ["hubs 3", "missing: hub-d", "2 versions", "POST /admin/shed?count=812", "hub-a*", "1.23k", "18.0k"]
        {
            assert!(text.contains(part), "{part} is not on {size:?}:\n{text}");
        }
        for (name, state) in [("hub-b", "draining"), ("hub-c", "serving")] {
            let row = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            assert!(row.contains(state) && row.contains("1.3s"), "{row}\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= usize::from(size.0)));
        assert_eq!(text.contains("10.0.0.1:8080"), size.0 >= 110, "a wide screen has room for addresses:\n{text}");
    }
}

/// A hub outside of a cluster looks as before.
#[test]
fn hub_alone_has_no_table_of_hubs() {
    let text = shown(None, (80, 24));
    assert!(!text.contains("hubs") && text.contains("shards"), "{text}");
}

/// A screen has room for few hubs: the asked one and those that do not serve come first.
#[test]
fn many_hubs_leave_room_for_the_rest_and_those_that_need_attention_come_first() {
    let mut hubs: Vec<_> = (0..20).map(|number| hub(&format!("hub-{number}"), "serving", 5, number == 3)).collect();
    hubs.push(hub("hub-x", "draining", 5, false));
    let text = shown(Some(cluster(&hubs)), (80, 24));
    for part in ["hubs 21", "more not shown", "hub-3*", "hub-x", "shards", "connections by", "channels by"] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}
