//! Goal: traces are read as they are written and refused where they are wrong; a replay adds up, is
//! the same twice, stays under its bound and under its percentile. Method: small seeded traces.

// A panic is the report.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;
use std::convert::Infallible;

use fill_simulate::{
    BoxSetting, Generator, MemoryKeeps, Policy, PolicyReport, Region, Setting, SimulateError,
    SiteSetting, Trace, Unit, WindowSetting, generate, simulate,
};

const GB: u64 = 1_000_000_000;

fn small(seed: u64, sites: &[&str]) -> Trace {
    of_titles(60, seed, sites)
}

fn of_titles(titles: u32, seed: u64, sites: &[&str]) -> Trace {
    let regions = sites.iter().map(|site| Region { site: (*site).to_owned(), peak_bps: 0.3e9 });
    let generator = Generator {
        seed,
        days: 20,
        titles,
        launches_a_week: 2,
        regions: regions.collect(),
        ..Generator::default()
    };
    generate(&generator, |_| {}).unwrap()
}

fn setting(sites: &[&str], boxes: u32) -> Setting {
    let one = |at: u32| BoxSetting {
        name: format!("box-{at}"),
        ram_bytes: 2 * GB,
        ssd_bytes: 20 * GB,
        hdd_bytes: 60 * GB,
        hdds: 2,
    };
    let site = |name: &&str| SiteSetting {
        site: (*name).to_owned(),
        isp: "one".to_owned(),
        boxes: (0..boxes).map(one).collect(),
    };
    Setting {
        sites: sites.iter().map(site).collect(),
        window: WindowSetting { start_minute: 120, length_minutes: 360, rate_bps_max: GB },
        warm_up_days: 10,
        percentile: 0.95,
        spare_percentile: true,
        outage: 0.0,
        seed: 5,
        memory: MemoryKeeps::default(),
        unit: Unit::default(),
        knobs: fill_plan::Knobs::default(),
        forecast: fill_plan::forecast::Tuning::default(),
    }
}

fn replayed(trace: &Trace, setting: &Setting, policy: Policy) -> PolicyReport {
    simulate(trace, setting, policy, |_| {}).unwrap()
}

fn read(text: &str) -> Result<Trace, SimulateError> {
    Trace::read(text.lines().map(|line| Ok(Cow::Borrowed(line))), |_| {})
}

fn written(trace: &Trace) -> String {
    let mut text = String::new();
    let done: Result<(), Infallible> = trace.write(|piece| {
        text.push_str(piece);
        Ok(())
    });
    done.unwrap();
    text
}

#[test]
fn a_trace_is_read_back_as_it_was_written() {
    let trace = small(3, &["here", "there"]);
    let again = read(&written(&trace)).unwrap();
    assert_eq!(again.plays.len(), trace.plays.len());
    assert_eq!(written(&again), written(&trace));
    assert_eq!(small(3, &["here", "there"]), trace, "same seed, same trace");
    assert_ne!(written(&small(4, &["here", "there"])), written(&trace));
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let head = "{\"trace\":1}\n{\"title\":\"t\",\"genre\":\"g\",\"published_day\":0}\n\
                {\"object\":\"o\",\"title\":\"t\",\"height\":1080,\"bytes\":100}\n";
    let play = |more: &str| format!("{{\"play\":9,\"site\":\"s\",\"object\":\"o\",{more}}}");
    assert_eq!(
        read(&format!("{head}{}", play("\"seconds\":5,\"bytes\":7"))).unwrap().plays.len(),
        1
    );
    let wrong = [
        (String::new(), "line 1: an empty trace"),
        ("{\"trace\":2}".to_owned(), "version 2"),
        ("hello".to_owned(), "{\"trace\":1}"),
        (
            format!("{head}{}", play("\"seconds\":5,\"bytes\":7,\"colour\":1")),
            "line 4: unknown field",
        ),
        (format!("{head}{}", play("\"seconds\":5,\"bytes\":101")), "101 bytes of an object of 100"),
        (format!("{head}{}", play("\"seconds\":0,\"bytes\":7")), "a play of 0 s"),
        (format!("{head}{}", play("\"bytes\":7")), "missing field"),
        (format!("{head}{}", head.lines().nth(1).unwrap()), "line 4: title \"t\" is there already"),
        // One line is named, the file's: what reads a line takes it for the first.
        (format!("{head}{{\"play\":9,"), "line 4: EOF while parsing a value at column 10: "),
        (format!("{head}{{\"site\":\"s\"}}"), "line 4: begin the line with"),
        (
            format!(
                "{head}{}\n{}",
                play("\"seconds\":5,\"bytes\":7"),
                play("\"seconds\":5,\"bytes\":7").replace(":9", ":8")
            ),
            "line 5: second 8 is before",
        ),
    ];
    for (text, why) in wrong {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains(why), "{why:?} is not in {error:?}");
    }
}

#[test]
fn rungs_apart_serve_more_from_the_same_disks_than_whole_titles() {
    let offload = |unit| -> f64 {
        let of_seed = |seed| {
            let mut set = setting(&["here"], 1);
            // Room is what they compete for, and not what a fetch costs.
            (set.unit, set.knobs.break_even, set.spare_percentile) = (unit, 0.0, false);
            for one in &mut set.sites[0].boxes {
                (one.ssd_bytes, one.hdd_bytes) = (5 * one.ssd_bytes, 5 * one.hdd_bytes);
            }
            // Sixty titles would be a matter of luck.
            replayed(&of_titles(300, seed, &["here"]), &set, Policy::Nightfill).offload
        };
        (1..=4).map(of_seed).sum()
    };
    let (apart, whole) = (offload(Unit::Files), offload(Unit::Titles));
    assert!(apart > 1.02 * whole, "{apart} apart, {whole} whole");
}

#[test]
fn a_setting_is_refused_whole() {
    let mut wrong = setting(&["here", "here"], 1);
    wrong.window.start_minute = 121;
    wrong.sites[0].boxes.clear();
    wrong.knobs.sticky = 0.0;
    let text = serde_json::to_string(&wrong).unwrap();
    let error = Setting::read(&text).unwrap_err().to_string();
    for word in ["start_minute", "twice", "0 boxes", "sticky"] {
        assert!(error.contains(word), "{word} is not in {error}");
    }
    let extra = text.replacen("\"sites\"", "\"colour\":1,\"sites\"", 1);
    assert!(Setting::read(&extra).unwrap_err().to_string().contains("colour"));
    let trace = small(1, &["nowhere"]);
    let error = simulate(&trace, &setting(&["here"], 1), Policy::Lru, |_| {}).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn what_would_end_a_replay_half_way_is_refused_before() {
    let refused = |change: &dyn Fn(&mut Setting)| {
        let mut wrong = setting(&["here"], 1);
        change(&mut wrong);
        wrong.check().unwrap_err().to_string()
    };
    // Each of these panicked in the middle, or was counted wrongly.
    let error = refused(&|set| (set.forecast.drift, set.forecast.play_share) = (-5.0, 0.0));
    assert!(error.contains("forecast.drift") && error.contains("forecast.play_share"), "{error}");
    let error = refused(&|set| set.forecast.launch_plays = 0.0);
    assert!(error.contains("forecast.launch_plays"), "{error}");
    let error = refused(&|set| set.sites[0].boxes[0].hdd_bytes = u64::MAX);
    assert!(error.contains("16 PiB"), "{error}");
    let error = refused(&|set| set.sites = vec![set.sites[0].clone(); 1_001]);
    assert!(error.contains("1001 sites"), "{error}");
}

#[test]
fn a_replay_too_big_for_memory_says_so() {
    let trace = small(1, &["here"]);
    let names: Vec<String> = (0..1_000).map(|at| format!("site-{at}")).collect();
    let object = trace.objects[0].clone();
    let big = Trace { objects: vec![object; 200_000], sites: names.clone(), ..trace.clone() };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for policy in [Policy::Nightfill, Policy::Foresight, Policy::Optimum] {
        let error = simulate(&big, &setting(&names, 1), policy, |_| {}).unwrap_err().to_string();
        assert!(error.contains("GiB of memory") && error.contains("1000 sites"), "{error}");
    }
}

#[test]
fn every_policy_adds_up_and_nobody_of_the_night_beats_the_bound() {
    for seed in 1..4 {
        let trace = small(seed, &["here"]);
        let setting = setting(&["here"], 2);
        let all = Policy::ALL.map(|policy| replayed(&trace, &setting, policy));
        let bound = all[5].offload;
        for report in &all {
            let who = format!("{} of seed {seed}", report.policy);
            let close = |a: u64, b: u64| (a as f64 / b as f64 - 1.0).abs() < 1e-3;
            assert!(close(report.asked_bytes, all[0].asked_bytes), "{who}");
            assert!((0.05..1.0).contains(&report.offload), "{who}: {}", report.offload);
        }
        for report in &all[..2] {
            let tiers = report.tiers;
            let sum = tiers.ram + tiers.ssd + tiers.hdd + tiers.isp;
            assert!((sum - 1.0).abs() < 1e-6, "seed {seed}: {tiers:?}");
            assert!(report.offload <= bound, "seed {seed}: {} over {bound}", report.offload);
            let missed = (report.asked_bytes as f64) * (1.0 - report.offload);
            let border = missed + report.fill_border_bytes as f64;
            assert!((border / report.border_bytes as f64 - 1.0).abs() < 1e-6);
        }
        assert!(all[1].offload >= all[0].offload - 0.02, "foresight is no worse, seed {seed}");
        assert_eq!(replayed(&trace, &setting, Policy::Nightfill), all[0], "the same twice");
    }
}

#[test]
fn the_percentile_is_spared_and_would_not_be_without_the_rule() {
    let trace = small(2, &["here"]);
    let mut set = setting(&["here"], 1);
    let spared = replayed(&trace, &set, Policy::Nightfill);
    assert!(spared.fill_border_bytes > 0);
    assert!(spared.billed_ratio_max <= 1.0, "{}", spared.billed_ratio_max);
    // Fill in the evening, as fast as it goes, is what the rule is for.
    set.spare_percentile = false;
    set.window.start_minute = 19 * 60;
    let careless = replayed(&trace, &set, Policy::Nightfill);
    assert!(careless.billed_ratio_max > 1.0, "{}", careless.billed_ratio_max);
}

#[test]
fn sites_of_an_isp_share_each_byte_and_outages_cost_little() {
    let trace = small(6, &["here", "there"]);
    let mut set = setting(&["here", "there"], 3);
    let calm = replayed(&trace, &set, Policy::Nightfill);
    assert!(calm.fill_border_per_unique <= 1.02, "{}", calm.fill_border_per_unique);
    assert!(calm.fill_local_bytes > calm.fill_border_bytes / 2);
    set.outage = 0.05;
    let rough = replayed(&trace, &set, Policy::Nightfill);
    assert!(rough.offload > 0.9 * calm.offload, "{} and {}", rough.offload, calm.offload);
}
