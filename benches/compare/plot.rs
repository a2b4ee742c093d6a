//! Bars as SVG: one file for each measure.

use std::fmt::Write;
use std::path::Path;

use crate::report::Report;
use crate::report::Row;
use crate::report::beside;
use crate::report::heading;
use crate::report::shown;

const WIDTH: f64 = 760.0;
/// Where names end and bars begin.
const LEFT: f64 = 250.0;
/// The longest bar; behind it stand value and ratio.
const LONGEST: f64 = 330.0;
const STEP: f64 = 26.0;
const TOP: f64 = 58.0;

/// Writes `docs/plots/*.svg`.
pub(crate) fn draw(report: &Report) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/plots");
    std::fs::create_dir_all(&folder).unwrap();
    for mut rows in report.measures().into_iter().filter(|rows| rows[0].unit != "runs") {
        rows.retain(|row| row.spread().is_some());
        let Some(first) = rows.first() else { continue };
        let name = first.name.replace([' ', ','], "-");
        std::fs::write(folder.join(format!("{name}.svg")), bars(&rows)).unwrap();
    }
}

fn bars(rows: &[&Row]) -> String {
    let (name, unit) = (rows[0].name, rows[0].unit);
    // Lags lie four powers of ten apart.
    let logarithmic = unit == "ms";
    let medians: Vec<_> =
        rows.iter().filter_map(|row| row.spread()).map(|[median, ..]| median).collect();
    let most = medians.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let least = medians.iter().copied().fold(most, f64::min).max(0.001);
    let length = |value: f64| {
        let share = if logarithmic {
            ((value.max(least) / least).ln() + 1.0) / ((most / least).ln() + 1.0)
        } else {
            value / most
        };
        (share * LONGEST).max(1.0)
    };
    let better = if unit == "/s" { "more is better" } else { "less is better" };
    let scale = if logarithmic { ", logarithmic scale" } else { "" };
    let title = heading(name, unit);
    let description =
        rows.iter().zip(&medians).map(|(row, median)| format!("{} {}", row.title, shown(*median)));
    let description = description.collect::<Vec<_>>().join("; ");
    let height = TOP + STEP * f64::from(u32::try_from(rows.len()).unwrap()) + 12.0;

    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-labelledby=\"title desc\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title id=\"title\">{title}</title>\n<desc id=\"desc\">{description}</desc>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"24\" font-size=\"16\" font-weight=\"bold\" fill=\"#1c2733\">{title}</text>\n\
         <text x=\"12\" y=\"43\" fill=\"#5a6672\">{better}{scale}; in brackets by how much ours is better</text>\n"
    );
    for (at, (row, median)) in rows.iter().zip(&medians).enumerate() {
        let y = TOP + STEP * f64::from(u32::try_from(at).unwrap());
        let fill = if row.ours { "#1f6f8b" } else { "#a9b4bf" };
        let (length, middle) = (length(*median), y + 14.0);
        let ratio = if row.ours { String::new() } else { format!(" ({})", beside(rows, row)) };
        let _infallible = write!(
            text,
            "<text x=\"{:.0}\" y=\"{middle:.0}\" text-anchor=\"end\" fill=\"#1c2733\">{}</text>\n\
             <rect x=\"{LEFT}\" y=\"{y:.0}\" width=\"{length:.1}\" height=\"18\" fill=\"{fill}\"/>\n\
             <text x=\"{:.1}\" y=\"{middle:.0}\" fill=\"#1c2733\">{}{ratio}</text>\n",
            LEFT - 8.0,
            row.title,
            LEFT + length + 6.0,
            shown(*median),
        );
    }
    text.push_str("</svg>\n");
    text
}
