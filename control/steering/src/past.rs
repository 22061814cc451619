//! A decision of the log, explained as if it were made now. Knows only what the record says.

use std::net::IpAddr;

use control_types::fleet::SteerExplanation;
use control_types::steering::{SteerAsk, SteerRecord};
use control_types::{TitleId, UnixMillis};
use ipnet::IpNet;

use crate::error::SteeringError;
use crate::recorder::unpacked;
use crate::replay::ranked_again;
use crate::service::Steering;
use crate::words::{candidate, outcome_word};

impl Steering {
    /// Whether a recorded question is one of `title` from a member that was in the same announced
    /// prefix, or, without one, in the same network.
    #[must_use]
    pub fn is_like(ask: &SteerAsk, ip: IpAddr, title: &TitleId) -> bool {
        let ip = ip.to_canonical();
        let holds = |text: &String| text.parse::<IpNet>().is_ok_and(|net| net.contains(&ip));
        let network = || {
            let bits = if ip.is_ipv4() { 24 } else { 48 };
            let net = ask.net.parse::<IpAddr>().ok()?;
            IpNet::new(net, bits).ok().map(|net| net.contains(&ip))
        };
        ask.title == *title && ask.prefix.as_ref().map_or_else(|| network().unwrap_or(false), holds)
    }

    /// Decides a recorded question again and explains it.
    ///
    /// # Errors
    /// `BadRecord` when it is not of the log's form.
    pub fn explain_recorded(
        &self,
        record: &SteerRecord,
        ask: &SteerAsk,
        ip: IpAddr,
    ) -> Result<SteerExplanation, SteeringError> {
        let mut verdicts = unpacked(record, ask).ok_or_else(|| SteeringError::BadRecord {
            why: format!("the record at {} is of another version", record.at.0),
        })?;
        let ranking = ranked_again(record, ask, &mut verdicts, &self.settings.policy);
        let fleet = self.fleet();
        let lines = verdicts.iter().filter_map(|verdict| {
            let id = record.ids.get(verdict.standing.place as usize)?.clone();
            // Where it stands today; an appliance that was removed meanwhile stands nowhere.
            let registered = fleet.registry.appliances.get(&id);
            let site = registered.map(|one| one.record.site.clone());
            let site = site.or_else(|| "removed".parse().ok())?;
            Some(candidate(id, site, verdict, ranking.last_good))
        });
        Ok(SteerExplanation {
            ip: ip.to_string(),
            title: ask.title.to_string(),
            matched_prefix: ask.prefix.clone(),
            outcome: outcome_word(ranking.outcome).to_owned(),
            decided_at: Some(UnixMillis(record.at.0 + u64::from(ask.after_ms))),
            candidates: lines.collect(),
        })
    }
}
