//! Our policy: every night a forecast from the days before, a plan by `fill_plan::place`, and pulls
//! in its order inside the window, under the window's cap and at the rate that leaves the billed
//! percentile alone. Uses nothing that a director would not know, but for `Foresight`.

mod errands;
mod flash;
mod misses;

use std::collections::HashMap;

use fill_plan::billing::{Month, beliefs};
use fill_plan::forecast::{Forecast, TitleShape};
use fill_plan::{Room, Seat, moves, name_key, place};

use crate::account::Border;
use crate::boxes::{Served, Site};
use crate::chance::Chance;
use crate::demand::{Read, SLOTS_PER_DAY};
use crate::report::MissShares;
use crate::stage::Stage;
use crate::stock::{Choice, Stock};

use errands::{Begun, Errand, kind, make_room};
use flash::Flash;
use misses::Misses;

/// Length of a billing month, days.
const MONTH_DAYS: usize = 28;

/// Tomorrow's bytes as they will be, by fill day, site and object.
pub(crate) struct Foresight(pub(crate) Vec<Vec<Vec<f32>>>);

/// Where a read was served.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answer {
    /// From the site's own boxes.
    pub(crate) here: Served,
    /// From another site of the ISP.
    pub(crate) isp: u64,
}

/// Bytes of fill, measured days only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filled {
    /// Across a border a second time.
    pub(crate) wasted: u64,
    /// Between boxes of an ISP.
    pub(crate) local: u64,
}

/// The network under our policy.
pub(crate) struct Night<'a> {
    stage: &'a Stage<'a>,
    stock: Stock,
    forecast: Forecast,
    foresight: Option<Foresight>,
    sites: Vec<Site>,
    /// Bytes asked since the last plan, by site and object.
    today: Vec<Vec<f32>>,
    /// Tomorrow's bytes as planned for, by site and object.
    expected: Vec<Vec<f32>>,
    /// By ISP, most worth first.
    errands: Vec<Vec<Errand>>,
    /// Held and not wanted, by site, box and kind of disk; least worth last.
    prunes: Vec<Vec<[Vec<u32>; 2]>>,
    /// Bytes that came of errands not finished, by site, box and object.
    begun: HashMap<(usize, usize, u32), Begun>,
    /// Bits per second that fill may add in this slot, by ISP: a director looks every minute, and
    /// makes the rates anew with each sample of the border.
    room: Vec<u64>,
    chance: Chance,
    filled: Filled,
    misses: Misses,
    flash: Flash,
    measured: bool,
}

impl<'a> Night<'a> {
    pub(crate) fn new(stage: &'a Stage<'a>, foresight: Option<Foresight>) -> Self {
        let trace = stage.trace;
        let objects = trace.objects.len();
        let none = vec![vec![0.0; objects]; stage.sites.len()];
        let memory = stage.setting.memory;
        let sites = stage.sites.iter().map(|site| Site::new(site, memory, objects));
        let forecast = Forecast::new(
            shapes(stage),
            objects,
            trace.genres.len(),
            stage.sites.len(),
            0,
            stage.setting.forecast,
        );
        Self {
            stage,
            stock: Stock::new(trace, stage.setting.unit),
            forecast,
            foresight,
            sites: sites.collect(),
            today: none.clone(),
            expected: none,
            errands: (0..stage.isps).map(|_| Vec::new()).collect(),
            prunes: vec![Vec::new(); stage.sites.len()],
            begun: HashMap::new(),
            room: vec![0; stage.isps],
            chance: Chance::new(stage.setting.seed, 3),
            filled: Filled::default(),
            misses: Misses::new(trace, stage.sites.len()),
            flash: Flash::default(),
            measured: false,
        }
    }

    /// See [`crate::report::PolicyReport::flash_for_nine_tenths`].
    pub(crate) fn flash_for_nine_tenths(&self) -> f64 {
        self.flash.share()
    }

    pub(crate) fn filled(&self) -> Filled {
        self.filled
    }

    /// Why what was missed was, as shares of the bytes asked.
    pub(crate) fn misses(&self, asked: u64) -> MissShares {
        self.misses.shares(asked)
    }

    /// Plans when the window opens and fills while it is open; answers border bytes by ISP.
    pub(crate) fn begin_slot(
        &mut self,
        slot: usize,
        borders: &[Border],
        measured: bool,
    ) -> Vec<u64> {
        self.measured = measured;
        let window = self.stage.setting.window;
        let since = (slot + SLOTS_PER_DAY - self.stage.start_slot) % SLOTS_PER_DAY;
        let length = window.length_minutes as usize / 5;
        let is_first_morning = slot < self.stage.start_slot;
        if since == 0 {
            self.open(slot);
        }
        if since == length / 2 && !is_first_morning {
            self.outages();
        }
        if since >= length || is_first_morning {
            return vec![0; self.stage.isps];
        }
        self.room = borders.iter().map(|border| self.room_of(slot, border)).collect();
        (0..self.stage.isps).map(|isp| self.fill(isp)).collect()
    }

    fn open(&mut self, slot: usize) {
        if self.measured {
            for (at, site) in self.sites.iter().enumerate() {
                self.flash.day(site, &self.today[at], &self.expected[at], &self.stock);
            }
        }
        self.forecast.observe(&self.today);
        self.today.iter_mut().for_each(|site| site.fill(0.0));
        let tomorrow = self.stage.fill_day(slot);
        for site in 0..self.sites.len() {
            for cabinet in 0..self.sites[site].cabinets.len() {
                self.sites[site].set_away(cabinet, false);
            }
            self.expected[site] = match &self.foresight {
                Some(Foresight(days)) => days[tomorrow][site].clone(),
                None => self.forecast.tomorrow(site),
            };
        }
        let sites = &self.sites;
        self.misses.begin_day(tomorrow, |site, object| sites[site].holds(object));
        self.errands.iter_mut().for_each(Vec::clear);
        for site in 0..self.sites.len() {
            self.plan(site);
        }
        // A pull that this plan does not go on with was for nothing.
        let goes_on = |key: &(usize, usize, u32), errands: &[Errand]| {
            errands.iter().any(|one| (one.site, one.cabinet, one.object) == *key)
        };
        let (errands, isp_of) = (&self.errands, &self.stage.isp_of);
        let (measured, filled) = (self.measured, &mut self.filled);
        self.begun.retain(|key, begun| {
            let stays = goes_on(key, &errands[isp_of[key.0]]);
            if !stays && measured {
                filled.wasted += begun.crossed;
            }
            stays
        });
    }

    /// What the billed percentile leaves to fill in `slot`, bits per second.
    fn room_of(&self, slot: usize, border: &Border) -> u64 {
        if !self.stage.setting.spare_percentile {
            return u64::MAX;
        }
        let month = MONTH_DAYS * SLOTS_PER_DAY;
        let begin = slot / month * month;
        // The last sample is on its way from the border.
        let known = slot.saturating_sub(1).max(begin);
        let history = &border.misses[..known];
        let ahead = beliefs(history, begin + month - known);
        let percentile = self.stage.setting.percentile;
        let month = Month { measured: &history[begin..], ahead: &ahead, percentile };
        month.room_bps().get(slot - known).copied().unwrap_or(0)
    }

    /// Plans one site and queues what it lacks.
    fn plan(&mut self, at: usize) {
        let knobs = &self.stage.setting.knobs;
        let expected = &self.expected[at];
        let heat =
            |object: u32| f64::from(expected[object as usize]) / self.stock.size(object) as f64;
        let boxes = &self.sites[at].cabinets;
        let is_held = |object| boxes.iter().any(|one| one.held.class(object).is_some());
        let choice = self.stock.choice(expected, is_held);
        let (seats, cabinets) = self.seats(at, &choice);
        let shelves = place(&choice.library, &choice.candidates, &seats, knobs);
        self.prunes[at] = vec![Default::default(); self.sites[at].cabinets.len()];
        self.misses.begin_plan(at);
        let isp = self.stage.isp_of[at];
        for ((seat, shelf), cabinet) in seats.iter().zip(&shelves).zip(cabinets) {
            let mut wanted = vec![false; self.stock.len()];
            for spot in shelf {
                wanted[spot.object as usize] = true;
                self.misses.want(at, spot.object);
                if seat.held.class(spot.object).is_none() {
                    let size = self.stock.size(spot.object);
                    let begun = self.begun.get(&(at, cabinet, spot.object)).copied();
                    self.errands[isp].push(Errand {
                        site: at,
                        cabinet,
                        object: spot.object,
                        class: spot.class,
                        left: size - begun.map_or(0, |begun| begun.bytes),
                        crosses: false,
                        heat: heat(spot.object) as f32,
                    });
                }
            }
            for (object, class) in seat.held.iter() {
                if !wanted[object as usize] {
                    self.prunes[at][cabinet][kind(class)].push(object);
                }
            }
            for list in &mut self.prunes[at][cabinet] {
                list.sort_by(|a, b| heat(*b).total_cmp(&heat(*a)).then(a.cmp(b)));
            }
            let steps = moves(&choice.library, seat, shelf, heat, knobs.moves_bytes_max);
            for step in steps {
                let size = self.stock.size(step.object);
                make_room(
                    &mut self.sites[at],
                    &mut self.prunes[at][cabinet],
                    cabinet,
                    step.class,
                    size,
                    &self.stock,
                );
                let from = self.sites[at].cabinets[cabinet].held.class(step.object);
                self.sites[at].remove(cabinet, step.object, size);
                if !self.sites[at].put(cabinet, step.object, size, step.class)
                    && let Some(from) = from
                {
                    // It left that very room a moment ago.
                    self.sites[at].put(cabinet, step.object, size, from);
                }
            }
        }
        self.elect(isp);
    }

    /// Boxes that are up, as the planner sees them, and their indices.
    fn seats(&self, at: usize, choice: &Choice) -> (Vec<Seat>, Vec<usize>) {
        let setting = self.stage.sites[at];
        let headroom = self.stage.setting.knobs.headroom;
        let up = self.sites[at].cabinets.iter().enumerate().filter(|(_, one)| !one.away);
        up.map(|(cabinet, one)| {
            let usable = |bytes: u64| (bytes as f64 * (1.0 - headroom)) as u64;
            let room = Room { ssd: usable(one.capacity.ssd), hdd: usable(one.capacity.hdd) };
            let begun = self.begun.keys();
            let mut leaning: Vec<u32> = begun
                .filter(|(site, other, _)| (*site, *other) == (at, cabinet))
                .map(|(_, _, object)| choice.parcel_of[*object as usize])
                .collect();
            leaning.sort_unstable();
            leaning.dedup();
            let seat = Seat {
                key: name_key(&setting.boxes[cabinet].name),
                room,
                largest: room,
                held: one.held.clone(),
                leaning,
                ..Seat::default()
            };
            (seat, cabinet)
        })
        .unzip()
    }

    /// Some boxes die in the middle of the window; their sites are planned again.
    fn outages(&mut self) {
        if self.stage.setting.outage <= 0.0 {
            return;
        }
        for at in 0..self.sites.len() {
            let mut touched = false;
            for cabinet in 0..self.sites[at].cabinets.len() {
                if self.chance.share() < self.stage.setting.outage {
                    self.sites[at].set_away(cabinet, true);
                    touched = true;
                }
            }
            if touched {
                let isp = self.stage.isp_of[at];
                self.errands[isp].retain(|errand| errand.site != at);
                self.plan(at);
            }
        }
    }

    pub(crate) fn read(&mut self, read: &Read) -> Answer {
        self.today[read.site][read.object as usize] += read.bytes as f32;
        if let Some(here) = self.sites[read.site].read(read) {
            return Answer { here, isp: 0 };
        }
        let isp = self.stage.isp_of[read.site];
        if self.is_inside(isp, read.object) {
            return Answer { here: Served::default(), isp: read.bytes };
        }
        if self.measured {
            let expected = f64::from(self.expected[read.site][read.object as usize]);
            let size = self.stock.size(read.object) as f64;
            let pays = expected >= self.stage.setting.knobs.hurdle() * size;
            let site = &self.sites[read.site];
            let holds = |object| site.holds(object);
            self.misses.miss(read.site, read.object, read.bytes, pays, holds);
        }
        Answer::default()
    }

    pub(crate) fn end_slot(&mut self) -> f64 {
        self.sites.iter_mut().map(Site::end_slot).fold(0.0, f64::max)
    }
}

/// Titles as the forecast sees them. Fill days begin with the window, so a title that appears on
/// the morning of day `d` is first asked on the fill day after it.
fn shapes(stage: &Stage<'_>) -> Vec<TitleShape> {
    let trace = stage.trace;
    let mut heights: Vec<u32> = trace.objects.iter().map(|object| object.height).collect();
    heights.sort_unstable();
    heights.dedup();
    let mut shapes: Vec<TitleShape> = trace
        .titles
        .iter()
        .map(|title| TitleShape {
            published_day: title.published_day.saturating_add(1),
            genre: usize::from(title.genre),
            objects: Vec::new(),
        })
        .collect();
    for (at, object) in trace.objects.iter().enumerate() {
        // Beyond sixteen heights neighbours share a kind.
        let height = heights.binary_search(&object.height).unwrap_or_default();
        let height = height * 16 / heights.len().max(16);
        shapes[object.title as usize].objects.push((at as u32, height as u8, object.bytes));
    }
    shapes
}
