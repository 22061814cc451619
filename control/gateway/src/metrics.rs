//! What the HTTP surface counts, and `GET /metrics` in Prometheus text.
//! Labels are closed sets: route templates, methods and statuses, never ids or addresses.

use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use control_steering::Counted;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::bundles;
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::guards::Guards;

/// Upper edges of the latency buckets, seconds; the targets 0.05, 0.1 and 0.2 are edges.
const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];

pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    plays: IntCounterVec,
    steerings: IntCounter,
    reports: IntCounter,
    events: IntCounter,
    resume_late: IntCounter,
    renewed: IntCounter,
    missed: IntCounterVec,
    unasked: IntGaugeVec,
    live: IntGauge,
    decisions: IntCounterVec,
    placed: IntCounterVec,
    complaints: IntCounterVec,
    unproven: IntCounterVec,
}

impl Metrics {
    pub fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(
                Opts::new("control_requests_total", "Requests answered, by route and status."),
                &["method", "route", "status"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new("control_request_seconds", "Time to answer, by route.")
                    .buckets(SECONDS.to_vec()),
                &["method", "route"],
            )?,
            plays: IntCounterVec::new(
                Opts::new("control_plays_total", "Presses of play, by outcome."),
                &["outcome"],
            )?,
            steerings: IntCounter::new("control_steering_answers_total", "Steering manifests.")?,
            reports: IntCounter::new("control_appliance_reports_total", "Reports taken in.")?,
            events: IntCounter::new("control_play_events_total", "Player events taken in.")?,
            resume_late: IntCounter::new(
                "control_resume_skipped_total",
                "Plays that went on without their resume point because it was slow or failed.",
            )?,
            renewed: IntCounter::new(
                "control_tickets_renewed_total",
                "Fresh tickets given to plays under way.",
            )?,
            missed: IntCounterVec::new(
                Opts::new(
                    "control_dependency_missed_total",
                    "Answers that a press or a report went on without, by dependency and reason.",
                ),
                &["dependency", "why"],
            )?,
            unasked: IntGaugeVec::new(
                Opts::new(
                    "control_dependency_open",
                    "1 while nobody waits for a dependency, because it was away too often.",
                ),
                &["dependency"],
            )?,
            decisions: IntCounterVec::new(
                Opts::new(
                    "control_steering_decisions_total",
                    "Ranked lists, by why the first place is not the nearest appliance.",
                ),
                &["outcome"],
            )?,
            placed: IntCounterVec::new(
                Opts::new(
                    "control_steering_first_places_total",
                    "Ranked lists, by the rule that placed the first.",
                ),
                &["rule"],
            )?,
            complaints: IntCounterVec::new(
                Opts::new(
                    "control_steering_complaints_total",
                    "What players said of appliances: refused, or an object denied.",
                ),
                &["what"],
            )?,
            unproven: IntCounterVec::new(
                Opts::new(
                    "control_appliance_unproven_total",
                    "Calls not believed to be an appliance's, by why.",
                ),
                &["why"],
            )?,
            live: IntGauge::new("control_live_plays", "Plays heard of in the last 30 seconds.")?,
        };
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.plays.clone()))?;
        registry.register(Box::new(metrics.steerings.clone()))?;
        registry.register(Box::new(metrics.reports.clone()))?;
        registry.register(Box::new(metrics.events.clone()))?;
        registry.register(Box::new(metrics.resume_late.clone()))?;
        registry.register(Box::new(metrics.renewed.clone()))?;
        registry.register(Box::new(metrics.missed.clone()))?;
        registry.register(Box::new(metrics.unasked.clone()))?;
        registry.register(Box::new(metrics.live.clone()))?;
        registry.register(Box::new(metrics.decisions.clone()))?;
        registry.register(Box::new(metrics.placed.clone()))?;
        registry.register(Box::new(metrics.complaints.clone()))?;
        registry.register(Box::new(metrics.unproven.clone()))?;
        Ok(metrics)
    }

    pub fn observe(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let method = known_method(method);
        self.requests.with_label_values(&[method, route, status.as_str()]).inc();
        self.seconds.with_label_values(&[method, route]).observe(took.as_secs_f64());
    }

    pub fn count_play(&self, outcome: &str) {
        self.plays.with_label_values(&[outcome]).inc();
    }

    pub fn count_steering(&self) {
        self.steerings.inc();
    }

    pub fn count_report(&self) {
        self.reports.inc();
    }

    pub fn count_events(&self, count: usize) {
        self.events.inc_by(count as u64);
    }

    pub fn count_resume_skipped(&self) {
        self.resume_late.inc();
    }

    pub fn count_renewed(&self) {
        self.renewed.inc();
    }

    pub fn count_missed(&self, dependency: &str, why: &str) {
        self.missed.with_label_values(&[dependency, why]).inc();
    }

    fn follow_guards(&self, guards: &Guards) {
        for guard in guards.each() {
            self.unasked.with_label_values(&[guard.word()]).set(i64::from(guard.is_open()));
        }
    }

    pub fn set_live(&self, count: usize) {
        self.live.set(count as i64);
    }

    /// Steering counts for itself; a counter here only follows.
    pub fn follow_steering(&self, counted: &Counted) {
        let follow = |counters: &IntCounterVec, word: &str, count: u64| {
            let counter = counters.with_label_values(&[word]);
            counter.inc_by(count.saturating_sub(counter.get()));
        };
        for (word, count) in &counted.outcomes {
            follow(&self.decisions, word, *count);
        }
        follow(&self.decisions, "nobody", counted.nobody);
        follow(&self.decisions, "last_good", counted.last_good);
        for (word, count) in &counted.rules {
            follow(&self.placed, word, *count);
        }
        follow(&self.complaints, "refused", counted.refusals);
        follow(&self.complaints, "denied", counted.denials);
        for (word, count) in &counted.unproven {
            follow(&self.unproven, word, *count);
        }
    }

    fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// A caller can make up methods; a label must not grow with them.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Prometheus text.
#[utoipa::path(get, path = "/metrics", tag = "public",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(gateway): State<Gateway>) -> Result<impl IntoResponse, Refusal> {
    let live = gateway.services().telemetry.live(gateway.now());
    gateway.metrics().set_live(live.sessions.len());
    gateway.metrics().follow_steering(&gateway.services().steering.counted());
    gateway.metrics().follow_guards(gateway.guards());
    let mut text =
        gateway.metrics().text().map_err(|error| Refusal::internal(error.to_string()))?;
    let desk = gateway.services().routes.clone();
    let routes = tokio::task::spawn_blocking(move || desk.metrics_text()).await;
    text.extend(routes.map_err(|error| Refusal::internal(error.to_string()))?.into_bytes());
    text.extend(bundles::metrics_text(&gateway.services().bundles).into_bytes());
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text))
}
