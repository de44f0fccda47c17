//! The table, as Markdown.

use std::fmt::Write;

use crate::{
    compare::{Comparison, Figures, median},
    equal::Setup,
};

/// What all servers run with: one line of each kind, as they have been found equal.
pub(crate) fn settings(setups: &[Setup]) -> String {
    let mut out = String::new();
    let versions: Vec<_> = setups.iter().map(|setup| format!("{} {}", setup.name, setup.version)).collect();
    let _ = writeln!(out, "{}\n", versions.join(", "));
    if let Some(Setup { wire, socket, threads, opt_level, profile, .. }) = setups.first() {
        let socket = socket.as_ref().map_or(
            "TCP_NODELAY as each says (this system does not let us look)".to_owned(),
            |socket| {
                format!(
                    "TCP_NODELAY {}, congestion control {}",
                    if socket.nodelay { "on" } else { "off" },
                    socket.congestion
                )
            },
        );
        let _ = writeln!(
            out,
            "Each, as read from the running process: {socket}; windows {} KiB a stream, {} KiB a connection; frames to {} KiB; \
             {} streams; {threads} thread; mimalloc; {profile}, opt-level {opt_level}, same profile; no compression. \
             The process under test on one core, everything else on another.\n",
            wire.stream_window >> 10,
            wire.connection_window >> 10,
            wire.frame_max >> 10,
            wire.streams_max.unwrap_or(u32::MAX),
        );
    }
    out
}

/// The rows, in tables of one kind each.
pub(crate) fn tables(comparisons: &[Comparison], names: &[String]) -> String {
    let mut out = String::new();
    let of_kind = |memory, fixed| {
        comparisons.iter().filter(move |row| (row.name == "memory", row.name == "latency") == (memory, fixed))
    };
    cpu_table(&mut out, names, of_kind(false, false));
    for row in of_kind(true, false) {
        memory_table(&mut out, row);
    }
    for row in of_kind(false, true) {
        latency_table(&mut out, row);
    }
    out
}

fn cpu_table<'a>(out: &mut String, names: &[String], rows: impl Iterator<Item = &'a Comparison>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    let mut head = vec!["CPU µs per operation".to_owned()];
    head.extend(names.iter().cloned());
    head.extend(["ratio", "first mark", "goal", "p50 µs", "p99 µs", "load busy"].map(str::to_owned));
    line(out, &head);
    line(out, &vec!["---".to_owned(); head.len()]);
    for row in rows {
        let figures: Vec<_> =
            names.iter().map(|name| row.figures.iter().find(|figures| figures.name == *name)).collect();
        let each = |show: &dyn Fn(&Figures) -> String| {
            figures.iter().map(|figures| figures.map_or_else(|| "–".into(), show)).collect::<Vec<_>>()
        };
        let mut cells = vec![row.title.clone()];
        cells.extend(each(&|figures| micros(figures.cost())));
        cells.push(row.ratio().map_or_else(|| "–".into(), |ratio| verdict(ratio, row)));
        cells.extend(marks(row, |mark| format!("{mark:.2}")));
        cells.push(each(&|figures| micros(figures.latency(|latency| latency.p50_us))).join(" / "));
        let p99 = |figures: &Figures| figures.latency(|latency| latency.p99_us);
        let mut p99s = each(&|figures| micros(p99(figures))).join(" / ");
        let tonic = row.figures.iter().find(|figures| figures.name == "tonic");
        if row.subject().zip(tonic).is_some_and(|(subject, tonic)| p99(subject) > p99(tonic)) {
            p99s += " worse than tonic's";
        }
        cells.push(p99s);
        cells.push(
            each(&|figures| {
                let busy = median(figures.load_busy.iter().copied());
                if busy.is_nan() { "–".into() } else { format!("{:.0} %", busy * 100.0) }
            })
            .join(" / "),
        );
        line(out, &cells);
    }
    let _ = writeln!(
        out,
        "\nThe ratio is to the better peer: the median over rounds. Latencies are of calls under saturation (of whole streams in \
         streaming cases), in the order of the columns. Where the load generator is near 100 % busy it, not the server, set the pace.\n"
    );
}

fn memory_table(out: &mut String, row: &Comparison) {
    line(out, &["KB per idle connection", "after a call", "before it"].map(str::to_owned));
    line(out, &["---", "---", "---"].map(str::to_owned));
    for figures in &row.figures {
        line(out, &[figures.name.clone(), kilobytes(figures.cost()), kilobytes(figures.rate())]);
    }
    let marks = marks(row, kilobytes);
    let _ =
        writeln!(out, "\nFirst mark {}, goal {}. {}.\n", marks[0], marks[1], row.note.as_deref().unwrap_or_default());
}

fn latency_table(out: &mut String, row: &Comparison) {
    let _ = writeln!(out, "{}: {}\n", row.title, row.note.as_deref().unwrap_or_default());
    line(out, &["µs", "p50", "p99", "p99.9", "max"].map(str::to_owned));
    line(out, &vec!["---".to_owned(); 5]);
    for figures in &row.figures {
        let mut cells = vec![figures.name.clone()];
        cells.push(micros(figures.latency(|latency| latency.p50_us)));
        cells.push(micros(figures.latency(|latency| latency.p99_us)));
        cells.push(micros(figures.latency(|latency| latency.p999_us)));
        cells.push(micros(figures.latency(|latency| latency.max_us)));
        line(out, &cells);
    }
    let _ = writeln!(out, "\nOf the calls that are not slow themselves, from the moment each was due.\n");
}

fn verdict(ratio: f64, row: &Comparison) -> String {
    match row.marks {
        Some(marks) if ratio <= marks.goal => format!("**{ratio:.2}** goal"),
        Some(marks) if ratio <= marks.first => format!("**{ratio:.2}** mark"),
        Some(_) => format!("{ratio:.2} missed"),
        None => format!("{ratio:.2}"),
    }
}

fn marks(row: &Comparison, show: impl Fn(f64) -> String) -> [String; 2] {
    row.marks.map_or_else(|| ["–".into(), "–".into()], |marks| [show(marks.first), show(marks.goal)])
}

fn micros(value: f64) -> String {
    match value {
        value if value.is_nan() => "–".into(),
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

fn kilobytes(bytes: f64) -> String {
    format!("{:.1}", bytes / 1024.0)
}

fn line(out: &mut String, cells: &[String]) {
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}
