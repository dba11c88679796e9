//! Time against LUNs, both in powers, so that what grows in step is a straight line.

use plotters::prelude::*;

use super::{LUNS, Report};
use crate::error::{Error, Result};

/// Who is drawn, in which colour.
const LINES: [(&str, RGBColor); 4] = [
    ("limit", RGBColor(0x88, 0x88, 0x88)),
    ("understudy", RGBColor(0x00, 0x72, 0xb2)),
    ("rtslib", RGBColor(0xe6, 0x9f, 0x00)),
    ("iscsi-agents", RGBColor(0xd5, 0x5e, 0x00)),
];

/// The picture, as SVG.
///
/// # Errors
/// There is nothing to draw.
pub fn draw(report: &Report) -> Result<String> {
    let mut text = String::new();
    lines(report, &mut text).map_err(|e| Error::other(format!("scale.svg: {e}")))?;
    Ok(text)
}

/// plotters has an error type of its own for each kind of paper.
fn lines(
    report: &Report,
    text: &mut String,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let all = LINES.iter().flat_map(|(name, _)| points(report, name));
    let (least, most) = all.fold((f64::MAX, 0.0_f64), |(least, most), (_, seconds)| {
        (least.min(seconds), most.max(seconds))
    });
    let root = SVGBackend::with_string(text, (760, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let largest = LUNS.last().copied().unwrap_or(1) as f64;
    let mut chart = ChartBuilder::on(&root)
        .caption("Start and stop of a group", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(
            (0.9..largest * 1.1).log_scale().base(2.0),
            (least * 0.7..most * 1.4).log_scale(),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("LUNs")
        .y_desc("seconds")
        .x_label_formatter(&|luns| format!("{luns:.0}"))
        .y_label_formatter(&|seconds| format!("{seconds}"))
        .draw()?;
    for (name, colour) in LINES {
        let line = LineSeries::new(points(report, name), colour.stroke_width(2));
        chart.draw_series(line.point_size(3))?.label(name).legend(move |(x, y)| {
            PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2))
        });
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(0xcc, 0xcc, 0xcc))
        .draw()?;
    root.present()?;
    Ok(())
}

fn points(report: &Report, contender: &str) -> Vec<(f64, f64)> {
    let point = |luns| Some((luns as f64, report.both(contender, luns)? / 1000.0));
    LUNS.into_iter().filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Row;

    #[test]
    fn each_contender_has_its_line() {
        let mut report = Report::default();
        for (contender, _) in LINES {
            for (luns, action) in LUNS.iter().flat_map(|l| [(*l, "start"), (*l, "stop")])
            {
                let median_ms = luns as f64 * 10.0;
                report.rows.push(Row {
                    contender,
                    luns,
                    action,
                    median_ms,
                    min_ms: median_ms,
                    max_ms: median_ms,
                    cpu_ms: median_ms,
                    processes: 2,
                    peak_kib: 1,
                    rounds: 5,
                });
            }
        }
        let picture = draw(&report).unwrap();
        for (name, _) in LINES {
            assert!(picture.contains(name), "{name}");
        }
    }
}
