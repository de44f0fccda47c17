//! What the application counts.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::Status;

/// Everything that is counted. Each has a name and a help text as Prometheus wants them, and [`Counters::expose`] writes all of
/// them in its text format, ready for a `/metrics` page.
#[derive(Debug)]
pub struct Counters {
    /// Calls that ended, by code.
    pub calls: Metric,
    /// Time spent in calls that ended.
    pub call_microseconds: Metric,
    /// Orders taken.
    pub orders_created: Metric,
    /// Creations that were repeated under their idempotency key.
    pub orders_repeated: Metric,
    /// Orders that came to a status.
    pub order_events: Metric,
    /// Actions that an order's status refused.
    pub actions_refused: Metric,
    /// Lines of imports, by what became of them.
    pub import_lines: Metric,
    /// Calls of Orders to Stock, by outcome.
    pub stock_calls: Metric,
    /// Settlements Stock has refused for good: its count is off by these.
    pub settlements_refused: Metric,
    /// Reservations made, used, given back, run out, and refused because something was short.
    pub reservations: Metric,
    /// Streams that follow orders at the moment.
    pub watchers: Metric,
    /// Kitchens that are connected at the moment.
    pub kitchens: Metric,
    /// Tickets sent to kitchens.
    pub tickets: Metric,
}

/// One number, or one for each value of a label.
#[derive(Debug)]
pub struct Metric {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    label: &'static str,
    values: &'static [&'static str],
    cells: Box<[AtomicI64]>,
}

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// How an import's line, a reservation or a call to Stock went.
const CODES: &[&str] = &[
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

const STATUSES: &[&str] = &{
    let mut names = [""; Status::ALL.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = Status::ALL[index].as_str();
        index += 1;
    }
    names
};

impl Counters {
    /// All at zero.
    pub fn new() -> Self {
        Self {
            calls: Metric::counters("orders_calls_total", "Calls that ended, by code.", "code", CODES),
            call_microseconds: Metric::counter("orders_call_microseconds_total", "Time spent in calls that ended."),
            orders_created: Metric::counter("orders_created_total", "Orders taken."),
            orders_repeated: Metric::counter(
                "orders_repeated_total",
                "Creations repeated under their idempotency key.",
            ),
            order_events: Metric::counters("orders_events_total", "Orders that came to a status.", "status", STATUSES),
            actions_refused: Metric::counters(
                "orders_actions_refused_total",
                "Actions that an order's status refused.",
                "status",
                STATUSES,
            ),
            import_lines: Metric::counters(
                "orders_import_lines_total",
                "Lines of imports, by what became of them.",
                "result",
                &["created", "existing", "refused"],
            ),
            stock_calls: Metric::counters("orders_stock_calls_total", "Calls to Stock, by code.", "code", CODES),
            settlements_refused: Metric::counter(
                "orders_settlements_refused_total",
                "Settlements that Stock refused for good; its count is off by these.",
            ),
            reservations: Metric::counters(
                "stock_reservations_total",
                "Reservations, by what became of them.",
                "result",
                &["held", "committed", "released", "expired", "short"],
            ),
            watchers: Metric::gauge("orders_watchers", "Streams that follow orders at the moment."),
            kitchens: Metric::gauge("orders_kitchens", "Kitchens that are connected at the moment."),
            tickets: Metric::counter("orders_tickets_total", "Tickets sent to kitchens."),
        }
    }

    /// All of them in the text format of Prometheus, version 0.0.4.
    pub fn expose(&self) -> String {
        let Self {
            calls,
            call_microseconds,
            orders_created,
            orders_repeated,
            order_events,
            actions_refused,
            import_lines,
            stock_calls,
            settlements_refused,
            reservations,
            watchers,
            kitchens,
            tickets,
        } = self;
        let mut out = String::new();
        for metric in [
            calls,
            call_microseconds,
            orders_created,
            orders_repeated,
            order_events,
            actions_refused,
            import_lines,
            stock_calls,
            settlements_refused,
            reservations,
            watchers,
            kitchens,
            tickets,
        ] {
            metric.expose(&mut out);
        }
        out
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

impl Metric {
    fn new(
        name: &'static str,
        help: &'static str,
        kind: Kind,
        label: &'static str,
        values: &'static [&'static str],
    ) -> Self {
        let cells = (0..values.len().max(1)).map(|_| AtomicI64::new(0)).collect();
        Self { name, help, kind, label, values, cells }
    }

    fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, Kind::Counter, "", &[])
    }

    fn counters(name: &'static str, help: &'static str, label: &'static str, values: &'static [&'static str]) -> Self {
        Self::new(name, help, Kind::Counter, label, values)
    }

    fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, Kind::Gauge, "", &[])
    }

    /// Counts one.
    pub fn count(&self) {
        self.add(1);
    }

    /// Counts several at once.
    pub fn add(&self, count: i64) {
        self.cells[0].fetch_add(count, Ordering::Relaxed);
    }

    /// Counts one under a value of its label. A value that was not declared is counted nowhere.
    pub fn count_at(&self, value: &str) {
        let place = self.values.iter().position(|known| *known == value);
        debug_assert!(place.is_some(), "{} has no {} {value:?}", self.name, self.label);
        if let Some(place) = place {
            self.cells[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts one up, and down again when the answer is dropped.
    pub fn while_alive(&self) -> Alive<'_> {
        self.add(1);
        Alive(self)
    }

    /// The number, without a label.
    pub fn value(&self) -> i64 {
        self.cells[0].load(Ordering::Relaxed)
    }

    /// The number under a value of the label; zero if there is no such value.
    pub fn value_at(&self, value: &str) -> i64 {
        let place = self.values.iter().position(|known| *known == value);
        place.map_or(0, |place| self.cells[place].load(Ordering::Relaxed))
    }

    fn expose(&self, out: &mut String) {
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let Self { name, help, label, .. } = self;
        writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("writing to a string never fails");
        for (place, cell) in self.cells.iter().enumerate() {
            let number = cell.load(Ordering::Relaxed);
            let line = match self.values.get(place) {
                Some(value) => writeln!(out, "{name}{{{label}=\"{value}\"}} {number}"),
                None => writeln!(out, "{name} {number}"),
            };
            line.expect("writing to a string never fails");
        }
    }
}

/// Counts as one for as long as it lives.
#[derive(Debug)]
pub struct Alive<'a>(&'a Metric);

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_exposed_with_help_type_and_labels() {
        let counters = Counters::new();
        counters.orders_created.count();
        counters.order_events.count_at("ready");
        let _watcher = counters.watchers.while_alive();
        drop(counters.watchers.while_alive());
        let text = counters.expose();
        for line in [
            "# HELP orders_created_total Orders taken.",
            "# TYPE orders_created_total counter",
            "orders_created_total 1",
            "orders_events_total{status=\"ready\"} 1",
            "orders_events_total{status=\"expired\"} 0",
            "# TYPE orders_watchers gauge",
            "orders_watchers 1",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n---\n{text}");
        }
    }

    #[test]
    fn names_of_counters_end_in_total_and_none_appears_twice() {
        let text = Counters::new().expose();
        let types: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        for line in &types {
            assert_eq!(line.contains("_total "), line.ends_with(" counter"), "{line}");
        }
        let mut unique = types.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), types.len());
    }
}
