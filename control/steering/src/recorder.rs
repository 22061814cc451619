//! The steering log: each question with the standings it was decided by, so that it can be decided
//! again under another policy, by nobody's memory of how the fleet was. Writes nothing: whoever
//! takes the records does.
//!
//! A candidate takes 24 bytes, little-endian:
//! ```text
//!  0 u16 number in the record's ids     2 u16 failure domain, by the record's own numbers
//!  4 u8  role 0-1, link 2-3, health 4-6 5 u8  doubted 0, late 1, shunned 2, may stay 3, has way 4,
//!                                             has step 5, step 6-7
//!  6 u8  prefix bits                    7 u8  AS path   8 u8 BGP origin
//!  9 u16 held   11 u16 wanted           13 u16 load per mille   15 u16 distance km
//! 17 u32 MED                            21 u24 capacity, Mbit/s
//! ```

use std::net::IpAddr;

use ahash::AHashMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_types::fleet::{Health, Link, Role};
use control_types::spread::hash_name;
use control_types::steering::{SteerAsk, SteerRecord};
use control_types::{ApplianceId, TitleId, UnixMillis};

use crate::decide::{Decision, Question};
use crate::limits::{ASKS_PER_RECORD_MAX, ASKS_WAITING_MAX, CANDIDATES_RECORDED_MAX};
use crate::rank::{Standing, Verdict, Way};

/// Bytes of one candidate.
pub const CANDIDATE_BYTES: usize = 24;

/// Version of the form.
pub const RECORD_VERSION: u32 = 1;

/// Questions that wait to be taken.
#[derive(Debug)]
pub(crate) struct Recorder {
    per_second_max: usize,
    second: u64,
    in_second: usize,
    waiting: Vec<Noted>,
    skipped: u64,
}

#[derive(Debug)]
struct Noted {
    at: UnixMillis,
    net: IpAddr,
    prefix: Option<ipnet::IpNet>,
    title: TitleId,
    session: u64,
    current: Option<ApplianceId>,
    code: String,
    candidates: Vec<(ApplianceId, Standing)>,
}

impl Recorder {
    pub fn new(per_second_max: usize) -> Self {
        Self { per_second_max, second: 0, in_second: 0, waiting: Vec::new(), skipped: 0 }
    }

    /// Whether anything is noted.
    pub fn is_on(&self) -> bool {
        self.per_second_max > 0
    }

    pub fn note(&mut self, decision: &Decision<'_>, question: &Question<'_>, now: UnixMillis) {
        if self.second != now.0 / 1_000 {
            (self.second, self.in_second) = (now.0 / 1_000, 0);
        }
        self.in_second += 1;
        if self.in_second > self.per_second_max || self.waiting.len() >= ASKS_WAITING_MAX {
            self.skipped += 1;
            return;
        }
        let boxes = &decision.fleet.registry.index.boxes;
        let candidates = decision.verdicts.iter().take(CANDIDATES_RECORDED_MAX);
        let candidates = candidates
            .map(|verdict| (boxes[verdict.standing.place as usize].id.clone(), verdict.standing));
        self.waiting.push(Noted {
            at: now,
            net: network_of(question.ip),
            prefix: decision.matched_prefix,
            title: question.title.clone(),
            session: question.seeds().session,
            current: question.current.cloned(),
            code: decision.code(),
            candidates: candidates.collect(),
        });
    }

    pub fn take(&mut self) -> Vec<SteerRecord> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut records: Vec<SteerRecord> =
            waiting.chunks(ASKS_PER_RECORD_MAX).map(record_of).collect();
        if let Some(last) = records.last_mut() {
            last.skipped = std::mem::take(&mut self.skipped);
        }
        records
    }
}

/// The address without what tells members of one network apart.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) & !0xff).into()),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 80 << 80).into()),
    }
}

fn record_of(asks: &[Noted]) -> SteerRecord {
    let at = asks.first().map_or(UnixMillis(0), |first| first.at);
    let mut ids: Vec<ApplianceId> = Vec::new();
    let mut numbers: AHashMap<ApplianceId, u16> = AHashMap::new();
    let mut domains: AHashMap<u32, u16> = AHashMap::new();
    // 200 questions of 24 candidates are 4,800 names, far inside u16.
    let mut number_of = |id: &ApplianceId| {
        *numbers.entry(id.clone()).or_insert_with(|| {
            ids.push(id.clone());
            (ids.len() - 1) as u16
        })
    };
    let mut lines = Vec::with_capacity(asks.len());
    for ask in asks {
        let mut bytes = Vec::with_capacity(ask.candidates.len() * CANDIDATE_BYTES);
        for (id, standing) in &ask.candidates {
            let next = domains.len() as u16;
            let domain = *domains.entry(standing.domain).or_insert(next);
            bytes.extend(packed(standing, number_of(id), domain));
        }
        lines.push(SteerAsk {
            after_ms: u32::try_from(ask.at.millis_since(at)).unwrap_or(u32::MAX),
            net: ask.net.to_string(),
            prefix: ask.prefix.map(|prefix| prefix.to_string()),
            title: ask.title.clone(),
            session: ask.session,
            current: ask.current.as_ref().map(|id| u32::from(number_of(id))),
            code: ask.code.clone(),
            candidates: URL_SAFE_NO_PAD.encode(bytes),
        });
    }
    SteerRecord { v: RECORD_VERSION, at, ids, asks: lines, skipped: 0 }
}

fn packed(standing: &Standing, number: u16, domain: u16) -> [u8; CANDIDATE_BYTES] {
    let mut out = [0u8; CANDIDATE_BYTES];
    let way = standing.way.unwrap_or(Way { prefix_len: 0, as_path_len: 0, origin: 0, med: 0 });
    out[0..2].copy_from_slice(&number.to_le_bytes());
    out[2..4].copy_from_slice(&domain.to_le_bytes());
    out[4] = standing.role as u8 | (standing.link as u8) << 2 | (standing.health as u8) << 4;
    out[5] = u8::from(standing.is_doubted)
        | u8::from(standing.is_late) << 1
        | u8::from(standing.is_shunned) << 2
        | u8::from(standing.may_stay) << 3
        | u8::from(standing.way.is_some()) << 4
        | u8::from(standing.step.is_some()) << 5
        | standing.step.unwrap_or(0).min(3) << 6;
    out[6] = way.prefix_len;
    out[7] = way.as_path_len.min(255) as u8;
    out[8] = way.origin;
    out[9..11].copy_from_slice(&standing.held.to_le_bytes());
    out[11..13].copy_from_slice(&standing.wanted.to_le_bytes());
    let load = standing.load_per_mille.min(u32::from(u16::MAX)) as u16;
    out[13..15].copy_from_slice(&load.to_le_bytes());
    out[15..17].copy_from_slice(&standing.distance_km.to_le_bytes());
    out[17..21].copy_from_slice(&way.med.to_le_bytes());
    out[21..24].copy_from_slice(&standing.capacity_mbps.min(0xff_ffff).to_le_bytes()[..3]);
    out
}

/// The standings of one recorded question; `None` when it is not of this form.
#[must_use]
pub fn unpacked(record: &SteerRecord, ask: &SteerAsk) -> Option<Vec<Verdict>> {
    let bytes = URL_SAFE_NO_PAD.decode(&ask.candidates).ok()?;
    if bytes.len() % CANDIDATE_BYTES != 0 || record.v != RECORD_VERSION {
        return None;
    }
    bytes.chunks_exact(CANDIDATE_BYTES).map(|one| unpack(one, &record.ids)).collect()
}

fn unpack(bytes: &[u8], ids: &[ApplianceId]) -> Option<Verdict> {
    let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let (kinds, flags) = (bytes[4], bytes[5]);
    let flag = |bit: u8| flags >> bit & 1 == 1;
    let way = Way {
        prefix_len: bytes[6],
        as_path_len: u16::from(bytes[7]),
        origin: bytes[8],
        med: u32::from_le_bytes([bytes[17], bytes[18], bytes[19], bytes[20]]),
    };
    let id = ids.get(usize::from(short(0)))?;
    Some(Verdict::of(Standing {
        place: u32::from(short(0)),
        domain: u32::from(short(2)),
        role: [Role::Edge, Role::Tier, Role::Origin].get(usize::from(kinds & 3)).copied()?,
        link: [Link::Embedded, Link::PrivatePeering, Link::PublicPeering, Link::Transit]
            [usize::from(kinds >> 2 & 3)],
        health: [Health::Healthy, Health::Unheard, Health::Silent, Health::Sick, Health::Draining]
            .get(usize::from(kinds >> 4))
            .copied()?,
        is_doubted: flag(0),
        is_late: flag(1),
        is_shunned: flag(2),
        may_stay: flag(3),
        way: flag(4).then_some(way),
        step: flag(5).then_some(flags >> 6),
        held: short(9),
        wanted: short(11),
        load_per_mille: u32::from(short(13)),
        distance_km: short(15),
        capacity_mbps: u32::from_le_bytes([bytes[21], bytes[22], bytes[23], 0]),
        weight: 1.0,
        hash: hash_name(id.as_str()),
    }))
}
