//! One direction of a simulated link, in virtual time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use polywire_engine::Transmit;

use crate::draw::Dice;
use crate::program::LinkTraits;

/// Carries bytes one way: in order, in pieces, late, and perhaps not to the end.
#[derive(Debug)]
pub struct Lane {
    traits: LinkTraits,
    dice: Dice,
    under_way: VecDeque<(Instant, Vec<u8>)>,
    under_way_bytes: usize,
    /// When the last byte given so far will have left.
    free_at: Option<Instant>,
    /// When the last piece arrives: none overtakes it.
    last_due: Option<Instant>,
    /// Bytes that still pass before the cut.
    left_until_cut: Option<usize>,
    /// Nothing more passes; behind what is under way comes the end.
    ended: bool,
    end_given: bool,
    stalled_until: Option<Instant>,
}

/// What a reader gets.
#[derive(Debug)]
pub enum Arrival {
    /// Some bytes.
    Bytes(Bytes),
    /// The writer's side has ended. Once.
    End,
    /// Nothing now.
    Nothing,
}

impl Lane {
    /// A lane of these traits.
    #[must_use]
    pub fn new(traits: LinkTraits, seed: u64) -> Self {
        Lane {
            traits,
            dice: Dice::new(seed),
            under_way: VecDeque::new(),
            under_way_bytes: 0,
            free_at: None,
            last_due: None,
            left_until_cut: None,
            ended: false,
            end_given: false,
            stalled_until: None,
        }
    }

    /// Takes as much of `out` as there is room for. What comes after the end is lost.
    pub fn write(&mut self, now: Instant, out: &mut Transmit) -> usize {
        let mut written = 0;
        while !out.is_empty() {
            if self.ended {
                written += out.len();
                out.clear();
                break;
            }
            let room = self.traits.capacity_bytes.saturating_sub(self.under_way_bytes);
            if room == 0 {
                break;
            }
            let piece_bytes = 1 + self.dice.below(self.traits.piece_bytes_max as u64) as usize;
            let Some(chunk) = out.chunks().next() else { break };
            let mut piece = chunk[..chunk.len().min(room).min(piece_bytes)].to_vec();
            out.advance(piece.len());
            written += piece.len();
            if let Some(left) = &mut self.left_until_cut {
                piece.truncate(*left);
                *left -= piece.len();
                self.ended = *left == 0;
            }
            self.send(now, piece);
        }
        written
    }

    fn send(&mut self, now: Instant, mut piece: Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        if self.traits.corrupt_one_in > 0 && self.dice.below(self.traits.corrupt_one_in.into()) == 0 {
            let at = self.dice.below(piece.len() as u64) as usize;
            piece[at] ^= 1 << self.dice.below(8);
        }
        let mut leaves = now;
        if let Some(rate) = self.traits.bytes_per_s {
            let takes = Duration::from_micros(piece.len() as u64 * 1_000_000 / rate);
            leaves = self.free_at.map_or(now, |at| at.max(now)) + takes;
            self.free_at = Some(leaves);
        }
        let delay = Duration::from_micros(self.dice.below(self.traits.delay_max.as_micros() as u64 + 1));
        let due = self.last_due.map_or(leaves + delay, |last| last.max(leaves + delay));
        self.last_due = Some(due);
        self.under_way_bytes += piece.len();
        self.under_way.push_back((due, piece));
    }

    /// What arrives at `now`: pieces joined and divided as it falls.
    pub fn read(&mut self, now: Instant) -> Arrival {
        if self.stalled_until.is_some_and(|until| now < until) {
            return Arrival::Nothing;
        }
        self.stalled_until = None;
        let bytes_max = 1 + self.dice.below(self.traits.piece_bytes_max as u64) as usize;
        let mut read = Vec::new();
        while read.len() < bytes_max {
            let Some((due, piece)) = self.under_way.front_mut() else { break };
            if *due > now {
                break;
            }
            let taken = piece.len().min(bytes_max - read.len());
            read.extend(piece.drain(..taken));
            if piece.is_empty() {
                self.under_way.pop_front();
            }
        }
        if !read.is_empty() {
            self.under_way_bytes -= read.len();
            return Arrival::Bytes(read.into());
        }
        if self.ended && self.under_way.is_empty() && !self.end_given {
            self.end_given = true;
            return Arrival::End;
        }
        Arrival::Nothing
    }

    /// The writer will write nothing more; what is under way arrives.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// So many bytes more, then the end.
    pub fn cut(&mut self, after_bytes: usize) {
        self.left_until_cut = Some(after_bytes);
        self.ended |= after_bytes == 0;
    }

    /// The reader is gone: what is under way is lost.
    pub fn abandon(&mut self) {
        self.ended = true;
        self.end_given = true;
        self.under_way.clear();
        self.under_way_bytes = 0;
    }

    /// The reader reads nothing until then.
    pub fn stall(&mut self, until: Instant) {
        self.stalled_until = Some(until);
    }

    /// When reading is worth while.
    #[must_use]
    pub fn next_arrival(&self, now: Instant) -> Option<Instant> {
        let first = match self.under_way.front() {
            Some((due, _)) => *due,
            None if self.ended && !self.end_given => now,
            None => return None,
        };
        Some(self.stalled_until.map_or(first, |until| until.max(first)))
    }
}
