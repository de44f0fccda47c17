//! The chart: for every case a bar for each wire or server, as SVG.

use std::fmt::Write;

use super::report::number;

/// A case.
pub(super) struct Panel {
    /// With the unit.
    pub(super) title: String,
    pub(super) bars: Vec<Bar>,
}

/// CPU microseconds of one wire, or one server.
pub(super) struct Bar {
    pub(super) name: &'static str,
    pub(super) cost: f64,
    pub(super) colour: &'static str,
}

/// What the others are compared with.
pub(super) const REFERENCE_COLOUR: &str = "#4a5568";
/// What has a goal.
pub(super) const NATIVE_COLOUR: &str = "#d9480f";
pub(super) const OTHER_COLOUR: &str = "#8aa4c8";

const COLUMN_WIDTH: f64 = 460.0;
/// Where bars begin, right of the names.
const BAR_X: f64 = 190.0;
const BAR_WIDTH_MAX: f64 = 200.0;
const ROW_HEIGHT: f64 = 18.0;
const TITLE_HEIGHT: f64 = 40.0;

/// CPU of the server, two cases side by side.
pub(super) fn svg(panels: &[Panel]) -> String {
    let columns = panels.len().clamp(1, 2);
    // A row of panels is as high as the higher of them.
    let rows = panels.chunks(columns).map(|row| {
        let bars = row.iter().map(|panel| panel.bars.len()).max().unwrap_or(0);
        (row, bars as f64 * ROW_HEIGHT + TITLE_HEIGHT + 14.0)
    });
    let (width, height) =
        (columns as f64 * COLUMN_WIDTH, rows.clone().map(|(_, height)| height).sum::<f64>() + TITLE_HEIGHT);
    let mut out = String::new();
    let _ = writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="11" fill="#222" role="img">
<title>CPU time of the server by wire</title>
<rect width="{width}" height="{height}" fill="#fff"/>
<text x="14" y="24" font-size="15" font-weight="600">CPU time of the server, µs (less is better)</text>"##
    );
    let mut y = TITLE_HEIGHT;
    for (row, height) in rows {
        for (column, panel) in row.iter().enumerate() {
            let x = column as f64 * COLUMN_WIDTH;
            let _ = writeln!(out, r#"<g transform="translate({x} {y})">"#);
            draw(&mut out, panel);
            out += "</g>\n";
        }
        y += height;
    }
    out += "</svg>\n";
    out
}

fn draw(out: &mut String, panel: &Panel) {
    let _ = writeln!(out, r#"<text x="14" y="22" font-weight="600">{}</text>"#, panel.title);
    let most = panel.bars.iter().map(|bar| bar.cost).fold(f64::MIN_POSITIVE, f64::max);
    for (index, bar) in panel.bars.iter().enumerate() {
        let (y, length) = (index as f64 * ROW_HEIGHT + TITLE_HEIGHT - 8.0, bar.cost / most * BAR_WIDTH_MAX);
        let _ = writeln!(
            out,
            r#"<text x="{}" y="{}" text-anchor="end">{}</text><rect x="{BAR_X}" y="{}" width="{length:.1}" height="13" rx="2" fill="{}"/><text x="{:.1}" y="{}">{}</text>"#,
            BAR_X - 6.0,
            y + 11.0,
            bar.name,
            y + 1.0,
            bar.colour,
            BAR_X + length + 5.0,
            y + 11.0,
            number(bar.cost),
        );
    }
}
