//! How far an order has got, and what may be done about it then.

use std::fmt::{self, Write as _};

/// How far an order has got.
///
/// ```text
///            accept             finish            hand over
/// Confirmed ───────▶ Preparing ───────▶ Ready ─────────────▶ Completed
///     │  │             │   ▲
///     │  └─expire─┐    └───┘ delay
///  cancel         │
///     ▼           ▼
/// Cancelled    Expired
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// The goods are reserved; no kitchen has accepted the order yet.
    Confirmed,
    /// A kitchen has begun.
    Preparing,
    /// It waits to be handed over.
    Ready,
    /// The customer has it.
    Completed,
    /// The customer took it back in time.
    Cancelled,
    /// No kitchen accepted it while the goods were held.
    Expired,
}

/// What somebody does to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A kitchen begins with it.
    Accept,
    /// The kitchen needs longer.
    Delay,
    /// The kitchen is done.
    Finish,
    /// The customer gets it.
    HandOver,
    /// The customer takes it back.
    Cancel,
    /// The goods are held no longer.
    Expire,
}

/// An action that an order's status does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The status.
    pub status: Status,
    /// The action.
    pub action: Action,
    /// The reason, to be read behind "because".
    pub because: &'static str,
}

/// What an action makes of a status, or why it is refused.
enum Cell {
    Becomes(Status),
    Refused(&'static str),
}

/// The rule. One row for each status and one cell for each action, in the order of [`Status::ALL`] and
/// [`Action::ALL`]; nothing else in the application decides what may happen to an order.
#[rustfmt::skip]
const TABLE: [[Cell; Action::ALL.len()]; Status::ALL.len()] = {
    use Cell::{Becomes as To, Refused as No};
    use Status::{Cancelled, Completed, Expired, Preparing, Ready};
    const WAITING: &str = "no kitchen has accepted it yet";
    const BEGUN: &str = "a kitchen has begun with it";
    const COOKING: &str = "the kitchen has not finished it";
    const DONE: &str = "the kitchen has finished it";
    const HANDED: &str = "the customer has it";
    const TAKEN: &str = "the customer took it back";
    const EXPIRED: &str = "no kitchen accepted it in time";
    [
        //               Accept         Delay          Finish       HandOver       Cancel         Expire
        /* Confirmed */ [To(Preparing), No(WAITING),   No(WAITING), No(WAITING),   To(Cancelled), To(Expired)],
        /* Preparing */ [No(BEGUN),     To(Preparing), To(Ready),   No(COOKING),   No(BEGUN),     No(BEGUN)],
        /* Ready     */ [No(DONE),      No(DONE),      No(DONE),    To(Completed), No(DONE),      No(DONE)],
        /* Completed */ [No(HANDED),    No(HANDED),    No(HANDED),  No(HANDED),    No(HANDED),    No(HANDED)],
        /* Cancelled */ [No(TAKEN),     No(TAKEN),     No(TAKEN),   No(TAKEN),     No(TAKEN),     No(TAKEN)],
        /* Expired   */ [No(EXPIRED),   No(EXPIRED),   No(EXPIRED), No(EXPIRED),   No(EXPIRED),   No(EXPIRED)],
    ]
};

impl Status {
    /// All of them, in the order in which an order goes through them; the ends last.
    pub const ALL: [Self; 6] =
        [Self::Confirmed, Self::Preparing, Self::Ready, Self::Completed, Self::Cancelled, Self::Expired];

    /// The status after an action.
    pub const fn after(self, action: Action) -> Result<Self, Refused> {
        match &TABLE[self as usize][action as usize] {
            Cell::Becomes(status) => Ok(*status),
            Cell::Refused(because) => Err(Refused { status: self, action, because }),
        }
    }

    /// Nothing more can happen to such an order.
    pub fn is_final(self) -> bool {
        Action::ALL.iter().all(|&action| self.after(action).is_err())
    }

    /// How it is spelled in the database, in filters and in `.proto`, there in capitals.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Preparing => "preparing",
            Self::Ready => "ready",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// The status of that spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Action {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Self; 6] = [Self::Accept, Self::Delay, Self::Finish, Self::HandOver, Self::Cancel, Self::Expire];

    /// Where it leads, if that is somewhere else than where it starts; each action leads to one status only.
    pub fn leads_to(self) -> Option<Status> {
        let mut steps = Status::ALL.into_iter().map(|from| (from, from.after(self)));
        steps.find_map(|(from, after)| after.ok().filter(|&to| to != from))
    }

    /// What it is called in messages: a verb.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Delay => "delay",
            Self::Finish => "finish",
            Self::HandOver => "hand over",
            Self::Cancel => "cancel",
            Self::Expire => "expire",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} an order that is {}, because {}", self.action, self.status, self.because)
    }
}

impl std::error::Error for Refused {}

/// The rule as a table in Markdown: what each action makes of each status; a dash where it is refused.
///
/// The page on the order system shows it; a test compares the two.
pub fn print_table() -> String {
    let mut out = String::from("| status |");
    for action in Action::ALL {
        write!(out, " {action} |").expect("writing to a string never fails");
    }
    out.push_str("\n|---|");
    out.push_str(&"---|".repeat(Action::ALL.len()));
    out.push('\n');
    for status in Status::ALL {
        write!(out, "| **{status}** |").expect("writing to a string never fails");
        for action in Action::ALL {
            let after = status.after(action).map_or("–", Status::as_str);
            write!(out, " {after} |").expect("writing to a string never fails");
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_actions_stand_in_the_order_of_the_table() {
        for (index, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!(status as usize, index);
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        for (index, action) in Action::ALL.into_iter().enumerate() {
            assert_eq!(action as usize, index);
        }
    }

    #[test]
    fn every_status_can_be_reached_and_every_action_leads_somewhere() {
        let mut reached = vec![Status::Confirmed];
        let mut next = 0;
        while let Some(&status) = reached.get(next) {
            next += 1;
            for after in Action::ALL.into_iter().filter_map(|action| status.after(action).ok()) {
                if !reached.contains(&after) {
                    reached.push(after);
                }
            }
        }
        reached.sort_unstable();
        assert_eq!(reached, Status::ALL);
        for action in Action::ALL {
            assert!(Status::ALL.into_iter().any(|status| status.after(action).is_ok()), "{action}");
        }
    }

    #[test]
    fn every_order_can_come_to_an_end_and_ends_are_final() {
        for status in Status::ALL {
            let mut at = status;
            for _ in Status::ALL {
                let forward =
                    Action::ALL.into_iter().filter_map(|action| at.after(action).ok()).find(|&after| after != at);
                at = forward.unwrap_or(at);
            }
            assert!(at.is_final(), "{status} leads to {at} and no further");
        }
        let finals: Vec<_> = Status::ALL.into_iter().filter(|status| status.is_final()).collect();
        assert_eq!(finals, [Status::Completed, Status::Cancelled, Status::Expired]);
    }

    #[test]
    fn each_action_leads_to_one_status() {
        for action in Action::ALL {
            let mut ends: Vec<_> = Status::ALL.into_iter().filter_map(|status| status.after(action).ok()).collect();
            ends.dedup();
            assert_eq!(ends.len(), 1, "{action}");
        }
        assert_eq!(Action::HandOver.leads_to(), Some(Status::Completed));
        assert_eq!(Action::Delay.leads_to(), None);
    }

    #[test]
    fn a_refusal_says_who_what_and_why() {
        let refused = Status::Preparing.after(Action::Cancel).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "cannot cancel an order that is preparing, because a kitchen has begun with it"
        );
    }

    #[test]
    fn the_page_shows_the_table_as_it_is() {
        let page = include_str!("../../README.md");
        let table = print_table();
        assert!(page.contains(&table), "apps/orders/README.md should contain:\n{table}");
    }
}
