//! Plays programs by seed or bytes at every level, and says what failed in a way that can be played again.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Outcome, Program, calls, wire};

/// What a program is played on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Level {
    /// [`calls::play`].
    Calls,
    /// [`wire::play`].
    Wire,
}

impl Level {
    /// All of them.
    pub const ALL: [Level; 2] = [Level::Wire, Level::Calls];

    /// Plays a program. A panic is a failure like any other.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub fn play(self, program: &Program) -> Result<Outcome, String> {
        let played = catch_unwind(AssertUnwindSafe(|| match self {
            Level::Calls => calls::play(program),
            Level::Wire => wire::play(program),
        }));
        played.unwrap_or_else(|panic| {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
            Err(format!("panic: {}", words.unwrap_or_default()))
        })
    }
}

/// A program that failed, as small as it could be made.
#[derive(Debug)]
pub struct Failure {
    level: Level,
    words: String,
    program: Program,
}

/// Plays the program of a seed at every level.
///
/// # Errors
/// The first failure, with a smaller program.
pub fn play_seed(seed: u64) -> Result<Outcome, Box<Failure>> {
    play(&Program::from_seed(seed))
}

/// Plays a program at every level.
///
/// # Errors
/// The first failure, with a smaller program.
pub fn play(program: &Program) -> Result<Outcome, Box<Failure>> {
    let mut sum = Outcome::default();
    for level in Level::ALL {
        match level.play(program) {
            Ok(outcome) => sum += outcome,
            Err(_) => {
                let program = program.shrink(|smaller| level.play(smaller).is_err());
                let words = level.play(&program).err().unwrap_or_else(|| "fails only now and then".into());
                return Err(Box::new(Failure { level, words, program }));
            }
        }
    }
    Ok(sum)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} (level {:?})", self.words, self.level)?;
        self.program.fmt(f)
    }
}
