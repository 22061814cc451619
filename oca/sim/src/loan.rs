//! Memory that the server lent to the network: read as late as can be, and watched until it is
//! back. It decides nothing about when; the world does.
//!
//! A network card reads lent memory when a packet leaves, and once more when it is lost. Here the
//! bytes on a wire are read from the server's memory at the moment that the client takes them, and
//! whether they are still the same is looked at again when the server is told that it may have the
//! memory back.

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::{Rc, Weak};

use oca_sys::{Buffer, Token};

use crate::world::POISON;

/// The loans of one wire, and where its bytes are.
#[derive(Debug, Default)]
pub(crate) struct Loans {
    /// Bytes ever put on the wire.
    put: u64,
    /// Not yet back, oldest first.
    open: VecDeque<Loan>,
    /// Counted over all, to name them.
    lent: u64,
}

/// One send's memory.
#[derive(Debug)]
pub(crate) struct Loan {
    pub number: u64,
    pub token: Token,
    memory: Memory,
    range: Range<usize>,
    /// Where its first byte is on the wire.
    first: u64,
    digest: u64,
    /// Its return is on the agenda.
    pub is_due: bool,
}

/// Who keeps the memory as it is.
#[derive(Debug)]
enum Memory {
    /// The kernel does, as it must.
    Held(Rc<Buffer>),
    /// Nobody: a kernel that forgets.
    Forgotten(Weak<Buffer>),
}

impl Loans {
    /// Bytes that were copied go on the wire.
    pub fn pass(&mut self, bytes: usize) {
        self.put += bytes as u64;
    }

    /// `range` of `from` goes on the wire; `forgetful`: and the memory is not kept.
    pub fn lend(
        &mut self,
        token: Token,
        (from, range): (&Rc<Buffer>, Range<usize>),
        forgetful: bool,
    ) {
        let digest = digest(&from[range.clone()]);
        let memory = match forgetful {
            true => Memory::Forgotten(Rc::downgrade(from)),
            false => Memory::Held(Rc::clone(from)),
        };
        let (number, first) = (self.lent, self.put);
        self.put += range.len() as u64;
        self.lent += 1;
        self.open.push_back(Loan { number, token, memory, range, first, digest, is_due: false });
    }

    /// Reads the first `bytes` of `queue`, the end of the wire, from where they lie.
    pub fn fetch(&self, queue: &mut VecDeque<u8>, bytes: usize) {
        let front = self.put - queue.len() as u64;
        let end = front + bytes as u64;
        for loan in &self.open {
            let (first, last) = (loan.first.max(front), loan.end().min(end));
            if first >= last {
                continue;
            }
            let held = loan.bytes();
            for at in first..last {
                queue[(at - front) as usize] =
                    held.as_ref().map_or(POISON, |held| held[(at - loan.first) as usize]);
            }
        }
    }

    /// Loans whose bytes all left a wire on which `waiting` bytes are, and whose return is not on
    /// the agenda: now it is.
    pub fn take_due(&mut self, waiting: usize) -> Vec<u64> {
        let front = self.put - waiting as u64;
        let due = self.open.iter_mut().filter(|loan| loan.end() <= front && !loan.is_due);
        due.map(|loan| {
            loan.is_due = true;
            loan.number
        })
        .collect()
    }

    /// Ends a loan. Its memory must be as it was when it was lent. A kernel that forgets says that
    /// it has ended, and reads on.
    pub fn end(&mut self, number: u64) -> Option<(Token, Option<Rc<Buffer>>)> {
        let at = self.open.iter().position(|loan| loan.number == number)?;
        if let Memory::Forgotten(from) = &self.open[at].memory {
            return Some((self.open[at].token, from.upgrade()));
        }
        let loan = self.open.remove(at)?;
        if let Some(bytes) = loan.bytes() {
            assert!(
                digest(&bytes) == loan.digest,
                "the server wrote to memory that the network had: {loan:?}"
            );
        }
        let memory = match loan.memory {
            Memory::Held(from) => Some(from),
            Memory::Forgotten(from) => from.upgrade(),
        };
        Some((loan.token, memory))
    }

    /// Bytes that left the wire so far, when `waiting` are still on it.
    pub fn left(&self, waiting: usize) -> u64 {
        self.put - waiting as u64
    }

    /// Loans that are not back.
    pub fn count(&self) -> usize {
        self.open.len()
    }
}

impl Loan {
    fn end(&self) -> u64 {
        self.first + self.range.len() as u64
    }

    /// What is in the memory now; `None` when it is somebody else's.
    fn bytes(&self) -> Option<Vec<u8>> {
        match &self.memory {
            Memory::Held(from) => Some(from[self.range.clone()].to_vec()),
            Memory::Forgotten(from) => Some(from.upgrade()?[self.range.clone()].to_vec()),
        }
    }
}

/// FNV-1a by words: a changed byte changes it.
fn digest(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0xcbf2_9ce4_8422_2325, |sum, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use oca_sys::Pool;

    use super::*;

    fn lent(forgetful: bool) -> (Pool, Rc<Buffer>, Loans) {
        let pool = Pool::new(4096, 1).expect("a page");
        let mut buffer = pool.take().expect("the only one");
        buffer.iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
        let buffer = Rc::new(buffer);
        let mut loans = Loans::default();
        loans.pass(2);
        loans.lend(Token(7), (&buffer, 10..14), forgetful);
        loans.pass(1);
        (pool, buffer, loans)
    }

    #[test]
    fn bytes_are_read_when_they_are_taken() {
        let (_pool, _buffer, mut loans) = lent(false);
        let mut queue = VecDeque::from([1, 2, POISON, POISON, POISON, POISON, 3]);
        loans.fetch(&mut queue, 4);
        assert_eq!(queue, [1, 2, 10, 11, POISON, POISON, 3]);
        queue.drain(..4);
        assert_eq!(loans.take_due(queue.len()), Vec::<u64>::new(), "two of its bytes are there");
        loans.fetch(&mut queue, 3);
        assert_eq!(queue, [12, 13, 3]);
        assert_eq!((loans.take_due(1), loans.take_due(0)), (vec![0], Vec::new()), "once");
        let (token, memory) = loans.end(0).expect("open");
        assert!(token == Token(7) && memory.is_some() && loans.count() == 0);
    }

    #[test]
    #[should_panic(expected = "the server wrote to memory that the network had")]
    fn memory_that_changed_is_noticed() {
        let (_pool, buffer, mut loans) = lent(true);
        let mut buffer = Rc::into_inner(buffer).expect("nobody holds it");
        buffer[12] ^= 1;
        // The same memory, as if it had been written to through the loan.
        loans.open[0].memory = Memory::Held(Rc::new(buffer));
        loans.end(0);
    }

    #[test]
    fn forgotten_memory_is_not_what_it_was() {
        let (_pool, buffer, loans) = lent(true);
        drop(buffer);
        let mut queue = VecDeque::from([1, 2, 0, 0, 0, 0, 3]);
        loans.fetch(&mut queue, 7);
        assert_eq!(queue, [1, 2, POISON, POISON, POISON, POISON, 3]);
    }
}
