//! The figures as a table, a row as soon as it is known.

/// One comparison.
pub struct Row {
    what: String,
    ours: f64,
    beside: f64,
    unit: &'static str,
    aim: Option<(String, bool)>,
}

impl Row {
    /// Ours may be so many times the other.
    pub fn at_most(what: String, ours: f64, beside: f64, unit: &'static str, times: f64) -> Self {
        Self::with_aim(what, ours, beside, unit, format!("ratio <= {times}"), ours <= beside * times)
    }

    /// Ours shall be so many times the other.
    pub fn at_least(what: String, ours: f64, beside: f64, unit: &'static str, times: f64) -> Self {
        Self::with_aim(what, ours, beside, unit, format!("ratio >= {times}"), ours >= beside * times)
    }

    /// Ours shall be so much, whatever the other.
    pub fn above(what: String, ours: f64, beside: f64, unit: &'static str, least: f64) -> Self {
        Self::with_aim(what, ours, beside, unit, format!(">= {least} {unit}"), ours >= least)
    }

    /// Ours shall be less than this, whatever the other.
    pub fn below(what: String, ours: f64, beside: f64, unit: &'static str, most: f64) -> Self {
        Self::with_aim(what, ours, beside, unit, format!("< {most} {unit}"), ours < most)
    }

    /// Two figures, and nothing to reach.
    pub fn plain(what: String, ours: f64, beside: f64, unit: &'static str) -> Self {
        Self { what, ours, beside, unit, aim: None }
    }

    fn with_aim(what: String, ours: f64, beside: f64, unit: &'static str, aim: String, met: bool) -> Self {
        Self { what, ours, beside, unit, aim: Some((aim, met)) }
    }
}

/// A table on stdout.
pub struct Table;

impl Table {
    /// Prints the head.
    pub fn new() -> Self {
        println!("{:<42} {:>16} {:>16} {:>6}  aim", "", "ours", "raw / before", "ratio");
        Self
    }

    pub fn print(&mut self, row: Row) {
        let figure = |value: f64| match row.unit {
            "ms" => format!("{value:.3} ms"),
            "/s" | "MiB/s" => format!("{value:.0} {}", row.unit),
            unit => format!("{value:.1} {unit}"),
        };
        let aim = row.aim.map(|(aim, met)| format!("{aim}: {}", if met { "met" } else { "MISSED" }));
        println!(
            "{:<42} {:>16} {:>16} {:>6.2}  {}",
            row.what,
            figure(row.ours),
            figure(row.beside),
            row.ours / row.beside,
            aim.unwrap_or_default()
        );
    }

    /// Something more about the row before.
    pub fn note(&mut self, note: String) {
        println!("  ({note})");
    }
}

/// The middle of some figures, of which there must be one.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}
