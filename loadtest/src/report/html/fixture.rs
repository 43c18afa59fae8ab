//! Invented runs, as pages have to show them: with noise, gaps, faults, and markup in the texts of a server.

use crate::config::{Axis, Config, Load, RampLoad, Scenario};
use crate::measure::histogram::{Histogram, Summary};
use crate::measure::{CloseCount, Counts, Memory, Refusal};
use crate::observe::host::Environment;
use crate::report::Report;
use crate::report::verdict::Verdict;
use crate::results::{
    Accounting, Connections, Findings, GeneratorUse, Idle, Phase, Ramp, Round, Sample, ServerUse, Slow, Step, Storm,
};
use crate::wire::protocol::Protocol;
use crate::wire::target::Target;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// The same numbers on every run: xorshift, 0 to 1.
pub(super) struct Noise(u64);

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(super) fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Around `value`, give or take a share of it.
    fn near(&mut self, value: f64, share: f64) -> f64 {
        value * (1.0 + share * (self.next() * 2.0 - 1.0))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates; fixtures are positive")]
fn whole(value: f64) -> u64 {
    value as u64
}

/// Returns a distribution with a body around `typical_us` and a tail of a few percent.
fn latency(noise: &mut Noise, typical_us: f64, count: u32) -> Summary {
    let mut latency = Histogram::new();
    for _ in 0..count {
        let body = typical_us * (0.5 + noise.next() + noise.next());
        let tail = if noise.next() > 0.98 { 1.0 + 3.0 * -noise.next().max(1e-6).ln() } else { 1.0 };
        latency.record(whole(body * tail * 1e3));
    }
    latency.summary()
}

fn load(scenario: Scenario) -> Load {
    let rate = 100.0;
    match scenario {
        Scenario::Idle => Load::Idle { clients_low: 2_000 },
        Scenario::Slow => Load::Slow { rate, stalled: 100 },
        Scenario::Storm => Load::Storm { rate, jitter: Duration::from_secs(5) },
        Scenario::Ramp => Load::Ramp(RampLoad {
            axis: Axis::Clients,
            from: 1000.0,
            step: 1000.0,
            steps_max: 20,
            p99_max: Duration::from_millis(50),
            rate,
        }),
        Scenario::Soak => Load::Soak { rate },
        _ => Load::Fanout { rate },
    }
}

fn config(scenario: Scenario) -> Config {
    Config {
        load: load(scenario),
        url: Target::parse("ws://127.0.0.1:8080/ws?channel=lobby").unwrap(),
        peers: Vec::new(),
        protocol: Protocol::Plain,
        api: None,
        channel: String::new(),
        clients: 10_000,
        size: 128,
        validators: 4,
        duration: Duration::from_secs(60),
        warmup: Duration::from_secs(10),
        drain: Duration::from_secs(5),
        connect_rate: 2000.0,
        source_addresses: 1,
        processes: 1,
        seed: 7,
        generator_waiting_max: 0.1,
        server_pid: Some(4242),
        server_metrics: None,
        server_syscalls: false,
        asserts: vec!["p99<50ms".to_owned(), "lost=0".to_owned()],
        json: None,
        html: None,
        quiet: false,
    }
}

fn environment(commit: &str) -> Environment {
    let settings = [
        ("net.core.somaxconn", "4096"),
        ("net.ipv4.ip_local_port_range", "1024 65535"),
        ("net.ipv4.tcp_rmem", "4096 131072 6291456"),
        ("nofile", "1048576"),
    ];
    Environment {
        cpu: "AMD EPYC 7B13".to_owned(),
        kernel: "6.8.0-45-generic".to_owned(),
        cores: 2,
        cores_allowed: 1,
        command:
            "loadtest fanout --clients 10000 --rate 100 --size 128 --duration 60s --server-pid 4242 --html run.html"
                .to_owned(),
        commit: Some(commit.to_owned()),
        unix_time_s: 1_767_225_600,
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    }
}

fn phase(noise: &mut Noise, name: &str, typical_us: f64, deliveries_per_second: f64) -> Phase {
    let deliveries = whole(deliveries_per_second * 60.0);
    Phase {
        name: name.to_owned(),
        seconds: 60.0,
        sent: deliveries / 10_000,
        sent_per_second: deliveries_per_second / 10_000.0,
        deliveries,
        deliveries_per_second,
        latency: latency(noise, typical_us, 200_000),
        first: Some(latency(noise, typical_us / 12.0, 6_000)),
        last: Some(latency(noise, typical_us * 2.0, 6_000)),
        lateness: latency(noise, 9.0, 6_000),
        generator: GeneratorUse { cpu_share: noise.near(0.55, 0.1), waiting_share: 0.004, cpu_us_per_delivery: 0.21 },
        server: Some(ServerUse {
            cpu_share: noise.near(0.83, 0.1),
            cpu_us_per_delivery: noise.near(0.62, 0.2),
            user_share: Some(0.18),
            switches_per_delivery: Some(0.001),
        }),
        memory_before: memory(180 * MIB),
        memory_after: memory(184 * MIB),
        server_rss_peak: 191 * MIB,
        kernel_tcp_peak: 38 * MIB,
        stolen_share: 0.002,
        sends_per_delivery: Some(1.0),
        syscalls_per_delivery: None,
        api: None,
    }
}

const fn memory(server_rss: u64) -> Memory {
    Memory { server_rss, server_pss: server_rss - MIB, kernel_tcp: 30 * MIB, kernel_slab: 220 * MIB }
}

/// Stages with a length in seconds each; latency is absent while nothing is delivered.
fn timeline(noise: &mut Noise, stages: &[(&str, u32, f64)]) -> Vec<Sample> {
    let mut timeline: Vec<Sample> = Vec::new();
    for (stage, seconds, typical_us) in stages {
        for second in 0..*seconds {
            let is_quiet = *typical_us == 0.0;
            let spike = if noise.next() > 0.96 { 6.0 } else { 1.0 };
            let mut us = |times: f64, share: f64| (!is_quiet).then(|| whole(noise.near(typical_us * times, share)));
            let (p50_us, p99_us, max_us) = (us(1.0, 0.1), us(2.4 * spike, 0.3), us(5.0 * spike, 0.5));
            let share = f64::from(second + 1) / f64::from(*seconds);
            let at = timeline.len();
            timeline.push(Sample {
                at_s: at as f64 + 1.0,
                stage: (*stage).to_owned(),
                connected: if *stage == "connect" { whole(share * 10_001.0) } else { 10_001 },
                sent_per_second: if is_quiet { 0.0 } else { noise.near(100.0, 0.01) },
                deliveries_per_second: if is_quiet { 0.0 } else { noise.near(1e6, 0.03) },
                p50_us,
                p99_us,
                max_us,
                lost: 0,
                server_cpu_share: Some(if is_quiet { noise.near(0.3, 0.3) } else { noise.near(0.85, 0.05) }),
                server_rss: Some(
                    whole(noise.near(if *stage == "connect" { share * 180.0 } else { 184.0 }, 0.01)) * MIB,
                ),
                server_descriptors: Some(10_032),
                kernel_tcp: whole(noise.near(30.0, 0.3)) * MIB,
                generator_cpu_share: if is_quiet { 0.12 } else { noise.near(0.55, 0.1) },
            });
        }
    }
    timeline
}

fn report(scenario: Scenario, line: &str, exit_code: u8, results: Findings) -> Report {
    let verdict = Verdict { line: line.to_owned(), exit_code, notes: Vec::new() };
    Report::new(verdict, config(scenario), environment("3f2c1ab"), results)
}

fn findings(phases: Vec<Phase>, timeline: Vec<Sample>) -> Findings {
    let verified = phases.iter().map(|phase| phase.deliveries).sum();
    let counts = Counts { verified, ..Counts::default() };
    Findings {
        connections: Connections {
            opened: 10_001,
            timed: 10_001,
            seconds: 5.1,
            handshake: latency(&mut Noise::new(3), 640.0, 10_001),
            server_cpu_us_per_connection: Some(41.3),
        },
        accounting: Accounting { expected: verified, counts, validated: 24_000, ..Accounting::default() },
        phases,
        timeline,
        ..Findings::default()
    }
}

/// One publisher, all clients receive, nothing fails. `speed` 1 is a fast server.
pub(super) fn fanout(seed: u64, speed: f64) -> Report {
    let mut noise = Noise::new(seed);
    let typical_us = 4_800.0 / speed;
    let stages = [("connect", 5, 0.0), ("warm-up", 10, typical_us), ("measure", 60, typical_us), ("drain", 2, 0.0)];
    let phases = vec![phase(&mut noise, "measure", typical_us, 1e6 * speed.min(1.0))];
    let timeline = timeline(&mut noise, &stages);
    report(Scenario::Fanout, "PASS", 0, findings(phases, timeline))
}

/// Everything that a server can do wrong, said in markup.
pub(super) fn hostile() -> Report {
    let mut report = fanout(5, 0.7);
    let script = "<script>alert(1)</script>";
    let results = &mut report.results;
    results.accounting.counts.lost = 3_117;
    results.accounting.counts.corrupt = 1;
    results.accounting.first_unexpected = Some(format!("{script}\u{1b}[31m &amp; \"quoted\""));
    results.closes = vec![
        CloseCount { code: 3008, reason: format!("slow {script}"), count: 12 },
        CloseCount { code: 1006, reason: String::new(), count: 1 },
    ];
    results.refusals = vec![Refusal { why: format!("503 </td>{script}"), count: 44 }];
    results.phases[0].name = format!("</title>{script}");
    results.timeline.iter_mut().filter(|sample| sample.stage == "measure").for_each(|sample| {
        sample.stage = format!("</title>{script}");
    });
    report.environment.command = format!("loadtest '{script}' --hello </style>");
    report.environment.settings.insert(format!("nofile{script}"), script.to_owned());
    report.config.asserts.push(format!("{script}<1"));
    report.verdict = Verdict {
        line: format!("FAIL: 3,117 lost, 1 corrupt, 12 closed with 3008 (slow {script}), 1 closed with 1006"),
        exit_code: 1,
        notes: vec![
            format!("the first line that was no record began with: {script}"),
            "measure: 4.1 % of the time was stolen by the hypervisor: repeat it".to_owned(),
        ],
    };
    report
}

/// Clients are added until latency breaks the limit.
pub(super) fn ramp(seed: u64, speed: f64) -> Report {
    let mut noise = Noise::new(seed);
    let (mut steps, mut phases, mut timeline_of) = (Vec::new(), Vec::new(), Vec::new());
    let names: Vec<String> = (1..=16).map(|number| format!("{number},000 clients")).collect();
    for (number, name) in (1_u32..).zip(&names) {
        let load = f64::from(number) / (14.0 * speed);
        let typical_us = 400.0 + 250.0 * f64::from(number) + if load > 0.9 { 9e5 * (load - 0.9) } else { 0.0 };
        let phase =
            Phase { latency: latency(&mut noise, typical_us, 20_000), ..phase(&mut noise, name, typical_us, 1e5) };
        steps.push(Step {
            clients: usize::try_from(number).unwrap() * 1000,
            rate: 100.0,
            deliveries_per_second: f64::from(number) * 1e5 * if load > 1.0 { 1.0 / load } else { 1.0 },
            p50_us: phase.latency.p50_us,
            p99_us: phase.latency.p99_us,
            max_us: phase.latency.max_us,
            server_cpu_share: Some(load.min(0.995)),
            server_rss: u64::from(number) * 18 * MIB,
            generator_cpu_share: 0.05 * f64::from(number).min(13.0),
            is_within: phase.latency.p99_us < 50_000,
        });
        let is_over = !steps.last().unwrap().is_within;
        phases.push(phase);
        timeline_of.push((name.as_str(), 10, typical_us));
        if is_over {
            break;
        }
    }
    let timeline = timeline(&mut noise, &[&[("connect", 2, 0.0)], timeline_of.as_slice()].concat());
    let knee = steps.iter().rposition(|step| step.is_within);
    let end = "p99 was over the limit".to_owned();
    let ramp =
        Ramp { axis: Axis::Clients, p99_max_us: 50_000, steps, knee, held: knee, is_generator_bound: false, end };
    report(Scenario::Ramp, "PASS", 0, Findings { ramp: Some(ramp), ..findings(phases, timeline) })
}

/// Two cuts; in the second, clients take their time.
pub(super) fn storm(seed: u64, speed: f64) -> Report {
    let mut noise = Noise::new(seed);
    let mut round = |jitter_s: f64, typical_s: f64| {
        let mut returns = Histogram::new();
        for _ in 0..9_990 {
            returns.record(whole((typical_s * noise.next().sqrt() / speed + jitter_s * noise.next()) * 1e9));
        }
        Round {
            jitter_s,
            back_99_s: Some((typical_s / speed + jitter_s) * 0.98),
            back_100_s: (jitter_s > 0.0).then_some(typical_s / speed + jitter_s),
            back: if jitter_s > 0.0 { 10_000 } else { 9_990 },
            clients: 10_000,
            returns: returns.summary(),
            attempts: if jitter_s > 0.0 { 10_000 } else { 13_412 },
            server_cpu_us_per_connection: Some(52.8),
            server_rss_peak: 240 * MIB,
            generator_waiting_share: 0.02,
        }
    };
    let storm = Storm { rounds: vec![round(0.0, 3.1), round(5.0, 0.4)] };
    let stages = [("connect", 5, 0.0), ("cut", 1, 0.0), ("return", 6, 0.0), ("settle", 5, 0.0), ("return", 7, 0.0)];
    let mut timeline = timeline(&mut Noise::new(seed), &stages);
    for (at, sample) in timeline.iter_mut().enumerate().filter(|(at, _)| (6..11).contains(at)) {
        sample.connected = 2_000 * (at as u64 - 5);
    }
    let results = Findings {
        storm: Some(storm),
        refusals: vec![Refusal { why: "503 Service Unavailable".to_owned(), count: 3_412 }],
        ..findings(Vec::new(), timeline)
    };
    report(Scenario::Storm, "FAIL: 10 clients were not back in 30 s", 1, results)
}

/// Some stop reading; the others must not notice.
pub(super) fn slow() -> Report {
    let mut noise = Noise::new(11);
    let stages =
        [("connect", 5, 0.0), ("warm-up", 10, 4e3), ("calm", 30, 4e3), ("stalled", 30, 5e3), ("drain", 3, 0.0)];
    let phases = vec![phase(&mut noise, "calm", 4e3, 1e6), phase(&mut noise, "stalled", 5e3, 0.99e6)];
    let slow = Slow {
        stalled: 100,
        ended: 100,
        ended_after_seconds: (0..100).map(|number| 2.5 + f64::from(number) / 50.0).collect(),
        closes: vec![CloseCount { code: 3008, reason: "slow consumer".to_owned(), count: 100 }],
        p50_ratio: 1.04,
        p99_ratio: 1.31,
        server_rss_per_stalled: 1_431.0,
        kernel_tcp_per_stalled: 271_000.0,
    };
    let timeline = timeline(&mut noise, &stages);
    report(Scenario::Slow, "PASS", 0, Findings { slow: Some(slow), ..findings(phases, timeline) })
}

/// Nothing happens, to many.
pub(super) fn idle() -> Report {
    let idle = Idle {
        connections_low: 2_000,
        connections_high: 10_000,
        memory_low: memory(24 * MIB),
        memory_high: memory(41 * MIB),
        server_rss_per_connection: 2_228.2,
        server_pss_per_connection: 2_201.0,
        kernel_slab_per_connection: 9_410.0,
        generator_rss_per_connection: 310.0,
        held_seconds: 60.0,
        server_cpu_share: 0.004,
        server_rss_at_end: 41 * MIB,
    };
    let timeline = timeline(&mut Noise::new(2), &[("connect", 8, 0.0), ("hold", 60, 0.0)]);
    let results = Findings { idle: Some(idle), ..findings(Vec::new(), timeline) };
    let mut report = report(Scenario::Idle, "INVALID: generator-bound (CPU 93 %)", 4, results);
    report.verdict.notes.push("other work on this machine counts in the kernel's figures".to_owned());
    report
}

/// `hours` of a steady load.
pub(super) fn soak(seed: u64, hours: u32) -> Report {
    let mut noise = Noise::new(seed);
    let phases = vec![phase(&mut noise, "measure", 4_800.0, 1e6)];
    let stages = [("connect", 5, 0.0), ("warm-up", 10, 4_800.0), ("measure", hours * 3600, 4_800.0), ("drain", 2, 0.0)];
    let timeline = timeline(&mut noise, &stages);
    report(Scenario::Soak, "PASS", 0, findings(phases, timeline))
}
