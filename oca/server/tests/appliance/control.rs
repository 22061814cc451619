//! Control as an appliance needs it: told how we are, asked for keys, and away without harm.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use control_token::TicketSigner;
use control_types::bundle::SignedBundle;
use control_types::fleet::{ApplianceReport, ReportAnswer, TicketKeys};

use crate::kit::{PATIENCE, Setup, payload};

/// Answers reports with whatever it is told to, and hands them on; gives the steering bundle that
/// it was given.
pub struct FakeControl {
    pub at: SocketAddr,
    pub answer: Arc<Mutex<ReportAnswer>>,
    pub bundle: Arc<Mutex<Option<SignedBundle>>>,
    /// It says no word to anybody while this is set.
    pub is_away: Arc<AtomicBool>,
    /// So many reports are heard, and their connections closed without a word.
    pub breaks: Arc<AtomicUsize>,
    reports: Receiver<(ApplianceReport, String)>,
}

impl FakeControl {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let answer = ReportAnswer {
            want_content: false,
            drain: false,
            unnamed: control_types::content::HeldKeys::default(),
            ticket_keys: TicketKeys::default(),
            revoked: None,
            steering_serial: None,
        };
        let answer = Arc::new(Mutex::new(answer));
        let (tell, reports) = channel();
        let bundle = Arc::new(Mutex::new(None));
        let is_away = Arc::new(AtomicBool::new(false));
        let breaks = Arc::new(AtomicUsize::new(0));
        let shared = Shared {
            answer: Arc::clone(&answer),
            bundle: Arc::clone(&bundle),
            is_away: Arc::clone(&is_away),
            breaks: Arc::clone(&breaks),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tell, shared) = (tell.clone(), shared.clone());
                std::thread::spawn(move || serve(stream, &tell, &shared));
            }
        });
        Self { at, answer, bundle, is_away, breaks, reports }
    }

    /// The next report that `is_it`.
    pub fn report(&self, what: &str, is_it: impl Fn(&ApplianceReport) -> bool) -> ApplianceReport {
        loop {
            let (report, key) = self.reports.recv_timeout(PATIENCE).expect(what);
            assert_eq!(key, "Bearer nfa_secret");
            if is_it(&report) {
                return report;
            }
        }
    }
}

#[derive(Clone)]
struct Shared {
    answer: Arc<Mutex<ReportAnswer>>,
    bundle: Arc<Mutex<Option<SignedBundle>>>,
    is_away: Arc<AtomicBool>,
    breaks: Arc<AtomicUsize>,
}

fn serve(stream: std::net::TcpStream, tell: &Sender<(ApplianceReport, String)>, shared: &Shared) {
    let Shared { answer, bundle, is_away, breaks } = shared;
    let mut out = stream.try_clone().unwrap();
    let mut input = BufReader::new(stream);
    loop {
        let (mut length, mut key, mut is_report) = (0, String::new(), false);
        loop {
            let mut line = String::new();
            if input.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            is_report |= line.starts_with("POST ");
            if let Some((name, value)) = line.split_once(": ") {
                match name.to_lowercase().as_str() {
                    "content-length" => length = value.parse().unwrap(),
                    "authorization" => key = value.to_owned(),
                    _ => {}
                }
            }
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body).unwrap();
        if is_away.load(Ordering::Relaxed) {
            return;
        }
        let body = if is_report {
            let _ = tell.send((serde_json::from_slice(&body).unwrap(), key));
            let one_less = |left: usize| left.checked_sub(1);
            if breaks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
                return;
            }
            serde_json::to_string(&*answer.lock().unwrap()).unwrap()
        } else {
            serde_json::to_string(&*bundle.lock().unwrap()).unwrap()
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if out.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

pub fn setup(control: SocketAddr) -> Setup {
    let text =
        format!("url = \"http://{control}\"\nkey_file = \"appliance.key\"\nreport_ms = 100\n");
    let setup = Setup::new().section("control", &text).section("tickets", "required = true\n");
    std::fs::write(setup.path("appliance.key"), "nfa_secret\n").unwrap();
    setup
}

#[test]
fn control_learns_what_we_hold_and_teaches_keys_that_survive_it() {
    let control = FakeControl::start();
    let setup = setup(control.at);
    let object = setup.publish(0, "night", &payload(3000, 31));
    let ticket = setup.play("night");
    let mut appliance = setup.start();
    let path = format!("/t/{ticket}/v/night/{object}");
    let first = control.report("a first report", |_| true);
    assert_eq!(first.appliance.as_str(), "edge-a1");
    assert_eq!(first.media_url, format!("http://{}", appliance.media));
    assert!(first.more.held.is_none() && !first.draining && first.volumes[0].healthy);
    assert_eq!(appliance.get(&path).text(), "ticket_forged", "no keys yet");
    {
        let mut answer = control.answer.lock().unwrap();
        answer.want_content = true;
        answer.ticket_keys.keys.push(appliance.setup.signer.verification_key());
    }
    let full = control.report("the content", |report| report.more.held.is_some());
    let held = full.more.held.unwrap();
    let key = control_types::content::held_key(&object, control_types::fleet::DiskClass::Ssd);
    assert_eq!((held.added.as_slice(), held.objects, held.bytes), (&[key][..], 1, 3000));
    assert_eq!(full.content_digest, first.content_digest);
    assert!(full.sequence > first.sequence && full.run == first.run);
    control.answer.lock().unwrap().want_content = false;
    crate::kit::eventually("the keys are in use", || appliance.get(&path).status == 200);
    control.report("bytes are counted", |report| report.sent_bytes_total >= 3000);
    control.answer.lock().unwrap().drain = true;
    control.report("it says that it drains", |report| report.draining);
    assert_eq!(appliance.get(&path).status, 200, "asked to drain, it serves on");
    control.answer.lock().unwrap().drain = false;
    control.report("and that it is back", |report| !report.draining);
    appliance.terminate();
    control.report("the goodbye", |report| report.draining);
    assert!(appliance.ended().success());
    let stored = std::fs::read(appliance.setup.path("state/ticket-keys.json")).unwrap();
    let stored: TicketKeys = serde_json::from_slice(&stored).unwrap();
    assert_eq!(stored.keys, vec![appliance.setup.signer.verification_key()]);
}

#[test]
fn without_control_the_stored_keys_open_and_other_keys_do_not() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let setup = setup(nobody);
    let object = setup.publish(0, "night", &payload(3000, 32));
    let keys = TicketKeys { keys: vec![setup.signer.verification_key()] };
    std::fs::create_dir(setup.path("state")).unwrap();
    let stored = serde_json::to_vec(&keys).unwrap();
    std::fs::write(setup.path("state/ticket-keys.json"), stored).unwrap();
    let ticket = setup.play("night");
    let appliance = setup.start();
    crate::kit::eventually("control is found to be away", || {
        appliance.metric("nightfill_oca_reports_failed_total", "") >= 2.0
    });
    assert_eq!(appliance.get(&format!("/t/{ticket}/v/night/{object}")).status, 200);
    let stranger = TicketSigner::generate().unwrap();
    let now = crate::kit::wall();
    let claims = control_token::Claims::fill(now, crate::kit::hour_after(now));
    let forged = stranger.sign(&claims).unwrap();
    assert_eq!(appliance.get(&format!("/t/{forged}/o/{object}")).status, 403);
}

#[test]
fn a_report_whose_connection_breaks_goes_again_at_once_as_the_next_one() {
    let control = FakeControl::start();
    let appliance = setup(control.at).start();
    control.report("the first report", |_| true);
    let taken = || appliance.metric("nightfill_oca_reports_total", "");
    crate::kit::eventually("a report is answered", || taken() >= 1.0);
    control.breaks.store(1, Ordering::Relaxed);
    crate::kit::eventually("one breaks", || control.breaks.load(Ordering::Relaxed) == 0);
    let after = taken() + 3.0;
    crate::kit::eventually("reports go on", || taken() >= after);
    assert_eq!(appliance.metric("nightfill_oca_reports_failed_total", ""), 0.0);
    let mut before = control.report("a report", |_| true);
    for _ in 0..3 {
        let next = control.report("a report", |_| true);
        assert_eq!((next.run, next.sequence), (before.run, before.sequence + 1), "none twice");
        before = next;
    }
}
