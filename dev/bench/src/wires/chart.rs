//! The chart: for every case a bar for each wire, as SVG.

use std::fmt::Write;

use super::report::{Row, Table, number};

const COLUMN_WIDTH: f64 = 460.0;
/// Where bars begin, right of the names.
const BAR_X: f64 = 190.0;
const BAR_WIDTH_MAX: f64 = 200.0;
const ROW_HEIGHT: f64 = 18.0;
const TITLE_HEIGHT: f64 = 40.0;

/// CPU of the server by wire, two cases side by side.
pub(super) fn svg(tables: &[Table]) -> String {
    let rows_max = tables.iter().map(|table| table.rows.len()).max().unwrap_or(0);
    let panel_height = rows_max as f64 * ROW_HEIGHT + TITLE_HEIGHT + 14.0;
    let columns = tables.len().clamp(1, 2);
    let (width, height) =
        (columns as f64 * COLUMN_WIDTH, tables.len().div_ceil(columns) as f64 * panel_height + TITLE_HEIGHT);
    let mut out = String::new();
    let _ = writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="11" fill="#222" role="img">
<title>CPU time of the server by wire</title>
<rect width="{width}" height="{height}" fill="#fff"/>
<text x="14" y="24" font-size="15" font-weight="600">CPU time of the server, µs (less is better)</text>"##
    );
    for (index, table) in tables.iter().enumerate() {
        let (x, y) = ((index % columns) as f64 * COLUMN_WIDTH, (index / columns) as f64 * panel_height + TITLE_HEIGHT);
        let _ = writeln!(out, r#"<g transform="translate({x} {y})">"#);
        panel(&mut out, table);
        out += "</g>\n";
    }
    out += "</svg>\n";
    out
}

fn panel(out: &mut String, table: &Table) {
    let unit = if table.case.streams() { "per message" } else { "per call" };
    let _ = writeln!(out, r#"<text x="14" y="22" font-weight="600">{}: {unit}</text>"#, table.case.title);
    let most = table.rows.iter().map(|row| row.cost).fold(f64::MIN_POSITIVE, f64::max);
    for (index, row) in table.rows.iter().enumerate() {
        let (y, length) = (index as f64 * ROW_HEIGHT + TITLE_HEIGHT - 8.0, row.cost / most * BAR_WIDTH_MAX);
        let _ = writeln!(
            out,
            r#"<text x="{}" y="{}" text-anchor="end">{}</text><rect x="{BAR_X}" y="{}" width="{length:.1}" height="13" rx="2" fill="{}"/><text x="{:.1}" y="{}">{}</text>"#,
            BAR_X - 6.0,
            y + 11.0,
            row.wire.name,
            y + 1.0,
            colour(row, index),
            BAR_X + length + 5.0,
            y + 11.0,
            number(row.cost),
        );
    }
}

fn colour(row: &Row, index: usize) -> &'static str {
    match index {
        super::REFERENCE => "#4a5568",
        _ if row.wire.native => "#d9480f",
        _ => "#8aa4c8",
    }
}
