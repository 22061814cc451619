//! Whether the clients' complaints have an excuse, and whether anybody waited too long. It moves
//! nothing.

use super::*;

impl Story {
    pub(super) fn judge(&self) -> Result<Summary, String> {
        let mut summary = Summary { turns: self.turns, ..Summary::default() };
        let mut world = self.kernel.world();
        summary.trace = world.trace();
        let complaints: Vec<(usize, Complaint)> = world
            .clients()
            .enumerate()
            .filter_map(|(number, client)| Some((number, client.complaint()?.clone())))
            .collect();
        let descriptions: Vec<String> = world.clients().map(|client| client.describe()).collect();
        summary.answers = world.clients().map(|client| client.answers()).sum();
        let waits: Vec<u64> = world.clients().map(|client| client.longest_wait()).collect();
        let is_crowded = world.is_crowded();
        // Deadlines passed for no fault of the server, or it had to turn some away.
        let hard_times = world.stood_still() || world.is_scarce();
        let disk = world.disk();
        let healthy: Vec<bool> =
            (0..VOLUMES.len()).map(|volume| self.is_healthy(volume, disk)).collect();
        if !hard_times && !is_crowded {
            self.judge_waits(&waits, &descriptions)?;
        }
        for (number, complaint) in complaints {
            let excused = match &complaint {
                Complaint::Wrong(_) => false,
                Complaint::Busy(_) => self.drained || hard_times,
                Complaint::Troubled { sample, .. } => {
                    hard_times || self.is_excused(*sample, &healthy)
                }
                Complaint::Unanswered { sample, .. } => {
                    let disk = sample.is_some_and(|sample| self.is_excused(sample, &healthy));
                    hard_times || self.drained || disk
                }
            };
            if !excused {
                let whose = descriptions.get(number).map_or("", String::as_str);
                return Err(format!("client {number}: {complaint:?}\n{whose}\n{}", self.ends()));
            }
            summary.excused += 1;
        }
        Ok(summary)
    }

    /// How the server saw connections end, for messages.
    fn ends(&self) -> String {
        let closed = CloseReason::ALL
            .iter()
            .map(|reason| (reason.word(), self.counters.closed[*reason as usize].get()));
        let protocols = &self.counters.protocols;
        let all = closed.chain(protocols.go_aways()).chain(protocols.stream_resets());
        let some: Vec<_> = all.filter(|(_, count)| *count > 0).collect();
        format!("the server counted {some:?}")
    }

    /// Nobody waits longer for an answer to begin than it takes to find a disk silent, or a read
    /// late, and to ask elsewhere: whatever hangs.
    fn judge_waits(&self, waits: &[u64], descriptions: &[String]) -> Result<(), String> {
        let longest = waits.iter().enumerate().max_by_key(|(_, wait)| **wait);
        match longest {
            Some((client, wait)) if *wait > FIRST_BYTE_MAX => {
                let whose = descriptions.get(client).map_or("", String::as_str);
                Err(format!(
                    "client {client} waited {} ms for an answer\n{whose}",
                    wait / MILLISECOND
                ))
            }
            _ => Ok(()),
        }
    }

    /// Whether nothing was ever wrong with the device of a volume, nor with any file on it: one bad
    /// read may take a device out of rotation, and then all that is on it goes with it.
    fn is_healthy(&self, volume: usize, disk: &Disk) -> bool {
        let copies = self.shelf.samples.iter().flat_map(|sample| &sample.copies);
        let mut here = copies.filter(|(at, _)| *at == volume);
        !disk.has_outage(volume) && here.all(|(_, path)| !disk.is_blamed(path))
    }

    /// No copy of it is on a healthy device.
    fn is_excused(&self, sample: usize, healthy: &[bool]) -> bool {
        !self.shelf.samples[sample].copies.iter().any(|(volume, _)| healthy[*volume])
    }
}
