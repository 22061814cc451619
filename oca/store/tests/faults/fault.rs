//! What goes wrong and when: a fault waits from some operation on for one it can happen to.
//! Decides nothing else.

use std::io;

use nix::errno::Errno;

use super::dice::Dice;
use super::made::Stop;

/// What an operation does, as far as faults tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Names, lengths, and opening what is there.
    Look,
    Read,
    Write,
    Reserve,
    /// Takes a name or cuts a file: needs no room.
    Change,
    /// Makes a name: needs room.
    Take,
    Sync,
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The machine stops before the operation.
    Stop(Stop),
    /// The disk fails once, at anything.
    Fails,
    /// From here on it fails at everything.
    Dies,
    /// It is full, for this many operations that need room.
    Full(u64),
    /// It becomes read-only, as ext4 does after an error.
    ReadOnly,
    /// A signal interrupts a read, a write or an allocation.
    Interrupted,
    /// A read or write does less than was asked.
    Short,
    /// A sync fails once, and what was not durable never will be.
    LosesPages,
}

/// How much of a read or write is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    Whole,
    /// At least one byte, not all.
    Less,
    /// Any part, as a kill leaves it.
    Half,
}

impl Sought {
    pub fn of(self, bytes: usize, dice: &mut Dice) -> usize {
        match self {
            Self::Whole => bytes,
            Self::Less if bytes < 2 => bytes,
            Self::Less => 1 + dice.below(bytes as u64 - 1) as usize,
            Self::Half => dice.below(bytes as u64 + 1) as usize,
        }
    }
}

/// The operations so far, and what is to go wrong.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    done: u64,
    armed: Option<(u64, Fault)>,
    /// What happens to every operation from now on.
    lasting: Option<Fault>,
    happened: bool,
    just_lost: bool,
}

impl Plan {
    pub fn armed(at: u64, fault: Fault) -> Self {
        Self { armed: Some((at, fault)), ..Self::default() }
    }

    pub fn stopped(&self) -> Option<Stop> {
        match self.lasting {
            Some(Fault::Stop(stop)) => Some(stop),
            _ => None,
        }
    }

    /// Whether the sync that was just refused takes its pages with it.
    pub fn loses_pages(&self) -> bool {
        self.just_lost
    }

    pub fn heal(&mut self) -> bool {
        self.armed = None;
        if self.stopped().is_none() {
            self.lasting = None;
        }
        self.happened
    }

    /// Counts one operation of this sort; an error is what happens to it.
    pub fn next(&mut self, sort: Sort) -> io::Result<Sought> {
        self.done += 1;
        self.just_lost = false;
        if let Some(fault) = self.lasting {
            return self.meet(fault, sort);
        }
        match self.armed {
            Some((at, fault)) if self.done > at && can_meet(fault, sort) => {
                self.armed = None;
                self.happened = true;
                self.meet(fault, sort)
            }
            _ => Ok(Sought::Whole),
        }
    }

    fn meet(&mut self, fault: Fault, sort: Sort) -> io::Result<Sought> {
        let lasts = |plan: &mut Self, fault| plan.lasting = Some(fault);
        match fault {
            Fault::Stop(_) | Fault::Dies => {
                lasts(self, fault);
                Err(Errno::EIO.into())
            }
            Fault::Fails => Err(Errno::EIO.into()),
            Fault::Full(left) => {
                if !can_meet(fault, sort) {
                    return Ok(Sought::Whole);
                }
                self.lasting = (left > 1).then_some(Fault::Full(left - 1));
                Err(Errno::ENOSPC.into())
            }
            Fault::ReadOnly => {
                lasts(self, fault);
                let reads = [Sort::Look, Sort::Read].contains(&sort);
                if reads { Ok(Sought::Whole) } else { Err(Errno::EROFS.into()) }
            }
            Fault::Interrupted => Err(Errno::EINTR.into()),
            Fault::Short => Ok(Sought::Less),
            Fault::LosesPages => {
                self.just_lost = true;
                Err(Errno::EIO.into())
            }
        }
    }
}

fn can_meet(fault: Fault, sort: Sort) -> bool {
    match fault {
        Fault::Stop(_) | Fault::Fails | Fault::Dies => true,
        Fault::Full(_) => [Sort::Write, Sort::Reserve, Sort::Take].contains(&sort),
        Fault::ReadOnly => ![Sort::Look, Sort::Read].contains(&sort),
        Fault::Interrupted => [Sort::Read, Sort::Write, Sort::Reserve].contains(&sort),
        Fault::Short => [Sort::Read, Sort::Write].contains(&sort),
        Fault::LosesPages => sort == Sort::Sync,
    }
}
